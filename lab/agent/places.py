"""Where an Edge host keeps things (docs/palette.md §5), as its agent sees them."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lab.kinds import WORKER_MARK

if TYPE_CHECKING:
    from collections.abc import Iterator

OEM = Path("/oem")
CLUSTER_CONFIG = Path("/oem/85_cluster_config.yaml")
STATE = Path("/oem/.stylus-state")
CONTENT = Path("/usr/local/spectrocloud/content")
#: The stored credential as a cluster has it: a Kubernetes Secret.
SECRET = Path("/usr/local/.state/etc-kubernetes.bind/spectro-task/provider-credentials.yaml")
#: The authority given when the cluster was created; an existing cluster cannot be given one (guide, Limitations).
TRUST = Path("/usr/local/spectrocloud/registry-trust/ca.crt")
COS_STATE = Path("/run/initramfs/cos-state")
MEDIUM = Path("/run/initramfs/live")
#: What the medium holds: its image's name, the digest of that image's configuration, its base layer.
MEDIUM_RECORD = MEDIUM / "medium.json"
BOOTED_SLOT = Path("/run/initramfs/slot")
UPGRADE_LOG = Path("/var/log/stylus-upgrade.log")
#: Room for what a step needs and nobody may read; on memory, so that it never outlives a boot.
WORK = Path("/run/stylus")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

#: User data in agent mode, and where the lab keeps the provider image's release file there.
USER_DATA = Path("/var/lib/spectro/userdata")
RELEASES = (Path("/etc/kairos-release"), Path("/run/initramfs/provider-release"))


def mode() -> str:
    """Return how the agent came onto the host, in the words of Palette (``spec.device.hostType``)."""
    return "agent-mode" if USER_DATA.exists() else "appliance"


def release() -> dict[str, str]:
    """Return the facts of the provider image's release file."""
    text = next((path.read_text() for path in RELEASES if path.exists()), "")
    lines = (line.partition("=") for line in text.splitlines())
    return {name: value.strip('"') for name, _, value in lines}


def architecture() -> str:
    """Return the host's architecture by the name of its machine, in the words of images and of Palette."""
    machine = subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True).stdout.strip()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


def mark_worker(*, worker: bool) -> None:
    """Note whether the host works or leads: the next boot starts that unit of the Kubernetes distribution."""
    if worker:
        Path(WORKER_MARK).touch()
    else:
        Path(WORKER_MARK).unlink(missing_ok=True)


@contextmanager
def work_area() -> Iterator[Path]:
    """Yield a directory for the time of a step."""
    WORK.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=WORK) as area:
        yield Path(area)


def write_private(path: Path, text: str) -> None:
    """Write a file that only root reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_user_data() -> dict[str, Any]:
    """Read what user data says of the agent: the ``stylus`` keys of every ``/oem/*.yaml`` in lexical order.

    A later file wins key by key: Kairos reads its cloud-config files in this order, and so can an operator add to them.
    In agent mode there is one file.
    """
    merged: dict[str, Any] = {}
    for file in [USER_DATA] if mode() == "agent-mode" else sorted(OEM.glob("*.yaml")):
        document = yaml.safe_load(file.read_text())
        if isinstance(document, dict):
            merged |= document.get("stylus") or {}
    return merged


def read_json(path: Path) -> dict[str, Any]:
    """Read a record, or an empty one where there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document
