"""The agent's own puller: skopeo, into the host's content directory. Deployment goes this way."""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.agent import places, slots
from lab.agent.orders import StepTookTooLong, run_step
from lab.injection import CHECK_PLATFORM, HAND_OVER_LOGIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.agent.secret import Credential
    from lab.injection import Behaviour

LAYOUT = places.CONTENT / "provider"
BLOBS = places.CONTENT / "blobs"
#: Seconds one pull may take; a provider image is a gigabyte or two.
PULL_TIMEOUT = 1800


class PullFailed(Exception):  # noqa: N818 - it names what happened
    """The image could not be pulled; the message is the puller's own, which never holds a credential."""


@dataclass(frozen=True)
class Way:
    """How to pull: whom to trust, whether to verify, when to give up, and what the lab does at its injection points."""

    authority: Path | None
    verify_tls: bool
    overtaken: Callable[[], bool]
    behaviour: Behaviour


def pull(image: str, credential: Credential | None, way: Way) -> slots.Slot:
    """Pull ``image`` and unpack what the host lacks of it. Return the slot to boot.

    Raises:
        PullFailed: with the last line of what skopeo said.
        lab.agent.orders.Overtaken: a newer order arrived, and the pull was given up.

    """
    shutil.rmtree(LAYOUT, ignore_errors=True)
    _offer_base_layer()
    with places.work_area() as area:
        command = [
            "skopeo",
            "--override-arch",
            places.architecture(),
            "copy",
            "--quiet",
            "--src-cert-dir",
            _certificates(area, way.authority),
        ]
        command += ["--src-tls-verify=" + ("true" if way.verify_tls else "false")]
        command += way.behaviour.at(HAND_OVER_LOGIN, _login, area, image, credential)
        command += ["--digestfile", f"{area}/digest", "--dest-shared-blob-dir", str(BLOBS)]
        _run([*command, f"docker://{by_digest(image)}", f"oci:{LAYOUT}:image"], way.overtaken)
        digest = (area / "digest").read_text().strip()
    return slots.Slot(image, digest, _unpack(way.behaviour))


def by_digest(image: str) -> str:
    """Return a reference as pullers take it: of a tag and a digest the digest alone."""
    name, at, digest = image.partition("@")
    repository, colon, tag = name.rpartition(":")
    return f"{repository}@{digest}" if at and colon and "/" not in tag else image


def _offer_base_layer() -> None:
    """Link the medium's base layer among skopeo's blobs, so that it is not transferred again."""
    layer = str(places.read_json(places.MEDIUM_RECORD)["layer"])
    link = BLOBS / "sha256" / layer
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(places.MEDIUM / "containerd/io.containerd.content.v1.content/blobs/sha256" / layer)


def _certificates(area: Path, authority: Path | None) -> str:
    folder = area / "certificates"
    folder.mkdir()
    if authority is not None and authority.exists():
        shutil.copy(authority, folder / "ca.crt")
    return str(folder)


def _login(area: Path, image: str, credential: Credential | None) -> list[str]:
    """Hand the login over in a file that only root reads: a process's arguments are everybody's to read."""
    if credential is None:
        return ["--src-no-creds"]
    pair = f"{credential.username}:{credential.password}".encode("utf-8", "surrogateescape")
    auths = {image.partition("/")[0]: {"auth": base64.b64encode(pair).decode()}}
    file = area / "auth.json"
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as stream:
        json.dump({"auths": auths}, stream)
    return ["--authfile", str(file)]


def _run(command: list[str], overtaken: Callable[[], bool]) -> None:
    try:
        done = run_step(command, overtaken, within=PULL_TIMEOUT)
    except StepTookTooLong as error:
        raise PullFailed(str(error)) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"skopeo ended with {done.returncode}"]
        raise PullFailed(lines[-1])


def _unpack(behaviour: Behaviour) -> tuple[str, ...]:
    index = json.loads((LAYOUT / "index.json").read_text())
    manifest = _blob(index["manifests"][0]["digest"])
    config = _blob(manifest["config"]["digest"])
    behaviour.at(CHECK_PLATFORM, _check_platform, config)
    for layer, diff_id in zip(manifest["layers"], config["rootfs"]["diff_ids"], strict=True):
        if not slots.has_layer(diff_id):
            slots.add_layer(diff_id, slots.unpack_tar(BLOBS / "sha256" / slots.bare(layer["digest"])))
    return tuple(slots.bare(diff_id) for diff_id in config["rootfs"]["diff_ids"])


def _check_platform(config: dict[str, Any]) -> None:
    """Refuse an image of another architecture: nothing of it would run."""
    mine = places.architecture()
    if config.get("architecture") != mine:
        raise PullFailed(f"image architecture {config.get('architecture')} does not match this host's {mine}")


def _blob(digest: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((BLOBS / "sha256" / slots.bare(digest)).read_text())
    return document


def forget() -> None:
    """Remove everything pulled; the base layer's link is made anew when needed."""
    shutil.rmtree(places.CONTENT, ignore_errors=True)
