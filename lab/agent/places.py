"""Where an Edge host keeps things (facts of a Kairos host in appliance mode), as its agent sees them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

USER_DATA = Path("/oem/90_custom.yaml")
CLUSTER_CONFIG = Path("/oem/85_cluster_config.yaml")
STATE = Path("/oem/.stylus-state")
CONTENT = Path("/usr/local/spectrocloud/content")
#: The stored credential as a cluster has it: a Kubernetes Secret.
SECRET = Path("/usr/local/.state/etc-kubernetes.bind/spectro-task/provider-credentials.yaml")
#: The authority given when the cluster was created; an existing cluster cannot be given one (guide, Limitations).
TRUST = Path("/usr/local/spectrocloud/registry-trust/ca.crt")
COS_STATE = Path("/run/initramfs/cos-state")
MEDIUM = Path("/run/initramfs/live")
BOOTED_SLOT = Path("/run/cos/slot")
UPGRADE_LOG = Path("/var/log/stylus-upgrade.log")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def write_private(path: Path, text: str) -> None:
    """Write a file that only root reads, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".new")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """Read a record, or an empty one where there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return document
