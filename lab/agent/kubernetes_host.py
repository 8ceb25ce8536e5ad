"""What a lab host lacks of a machine before kubelet can run on it, and the image of a pod's first process."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

from lab.agent import places, runtime

Json = dict[str, Any]

#: The image of a pod's first process, as ``lab/host/containerd.toml`` names it.
PAUSE = "lab.example/pause:1"
_PAUSE_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
#: What kubelet would write of the whole machine's kernel; it leaves alone what is as it wants it.
_SYSCTLS = {
    "vm/overcommit_memory": 1, "kernel/panic": 10, "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1_000_000, "kernel/keys/root_maxbytes": 25_000_000,
}  # fmt: skip
_NETWORK = '{"cniVersion":"0.4.0","name":"lo","plugins":[{"type":"loopback"}]}'


def prepare() -> None:
    """Prepare this boot for kubelet."""
    kmsg = Path("/dev/kmsg")
    if not kmsg.exists():
        kmsg.symlink_to("/dev/null")
    views = Path("/run/lab-sysctls")
    views.mkdir(exist_ok=True)
    for name, value in _SYSCTLS.items():
        view = views / name.replace("/", "-")
        view.write_text(f"{value}\n")
        _run("mount", "--bind", str(view), f"/proc/sys/{name}")
    _mount_cgroups()
    Path("/etc/cni/net.d").mkdir(parents=True, exist_ok=True)
    Path("/etc/cni/net.d/10-lo.conflist").write_text(_NETWORK)
    _import_pause()


def _mount_cgroups() -> None:
    """Mount the controllers of version 1, which kubelet and runc look for; version 2 is one tree and there already."""
    tree = Path("/sys/fs/cgroup")
    if (tree / "cgroup.controllers").exists():
        return
    _run("mount", "-o", "remount,rw", str(tree))
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        controllers = line.split(":")[1]
        place = tree / controllers
        if controllers and not controllers.startswith("name=") and not place.is_mount():
            if place.is_symlink():  # systemd expects cpu and cpuacct in one hierarchy; here they may be two
                place.unlink()
            place.mkdir(exist_ok=True)
            _run("mount", "-t", "cgroup", "-o", controllers, "cgroup", str(place))


def _import_pause() -> None:
    """Make the image of a pod's first process: the medium's base layer, which the node has, and a command."""
    medium = places.read_json(places.MEDIUM_RECORD)
    blob = places.MEDIUM / "containerd/io.containerd.content.v1.content/blobs/sha256" / medium["layer"]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/bin/sleep", "infinity"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{medium['diff_id']}"]},
    }
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}'}
    layer = {"mediaType": _PAUSE_LAYER, "digest": f"sha256:{medium['layer']}", "size": blob.stat().st_size}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _blob(files, config, "application/vnd.oci.image.config.v1+json"),
        "layers": [layer],
    }
    described = _blob(files, manifest, str(manifest["mediaType"]))
    named = {**described, "annotations": {"io.containerd.image.name": PAUSE}}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [named]}).encode()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    command = ["ctr", "-a", runtime.socket(), "-n", runtime.NAMESPACE, "images", "import", "-"]
    subprocess.run(command, input=archive.getvalue(), check=True, capture_output=True)


def _blob(files: dict[str, bytes], document: Json, media_type: str) -> Json:
    content = json.dumps(document).encode()
    digest = hashlib.sha256(content).hexdigest()
    files[f"blobs/sha256/{digest}"] = content
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
