"""Hosts that are laid out as agent mode and as each distribution are found to be, and the same words lead to them."""

from __future__ import annotations

import pytest

from edge import Distribution, Mode
from edge.layouts import HostLayout
from fixtures.undocumented import require_documented_units
from fixtures.user_data import restart_agent, user_data
from harness.run import NotCovered
from tests.third_party.conftest import ThirdPartySite

#: What the agent is in agent mode: another unit, with its own environment. It is the same agent all the same.
AS_AGENT_MODE = (
    "mkdir -p /etc/spectro && echo STYLUS_ROOT=/persistent/spectro > /etc/spectro/environment && "
    "cp $(systemctl show -p FragmentPath --value stylus-agent) /run/systemd/system/spectro-stylus-agent.service && "
    "cp $(systemctl show -p FragmentPath --value containerd) /run/systemd/system/spectro-containerd.service && "
    "systemctl daemon-reload && systemctl stop stylus-agent && systemctl start spectro-stylus-agent"
)
AS_BEFORE = (
    "systemctl stop spectro-stylus-agent; rm -r /etc/spectro /run/systemd/system/spectro-*.service; "
    "systemctl daemon-reload; systemctl start stylus-agent"
)
KUBERNETES = "printf '[Service]\\nExecStart=/bin/sleep inf\\n' > /run/systemd/system/{0}.service; systemctl start {0}"
NO_KUBERNETES = "systemctl stop {0}; rm /run/systemd/system/{0}.service; systemctl daemon-reload"


def test_a_host_in_agent_mode_is_found_by_the_same_words(third_party: ThirdPartySite) -> None:
    """Agent and runtime of a host in agent mode have other units; the words give those, and the agent restarts."""
    with third_party.done_on_host(AS_AGENT_MODE, AS_BEFORE), third_party.host() as host:
        layout = host.layout()
        assert (layout.mode, layout.root, host.crictl) == (
            Mode.AGENT, "/persistent/spectro", "/persistent/spectro/usr/bin/crictl",
        )  # fmt: skip
        assert (host.agent_unit, host.runtime_unit) == ("spectro-stylus-agent", "spectro-containerd")
        restart_agent(host)
        assert host.unit(host.agent_unit).is_running
        with pytest.raises(NotCovered, match="agent-mode"), user_data(host, {}):
            pass


def test_a_host_in_appliance_mode_is_found_by_the_same_words(third_party: ThirdPartySite) -> None:
    """An appliance's agent, runtime and user data are where the vendor's images have them."""
    with third_party.host() as host:
        assert (host.layout().mode, host.layout().distribution) == (Mode.APPLIANCE, Distribution.NONE)
        assert host.unit(host.agent_unit).is_running
        assert host.unit(host.runtime_unit).is_running
        assert host.file(f"{host.user_data_folder}/90_custom.yaml").exists


def test_a_kubernetes_that_no_page_describes_is_not_covered() -> None:
    """Of a host of a cluster without a documented unit the agent's is looked at, and the case says what is not."""
    layout = HostLayout(Mode.APPLIANCE, Distribution.NONE)

    assert layout.cluster_units == ("stylus-agent",)
    with pytest.raises(NotCovered, match=r"no unit of k3s, rke2, pxk-e, and no page .*Canonical"):
        require_documented_units(layout)


@pytest.mark.parametrize(
    ("unit", "distribution", "runtime"),
    [
        ("k3s", Distribution.K3S, "k3s"),
        ("k3s-agent", Distribution.K3S, "k3s-agent"),
        ("rke2-server", Distribution.RKE2, "rke2-server"),
        ("rke2-agent", Distribution.RKE2, "rke2-agent"),
        ("kubelet", Distribution.PXKE, "containerd"),
    ],
)
def test_each_distribution_is_found(
    third_party: ThirdPartySite, unit: str, distribution: Distribution, runtime: str
) -> None:
    """A distribution is found by its unit, on servers and on workers; the runtime is its own or the mode's."""
    with third_party.done_on_host(KUBERNETES.format(unit), NO_KUBERNETES.format(unit)), third_party.host() as host:
        assert (host.layout().distribution, host.runtime_unit) == (distribution, runtime)
        assert host.unit(host.runtime_unit).is_running
