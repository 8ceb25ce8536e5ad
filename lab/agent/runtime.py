"""The node's container runtime: containerd, spoken to as a kubelet does, over the Container Runtime Interface.

The interface is gRPC; its few messages here are written and read by hand (field numbers of cri-api's
``runtime/v1/api.proto``), which needs no generated code on the host. A login goes in the request, never in arguments.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.agent import places, slots
from lab.agent.puller import PULL_TIMEOUT, PullFailed
from lab.kinds import EMBEDDED_SOCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.agent.secret import Credential

SOCKETS = (EMBEDDED_SOCKET, "/run/spectro/containerd/containerd.sock", "/run/containerd/containerd.sock")
CERTS = Path("/etc/containerd/certs.d")
NAMESPACE = "k8s.io"
_ID, _REPO_DIGESTS = 1, 3  # fields of the message Image
_LENGTH_DELIMITED = 2  # protobuf's wire type of texts and messages
_LOW_BITS, _MORE = 0x7F, 0x80  # of each byte of a varint


def trust(registry: str, authority: Path | None, *, verify: bool = True) -> None:
    """Configure containerd to trust one authority for ``registry`` (``host[:port]``), and nothing weaker."""
    folder = CERTS / registry
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    lines = [f'server = "https://{registry}"']
    if authority is not None and authority.exists():
        shutil.copy(authority, folder / "ca.crt")
        # of the server itself: as a mirror of it, what the mirror lacks would be asked of the server without this
        lines.append(f'ca = "{folder}/ca.crt"')
    if not verify:  # which is read of mirrors only
        lines += [f'[host."https://{registry}"]', "  skip_verify = true"]
    (folder / "hosts.toml").write_text("\n".join(lines) + "\n")


def has_image(image: str) -> bool:
    """Return whether the node holds ``image``: the upgrade's pull policy is IfNotPresent (docs/palette.md §5.4)."""
    return image_id(image) is not None


def image_id(image: str) -> tuple[str, str] | None:
    """Return the digests of the configuration and of the manifest that ``image`` names on this node."""
    answer = _call("ImageStatus", _field(1, _image(image)))
    found = dict(_fields(answer)).get(1)
    if found is None:
        return None
    records = list(_fields(found))
    config = next(value.decode() for number, value in records if number == _ID)
    digests = [value.decode().rpartition("@")[2] for number, value in records if number == _REPO_DIGESTS]
    return config, (digests[0] if digests else "")


def pull(image: str, credential: Credential | None) -> None:
    """Pull with the login given for this one request.

    Raises:
        PullFailed: with containerd's own words.

    """
    request = _field(1, _image(image))
    if credential is not None:
        login = _field(1, _bytes(credential.username)) + _field(2, _bytes(credential.password))
        request += _field(2, login)
    _call("PullImage", request)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def name(image: str, also: str) -> None:
    """Add a second name to an image of this node."""
    _ctr("images", "tag", "--force", image, also)


def slot_of(image: str) -> slots.Slot:
    """Copy what the host lacks of a pulled image into the layer store. Return the slot to boot."""
    found = image_id(image)
    if found is None:
        raise PullFailed(f"image {image} is not on the node after its pull")
    config_digest, digest = found
    config = json.loads(_ctr("content", "get", config_digest))
    diff_ids: list[str] = config["rootfs"]["diff_ids"]
    if not all(map(slots.has_layer, diff_ids)):
        for diff_id, source in zip(diff_ids, _snapshots(image), strict=True):
            if not slots.has_layer(diff_id):
                slots.add_layer(diff_id, slots.copy_tree(source))
    return slots.Slot(image, digest, tuple(map(slots.bare, diff_ids)))


def _snapshots(image: str) -> list[Path]:
    """Return the directories of the image's unpacked layers, bottom first, from a mount of it."""
    with tempfile.TemporaryDirectory(dir="/run") as target:
        _ctr("images", "mount", image, target)
        try:
            for line in Path("/proc/self/mountinfo").read_text().splitlines():
                place, options = line.split()[4], line.rpartition(" ")[2]
                if place == target:
                    lower = [o.partition("=")[2] for o in options.split(",") if o.startswith("lowerdir=")]
                    return [Path(part) for part in reversed(lower[0].split(":"))]
        finally:
            _ctr("images", "unmount", "--rm", target)
    raise PullFailed(f"image {image} has no layers that could be mounted")


def forget() -> None:
    """Remove every image but the installation medium's, which has a second name: the digest of its configuration."""
    medium = places.read_json(places.MEDIUM_RECORD)
    kept = {medium["image"], medium["digest"]}
    for name in _ctr("images", "ls", "-q").split():
        if name not in kept:
            _ctr("images", "rm", "--sync", name)


def end_containers() -> None:
    """End what runs of pods, and forget it."""
    for task in _ctr("tasks", "ls", "-q").split():
        _ctr("tasks", "rm", "--force", task)
    for container in _ctr("containers", "ls", "-q").split():
        _ctr("containers", "rm", container)


def _ctr(*arguments: str) -> str:
    done = subprocess.run(
        ["ctr", "-a", socket(), "-n", NAMESPACE, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def unit() -> str:
    """Return the unit that runs the node's runtime."""
    units = ("k3s", "k3s-agent", "rke2-server", "rke2-agent")
    active = (
        name for name in units if subprocess.run(["systemctl", "-q", "is-active", name], check=False).returncode == 0
    )
    alone = "spectro-containerd" if places.mode() == "agent-mode" else "containerd"
    return next(active, alone) if Path(EMBEDDED_SOCKET).exists() else alone


def socket() -> str:
    """Return where the node's runtime listens: within K3s or RKE2, else where the mode's does."""
    return next((path for path in SOCKETS if Path(path).exists()), SOCKETS[-1])


def _call(method: str, request: bytes) -> bytes:
    import grpc  # noqa: PLC0415 - only hosts have it, and the module is read elsewhere too

    with grpc.insecure_channel(f"unix://{socket()}") as channel:
        call = channel.unary_unary(f"/runtime.v1.ImageService/{method}", None, None)
        try:
            answer: bytes = call(request, timeout=PULL_TIMEOUT, wait_for_ready=True)
        except grpc.RpcError as error:
            raise PullFailed(_words(error)) from error
    return answer


def _words(error: Any) -> str:  # noqa: ANN401 - a grpc.Call, which has no types
    return str(error.details())


# --- the wire form of the few messages used ---------------------------------------------------------------------------


def _image(name: str) -> bytes:
    return _field(1, name.encode())


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | _LENGTH_DELIMITED]) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > _LOW_BITS:
        out.append(value & _LOW_BITS | _MORE)
        value >>= 7
    return bytes([*out, value])


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the length-delimited fields of a message; numbers and flags among them are stepped over."""
    at = 0
    while at < len(message):
        key, at = _read_varint(message, at)
        length, at = _read_varint(message, at)
        if key & 7 == _LENGTH_DELIMITED:
            yield key >> 3, message[at : at + length]
            at += length


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & _LOW_BITS) << shift
        at, shift = at + 1, shift + 7
        if byte < _MORE:
            return value, at


if __name__ == "__main__":  # in the pod of an upgrade, within the host's root
    slot_of(sys.argv[1])
