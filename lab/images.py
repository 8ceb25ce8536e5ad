"""What lab Edge hosts are made of: one Debian root, used three ways.

The same root file system is the engine image in which a host's firmware runs, the base layer of the lab's provider
image, and the installation medium that every host finds unpacked. So a deployment or a repave transfers only the
layers that differ, as with images that share a base, and a new host costs no copy of it.

Everything is built once, found again by its content hash, and shared by all later runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import io
import json
import os
import shutil
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from docker.errors import ContainerError
from docker.types import Mount

from engine import ownership, tempdirs
from engine.debian import BuildFailed, Recipe, RootFile, Say, image_from_packages, image_tag
from lab.kinds import DEFAULT, KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import docker

    from lab.kinds import KindName, LabKind

NAME = "palette-edge-conformance"
HOST_FILES = Path(__file__).parent / "host"
PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "openssh-server", "sudo", "iproute2", "procps", "ca-certificates",
    "containerd", "skopeo", "python3", "python3-yaml", "python3-grpcio",
)  # fmt: skip
#: Units of a Debian that an immutable host in a container neither needs nor can run.
MASKED = (
    "systemd-logind.service", "systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service",
    "getty.target", "console-getty.service", "systemd-udevd.service", "systemd-udev-trigger.service",
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-update-utmp.service", "apt-daily.timer",
    "systemd-update-utmp-runlevel.service", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "fstrim.timer", "systemd-remount-fs.service", "dev-hugepages.mount", "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-mqueue.mount",
    "systemd-tmpfiles-clean.timer", "systemd-firstboot.service", "systemd-machine-id-commit.service",
    "systemd-binfmt.service", "systemd-random-seed.service", "systemd-pstore.service", "systemd-sysusers.service",
    "systemd-tmpfiles-setup-dev.service", "modprobe@.service",
)  # fmt: skip
#: Where systemd looks for more units at every boot and reload; a container has no disks, consoles or old scripts.
GENERATORS = "/usr/lib/systemd/system-generators"
HOOKS = (
    'chroot "$1" useradd --create-home --shell /bin/bash kairos',
    'chroot "$1" systemctl enable ssh.service stylus-agent.service containerd.service',
    'chroot "$1" systemctl disable ssh.socket || true',
    "for unit in " + " ".join(MASKED) + '; do ln -sf /dev/null "$1/etc/systemd/system/$unit"; done',
    'mkdir -p "$1/etc/systemd/system-generators"; for each in "$1"' + GENERATORS + "/*; "
    'do ln -sf /dev/null "$1/etc/systemd/system-generators/${each##*/}"; done',
    'chroot "$1" systemctl set-default multi-user.target',
    'mkdir -p "$1/oem" "$1/seed" "$1/state" "$1/opt/lab" "$1/user-data"',
    'rm -rf "$1/var/lib/apt/lists" "$1/var/cache" "$1"/usr/lib/python3/dist-packages/*/test* "$1/usr/share/zoneinfo"',
    'chroot "$1" python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/python3/dist-packages',
    'rm -rf "$1/etc/update-motd.d"',  # programs at each login, whose words nobody reads
    'rm -f "$1/etc/machine-id" "$1/var/lib/dbus/machine-id"; touch "$1/etc/machine-id"',
    'rm -f "$1"/etc/ssh/ssh_host_*',  # each host makes its own
)  # fmt: skip
ENTRY = ('ENTRYPOINT ["/usr/bin/python3","-m","lab.firmware"]', "ENV PYTHONPATH=/opt/lab PYTHONDONTWRITEBYTECODE=1")
RELEASE_FILE = "etc/kairos-release"
RELEASE = """\
KAIROS_NAME="kairos-core-debian-12-lab"
KAIROS_FLAVOR="debian"
KAIROS_FLAVOR_RELEASE="12"
KAIROS_VARIANT="core"
KAIROS_TARGETARCH="amd64"
KAIROS_IMAGE_REPO="lab/provider"
KAIROS_IMAGE_LABEL="{label}"
KAIROS_VERSION="{label}"
"""


@dataclass(frozen=True)
class HostImages:
    """What :func:`build` made.

    ``engine_image`` is the tag of the firmware's image, ``medium`` the name of the volume with the installation
    medium, ``provider_image`` the directory of an OCI image layout: the image to deploy.
    """

    engine_image: str
    medium: str
    provider_image: Path


def cache_folder() -> Path:
    """Where built images are kept between runs: ``$XDG_CACHE_HOME/palette-edge-conformance``.

    Where that cannot be written (a home directory that is read-only or missing), they are in the user's part of TMPDIR.
    """
    with contextlib.suppress(OSError, RuntimeError):  # RuntimeError: this user has no home directory
        place = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / NAME
        place.mkdir(parents=True, exist_ok=True)
        if os.access(place, os.W_OK):
            return place
    return tempdirs.of_user("cache")


def recipe(*, current_openssh: bool = False) -> Recipe:
    """Return the recipe of a lab Edge host's root: with the suite's OpenSSH, or with the current one."""
    return Recipe(packages=PACKAGES, files=_files(), hooks=HOOKS, backports=("openssh",) if current_openssh else ())


def engine_image(*, current_openssh: bool = False) -> str:
    """Return the tag of the firmware's image, built or not."""
    return image_tag(f"{NAME}/lab-host", recipe(current_openssh=current_openssh), ENTRY)


def _files() -> dict[str, RootFile]:
    return {
        "/etc/systemd/system/stylus-agent.service": RootFile((HOST_FILES / "stylus-agent.service").read_bytes()),
        "/etc/systemd/system.conf.d/lab.conf": RootFile((HOST_FILES / "system.conf").read_bytes()),
        "/etc/systemd/system/mount.d/lab.conf": RootFile((HOST_FILES / "mount.conf").read_bytes()),
        "/etc/containerd/config.toml": RootFile((HOST_FILES / "containerd.toml").read_bytes()),
        "/etc/ssh/sshd_config.d/lab.conf": RootFile((HOST_FILES / "sshd.conf").read_bytes()),
        "/etc/sudoers.d/kairos": RootFile(b"kairos ALL=(ALL) NOPASSWD: ALL\n", mode=0o440),
        "/etc/kairos-release": RootFile(RELEASE.format(label="installer").encode()),
    }


def build(
    client: docker.DockerClient, say: Say, kind: KindName = DEFAULT, *, current_openssh: bool = False
) -> HostImages:
    """Build what is not there yet, in about a minute from nothing; otherwise take a few milliseconds.

    ``kind`` is the Kubernetes distribution that the provider image holds.

    One build runs at a time; what a killed one left half-built is made anew.

    Raises:
        engine.debian.ProgramMissing, engine.debian.BuildFailed: the root file system could not be built.

    """
    made_by = recipe(current_openssh=current_openssh)
    layout = cache_folder() / f"provider-image-{made_by.fingerprint}"
    with alone(say, "lock", "builds the lab's images"):
        image = _engine_image(client, layout, made_by, say)
        medium = _medium(client, image, layout, made_by.fingerprint, say)
        return HostImages(image, medium, provider_image(layout, KINDS[kind]))


def _engine_image(client: docker.DockerClient, layout: Path, made_by: Recipe, say: Say) -> str:
    """Return the firmware's image, and see to it that the provider image made of the same root exists."""
    tar = cache_folder() / f"root-{made_by.fingerprint}.tar"
    needs_tar = not (layout / "index.json").exists()
    image = image_from_packages(
        client, f"{NAME}/lab-host", made_by, config=ENTRY, say=say, rootfs=tar if needs_tar else None
    )
    if needs_tar:
        say("compressing the provider image's base layer")
        write_layout(tar, layout)
        tar.unlink()
    return image


@contextlib.contextmanager
def alone(say: Say, name: str, doing: str) -> Iterator[None]:
    """Lock the cache by a file of this name, so that one process at a time builds into it."""
    with (cache_folder() / name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that {doing}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- the provider image: an OCI image layout on disk ----------------------------------------------------------------


def write_layout(root: Path, layout: Path) -> None:
    """Write a two-layer image (base, release file) as an OCI image layout that appears whole or not at all."""
    partial = layout.with_name(layout.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    blobs = partial / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    with root.open("rb") as stream:
        layers = [
            _add_layer(blobs, stream),
            _add_layer(blobs, io.BytesIO(_tar({RELEASE_FILE: RELEASE.format(label="v1")}))),
        ]
    (partial / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    _write_index(partial, _manifest(blobs, layers))
    shutil.rmtree(layout, ignore_errors=True)
    partial.rename(layout)


def provider_image(base: Path, kind: LabKind) -> Path:
    """Return the layout of an image on top of ``base`` that holds a Kubernetes distribution; the blobs are shared."""
    tar = _tar({RELEASE_FILE: RELEASE.format(label="v1") + kind.release(), **kind.files()})
    layout = base.with_name(f"{base.name}-{kind.name}-{hashlib.sha256(tar).hexdigest()[:8]}")
    if (layout / "index.json").exists():
        return layout
    partial = layout.with_name(layout.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(base, partial, copy_function=os.link)
    blobs = partial / "blobs" / "sha256"
    below, config = _parts_of(partial)
    layers = [{**layer, "diff_id": diff_id} for layer, diff_id in zip(below, config["rootfs"]["diff_ids"], strict=True)]
    _write_index(partial, _manifest(blobs, [*layers, _add_layer(blobs, io.BytesIO(tar))]))
    shutil.rmtree(layout, ignore_errors=True)
    partial.rename(layout)
    return layout


def _parts_of(layout: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the layers and the configuration of the image in a layout."""

    def blob(descriptor: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((layout / "blobs/sha256" / descriptor["digest"][7:]).read_text())
        return found

    manifest = blob(json.loads((layout / "index.json").read_text())["manifests"][0])
    return manifest["layers"], blob(manifest["config"])


def _write_index(layout: Path, manifest: dict[str, Any]) -> None:
    index = {"schemaVersion": 2, "manifests": [{**manifest, "platform": {"architecture": "amd64", "os": "linux"}}]}
    new = layout / "index.json.new"  # a file of its own: the old one may be another layout's as well
    new.write_text(json.dumps(index))
    new.rename(layout / "index.json")


def _tar(files: Mapping[str, str]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for path, text in sorted(files.items()):
            member, content = tarfile.TarInfo(path), text.encode()
            if text.startswith("->"):
                member.type, member.linkname, content = tarfile.SYMTYPE, text[2:], b""
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return tar.getvalue()


def _add_layer(blobs: Path, tar: IO[bytes]) -> dict[str, Any]:
    """Compress a layer into the layout; return its descriptor with the digest of the plain tar as ``diff_id``."""
    plain = hashlib.sha256()
    partial = blobs / "partial"
    with partial.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as packed:
        while piece := tar.read(1 << 20):
            plain.update(piece)
            packed.write(piece)
    descriptor = _keep(blobs, partial, "application/vnd.oci.image.layer.v1.tar+gzip")
    return {**descriptor, "diff_id": f"sha256:{plain.hexdigest()}"}


def _keep(blobs: Path, file: Path, media_type: str) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    size = file.stat().st_size
    file.rename(blobs / digest)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _keep_json(blobs: Path, document: dict[str, Any], media_type: str) -> dict[str, Any]:
    partial = blobs / "partial"
    partial.write_text(json.dumps(document))
    return _keep(blobs, partial, media_type)


def _manifest(blobs: Path, layers: list[dict[str, Any]]) -> dict[str, Any]:
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": {"quay.expires-after": "never", "io.kairos.variant": "core"}},
        "rootfs": {"type": "layers", "diff_ids": [layer.pop("diff_id") for layer in layers]},
    }
    document = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _keep_json(blobs, config, "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    }
    return _keep_json(blobs, document, str(document["mediaType"]))


# --- the installation medium: a volume that every host mounts read-only ---------------------------------------------

_MAKE_MEDIUM = r"""
set -e
containerd --root /medium/containerd --state /run/containerd --address /run/c.sock >/tmp/containerd.log 2>&1 &
for i in $(seq 200); do ctr -a /run/c.sock version >/dev/null 2>&1 && break; sleep 0.05; done
tar -C /layout -cf - . | ctr -a /run/c.sock -n k8s.io images import --index-name medium/installer:1 - >/dev/null \
  || { cat /tmp/containerd.log; exit 1; }
kill %1; wait %1 || true
rm -rf /medium/containerd/io.containerd.runtime*
python3 - <<'PYTHON'
import json, pathlib
layout = pathlib.Path("/layout")
read = lambda d: json.loads((layout / "blobs/sha256" / d["digest"][7:]).read_text())
manifest = read(json.loads((layout / "index.json").read_text())["manifests"][0])
config = read(manifest["config"])
medium = {"image": "medium/installer:1", "digest": manifest["config"]["digest"],
          "diff_id": config["rootfs"]["diff_ids"][0].partition(":")[2],
          "layer": manifest["layers"][0]["digest"].partition(":")[2]}
pathlib.Path("/medium/medium.json.new").write_text(json.dumps(medium))
pathlib.Path("/medium/medium.json.new").rename("/medium/medium.json")  # last: with it the medium is whole
PYTHON
"""


def _medium(client: docker.DockerClient, image: str, layout: Path, fingerprint: str, say: Say) -> str:
    """Return the volume with the medium; fill it when it is new, or when whoever filled it was killed."""
    name = medium_name(layout, fingerprint)
    known_whole = layout.with_name(f"{name}.whole")  # asking the engine takes a container
    if client.volumes.list(filters={"name": name}):
        if known_whole.exists() or _is_whole(client, image, name):
            known_whole.touch()
            return name
        client.volumes.get(name).remove(force=True)
    say("unpacking the installation medium of the lab's Edge hosts")
    client.volumes.create(name, labels={ownership.CACHE: "installation medium"})
    try:
        _run(
            client, image, _MAKE_MEDIUM, [Mount("/medium", name), Mount("/layout", str(layout), "bind", read_only=True)]
        )
    except BaseException as error:
        client.volumes.get(name).remove(force=True)
        if isinstance(error, ContainerError):
            raise BuildFailed(f"the installation medium could not be unpacked: {error.stderr!r}") from error
        raise
    known_whole.touch()
    return name


def medium_name(layout: Path, fingerprint: str) -> str:
    """Return the name of the volume with the medium of a layout.

    Of two builds of one recipe, such as those of two caches, each has its own: a host whose medium is of another build
    than the image unpacks the whole image at every deployment.
    """
    made = hashlib.sha256(_MAKE_MEDIUM.encode() + (layout / "index.json").read_bytes())
    return f"{NAME}-medium-{fingerprint}-{made.hexdigest()[:6]}"


def _is_whole(client: docker.DockerClient, image: str, name: str) -> bool:
    try:
        _run(client, image, "test -s /medium/medium.json", [Mount("/medium", name, read_only=True)])
    except ContainerError:
        return False
    return True


def _run(client: docker.DockerClient, image: str, script: str, mounts: list[Mount]) -> None:
    client.containers.run(
        image,
        entrypoint=["/bin/bash", "-c", script],
        mounts=mounts,
        labels=ownership.Owner.this_process("medium").labels,
        cap_add=["SYS_ADMIN"],  # containerd mounts the snapshots it unpacks into
        security_opt=unconfined(client),
        network_mode="none",
        remove=True,
    )


def unconfined(client: docker.DockerClient) -> list[str]:
    """Security options with which a container may mount: AppArmor's default profile forbids it where it is on."""
    options = client.info().get("SecurityOptions") or []
    return ["apparmor=unconfined"] if any("name=apparmor" in option for option in options) else []
