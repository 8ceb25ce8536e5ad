"""The Kubernetes distributions that a lab's provider image can hold, as far as a host shows which one it is.

No Kubernetes runs: the distribution's unit runs the node's container runtime, as K3s and RKE2 do, or stands beside it,
as kubelet does. Units, sockets and release facts are the documented ones (docs/palette.md §5.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KindName = Literal["k3s", "rke2", "kubeadm"]

#: On a host of a worker pool; which unit of a distribution runs depends on it.
WORKER_MARK = "/oem/.kubernetes-worker"
#: Where K3s and RKE2 have the node's container runtime.
EMBEDDED_SOCKET = "/run/k3s/containerd/containerd.sock"
_UNITS = "etc/systemd/system"
_UNIT = """\
[Unit]
Description={description}
After=network.target local-fs.target
ConditionPathExists={condition}

[Service]
Type={type}
ExecStart={command}
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
LimitNOFILE=infinity
TasksMax=infinity
"""
_RUNTIME = f"/usr/bin/containerd --address {EMBEDDED_SOCKET}"
_AGENT_WAITS = "[Unit]\nAfter={units}\n"


@dataclass(frozen=True)
class LabKind:
    """A distribution: its release, the pack and tag that fit it, and its units on control planes and workers."""

    name: KindName
    version: str
    pack: str
    tag: str
    server: str
    worker: str
    embeds_runtime: bool = True

    def release(self) -> str:
        """Return the lines that its provider image has in its release file."""
        return (
            f'KAIROS_SOFTWARE_VERSION="{self.version}"\n'
            f'KAIROS_SOFTWARE_VERSION_PREFIX="{self.name}"\n'
            'KAIROS_VARIANT="standard"\n'
        )

    def files(self) -> Mapping[str, str]:
        """Return the files of its provider image, by path; a text that begins with ``->`` is a symbolic link."""
        units = sorted({self.server, self.worker})
        files = {f"{_UNITS}/stylus-agent.service.d/kubernetes.conf": _AGENT_WAITS.format(
            units=" ".join(f"{unit}.service" for unit in units))}  # fmt: skip
        for unit in units:
            files[f"{_UNITS}/{unit}.service"] = self._unit(unit)
            files[f"{_UNITS}/multi-user.target.wants/{unit}.service"] = f"->/{_UNITS}/{unit}.service"
        if self.embeds_runtime:
            files[f"{_UNITS}/containerd.service"] = "->/dev/null"
        return files

    def _unit(self, unit: str) -> str:
        condition = "/oem" if self.server == self.worker else WORKER_MARK if unit == self.worker else f"!{WORKER_MARK}"
        command, kind = (_RUNTIME, "notify") if self.embeds_runtime else ("/bin/sleep infinity", "simple")
        return _UNIT.format(description=f"{self.name} {self.version}", condition=condition, type=kind, command=command)


KINDS: Mapping[KindName, LabKind] = {
    "k3s": LabKind("k3s", "v1.31.4+k3s1", "edge-k3s", "1.31.4", "k3s", "k3s-agent"),
    "rke2": LabKind("rke2", "v1.30.5+rke2r1", "edge-rke2", "1.30.5", "rke2-server", "rke2-agent"),
    "kubeadm": LabKind("kubeadm", "v1.30.5", "edge-k8s", "1.30.5", "kubelet", "kubelet", embeds_runtime=False),
}
DEFAULT: KindName = "k3s"


def misfit(layer: Sequence[str], release: Mapping[str, str]) -> str:
    """Return why a Kubernetes layer does not fit a system with these release facts; "" if it does or they are silent.

    No page describes what Palette does then. The lab's choice: the cluster does not become Running, and an event
    says why.
    """
    pack, tag = layer
    packs = {kind.pack: kind.name for kind in KINDS.values()}
    held, version = release.get("KAIROS_SOFTWARE_VERSION_PREFIX", ""), release.get("KAIROS_SOFTWARE_VERSION", "")
    fits = packs.get(pack) == held and version.removeprefix("v").partition("+")[0] == tag
    if not held or pack not in packs or fits:
        return ""
    return f"Kubernetes layer {pack} {tag} does not fit the provider image, which holds {held} {version}"
