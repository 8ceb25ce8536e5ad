"""Where an Edge host keeps what, by mode and Kubernetes distribution, found out on the host.

The tables are those of docs/palette.md §5.1 to §5.3, which name their sources: the vendor's image recipes, the
providers' own scripts and the vendor's support bundle; the sockets of K3s and RKE2 are their upstreams'. What no
source documents is None.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AGENT_UNITS = ("stylus-agent", "spectro-stylus-agent")
RUNTIME_UNITS = ("k3s", "k3s-agent", "rke2-server", "rke2-agent", "kubelet", "containerd", "spectro-containerd")
#: One round trip: the agent's root, its sentinels, and which units there are.
DETECT = (
    "root=$(sed -n 's/^ *\\(export \\)\\{0,1\\}STYLUS_ROOT=//p' /etc/spectro/environment 2>/dev/null | tail -n 1); "
    'echo "$root"; echo ---; ls /run/cos "${root%/}/opt/spectrocloud/state" 2>/dev/null; echo ---; '
    f"systemctl show --property=Id,LoadState,ActiveState {' '.join(AGENT_UNITS + RUNTIME_UNITS)}"
)
_PARTS = 3
_QUOTES = "\"'"


class UnknownLayoutError(LookupError):
    """A host is neither an appliance nor in agent mode: no unit or sentinel of Palette's agent is on it."""


class Mode(StrEnum):
    """How Palette's agent came onto the host; the values are the API's words (``spec.device.hostType``)."""

    APPLIANCE = "appliance"
    AGENT = "agent-mode"


class Distribution(StrEnum):
    """Which Kubernetes a host runs; NONE before it has joined a cluster."""

    K3S = "k3s"
    RKE2 = "rke2"
    PXKE = "pxk-e"
    NONE = "none"


@dataclass(frozen=True)
class ModeTable:
    """What depends on the mode. ``user_data_folder`` is where further user data is read from, file after file."""

    agent_unit: str
    containerd_unit: str
    containerd_socket: str
    user_data_folder: str | None


@dataclass(frozen=True)
class DistributionTable:
    """What depends on the distribution. A container runtime within the distribution's own unit has no unit itself."""

    units: tuple[str, ...]
    runtime_socket: str | None
    kubeconfig: str


MODES = {
    Mode.APPLIANCE: ModeTable(
        agent_unit="stylus-agent",
        containerd_unit="containerd",
        containerd_socket="/run/containerd/containerd.sock",
        user_data_folder="/oem",
    ),
    Mode.AGENT: ModeTable(
        agent_unit="spectro-stylus-agent",
        containerd_unit="spectro-containerd",
        containerd_socket="/run/spectro/containerd/containerd.sock",
        user_data_folder=None,  # one file, /var/lib/spectro/userdata
    ),
}
DISTRIBUTIONS = {
    Distribution.K3S: DistributionTable(
        units=("k3s", "k3s-agent"), runtime_socket="/run/k3s/containerd/containerd.sock", kubeconfig="/run/kubeconfig"
    ),
    Distribution.RKE2: DistributionTable(
        units=("rke2-server", "rke2-agent"),
        runtime_socket="/run/k3s/containerd/containerd.sock",
        kubeconfig="/etc/rancher/rke2/rke2.yaml",
    ),
    Distribution.PXKE: DistributionTable(
        units=("kubelet",),
        runtime_socket=None,  # the mode's containerd
        kubeconfig="/etc/kubernetes/admin.conf",
    ),
}


@dataclass(frozen=True)
class HostLayout:
    """One host's mode and distribution, and the words for what lies where on it.

    ``root`` is the agent's ``STYLUS_ROOT``, "" where it is the host's own root. ``kubernetes_unit`` is the unit that
    runs Kubernetes, None before the host has joined a cluster.
    """

    mode: Mode
    distribution: Distribution
    root: str = ""
    kubernetes_unit: str | None = None

    @property
    def of_mode(self) -> ModeTable:
        """What depends on the mode."""
        return MODES[self.mode]

    @property
    def of_distribution(self) -> DistributionTable | None:
        """What depends on the distribution, if there is one yet."""
        return DISTRIBUTIONS.get(self.distribution)

    @property
    def runtime_unit(self) -> str:
        """The unit in which the node's container runtime runs: K3s and RKE2 carry theirs within their own."""
        if self.distribution in (Distribution.K3S, Distribution.RKE2) and self.kubernetes_unit:
            return self.kubernetes_unit
        return self.of_mode.containerd_unit

    @property
    def cluster_units(self) -> tuple[str, ...]:
        """The units that run on a host of a cluster; only the agent's where no page names those of its Kubernetes."""
        return (self.of_mode.agent_unit, *([self.runtime_unit] if self.kubernetes_unit else []))

    @property
    def runtime_socket(self) -> str:
        """Where the node's container runtime listens."""
        found = self.of_distribution.runtime_socket if self.of_distribution else None
        return found or self.of_mode.containerd_socket

    @property
    def crictl(self) -> str:
        """The command that asks the node's container runtime."""
        if self.distribution == Distribution.K3S:
            return "k3s crictl"
        if self.distribution == Distribution.RKE2:
            return "/var/lib/rancher/rke2/bin/crictl --config /var/lib/rancher/rke2/agent/etc/crictl.yaml"
        return "crictl" if self.mode == Mode.APPLIANCE else f"{self.root}/usr/bin/crictl"


def read_layout(output: str) -> HostLayout:
    """Read what :data:`DETECT` printed.

    Raises:
        UnknownLayoutError: it is no Edge host.
        ValueError: the output is cut short.

    """
    parts = output.split("---\n")
    if len(parts) != _PARTS:
        raise ValueError(f"the look at the layout was cut short: {output[-80:]!a}")
    root, sentinels, units = parts[0].strip().strip(_QUOTES).rstrip("/"), parts[1].split(), _units(parts[2])
    distribution, unit = _distribution(units)
    return HostLayout(_mode(sentinels, units), distribution, root, unit)


def _mode(sentinels: list[str], units: dict[str, bool]) -> Mode:
    if "spectro-stylus-agent" in units or "agent-mode" in sentinels:
        return Mode.AGENT
    if "stylus-agent" in units or any(name.endswith("_mode") for name in sentinels):
        return Mode.APPLIANCE
    raise UnknownLayoutError(
        f"neither of the units {' and '.join(AGENT_UNITS)} is on the host, nor a sentinel in /run/cos: "
        "is it an Edge host of Palette?"
    )


def _distribution(units: dict[str, bool]) -> tuple[Distribution, str | None]:
    """Return the distribution whose unit is active, else the first that is installed, and the unit."""
    there = [
        (not units[unit], distribution, unit)
        for distribution, table in DISTRIBUTIONS.items()
        for unit in table.units
        if unit in units
    ]
    if not there:
        return Distribution.NONE, None
    _, distribution, unit = min(there, key=lambda found: found[0])
    return distribution, unit


def _units(text: str) -> dict[str, bool]:
    """Return the units that are installed, and of each whether it is active."""
    found = {}
    for block in text.strip().split("\n\n"):
        facts = dict(line.partition("=")[::2] for line in block.splitlines())
        if facts.get("LoadState") not in (None, "not-found", "masked"):
            found[facts.get("Id", "").removesuffix(".service")] = facts.get("ActiveState") == "active"
    return found
