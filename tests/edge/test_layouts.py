"""Mode and distribution are told apart by what a host prints, and each has its own words for what lies where."""

from __future__ import annotations

import pytest

from edge.layouts import AGENT_UNITS, RUNTIME_UNITS, Distribution, HostLayout, Mode, UnknownLayoutError, read_layout


def printed(*active: str, idle: tuple[str, ...] = (), root: str = "", sentinels: str = "") -> str:
    """Return what a host with these units prints, as ``systemctl show`` and ``ls`` have it."""
    blocks = []
    for unit in AGENT_UNITS + RUNTIME_UNITS:
        load = "loaded" if unit in (*active, *idle) else "not-found"
        state = "active" if unit in active else "inactive"
        blocks.append(f"Id={unit}.service\nLoadState={load}\nActiveState={state}\n")
    return f"{root}\n---\n{sentinels}---\n" + "\n".join(blocks)


APPLIANCE = "/run/cos:\nactive_mode\n"
AGENT = "/persistent/spectro/opt/spectrocloud/state:\nagent-mode\nsetup_done\n"


@pytest.mark.parametrize(
    ("output", "layout", "runtime", "crictl"),
    [
        (
            printed("stylus-agent", idle=("containerd",), sentinels=APPLIANCE),
            HostLayout(Mode.APPLIANCE, Distribution.NONE),
            ("containerd", "/run/containerd/containerd.sock"),
            "crictl",
        ),
        (
            printed("stylus-agent", "k3s", idle=("k3s-agent",), sentinels=APPLIANCE),
            HostLayout(Mode.APPLIANCE, Distribution.K3S, "", "k3s"),
            ("k3s", "/run/k3s/containerd/containerd.sock"),
            "k3s crictl",
        ),
        (
            printed("stylus-agent", "k3s-agent", idle=("k3s",), sentinels=APPLIANCE),
            HostLayout(Mode.APPLIANCE, Distribution.K3S, "", "k3s-agent"),
            ("k3s-agent", "/run/k3s/containerd/containerd.sock"),
            "k3s crictl",
        ),
        (
            printed("stylus-agent", "rke2-server", idle=("rke2-agent",), sentinels=APPLIANCE),
            HostLayout(Mode.APPLIANCE, Distribution.RKE2, "", "rke2-server"),
            ("rke2-server", "/run/k3s/containerd/containerd.sock"),
            "/var/lib/rancher/rke2/bin/crictl --config /var/lib/rancher/rke2/agent/etc/crictl.yaml",
        ),
        (
            printed("stylus-agent", "kubelet", "containerd", sentinels=APPLIANCE),
            HostLayout(Mode.APPLIANCE, Distribution.PXKE, "", "kubelet"),
            ("containerd", "/run/containerd/containerd.sock"),
            "crictl",
        ),
        (
            printed("spectro-stylus-agent", "kubelet", root='"/persistent/spectro"', sentinels=AGENT),
            HostLayout(Mode.AGENT, Distribution.PXKE, "/persistent/spectro", "kubelet"),
            ("spectro-containerd", "/run/spectro/containerd/containerd.sock"),
            "/persistent/spectro/usr/bin/crictl",
        ),
        (
            printed("rke2-agent", root="/", sentinels=AGENT),
            HostLayout(Mode.AGENT, Distribution.RKE2, "", "rke2-agent"),
            ("rke2-agent", "/run/k3s/containerd/containerd.sock"),
            "/var/lib/rancher/rke2/bin/crictl --config /var/lib/rancher/rke2/agent/etc/crictl.yaml",
        ),
    ],
)  # fmt: skip
def test_a_layout_is_read_from_what_a_host_prints(
    output: str, layout: HostLayout, runtime: tuple[str, str], crictl: str
) -> None:
    """Units, sentinels and the agent's root tell mode and distribution, and those where the runtime is."""
    found = read_layout(output)

    assert found == layout
    assert ((found.runtime_unit, found.runtime_socket), found.crictl) == (runtime, crictl)


def test_what_is_no_edge_host_is_named_so() -> None:
    """A host without any trace of Palette's agent is not taken for one; output that is cut short is no answer."""
    with pytest.raises(UnknownLayoutError, match="stylus-agent and spectro-stylus-agent"):
        read_layout(printed("k3s"))
    with pytest.raises(ValueError, match="cut short"):
        read_layout(printed("k3s").partition("---")[0])
