"""The lab's network takes addresses that nothing else of the machine leads to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lab import hosts

ROUTES = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n" + "".join(
    f"eth0 {to} 00000000 0001 0 0 0 {mask} 0 0 0\n" for to, mask in [("00000000", "00000000"), ("00001CAC", "0000FEFF")]
)


@pytest.mark.parametrize(
    ("routes", "gateway"), [(ROUTES, "172.30.0.1"), (None, "172.28.1.1"), ("Iface\n", "172.28.1.1")]
)
def test_a_companys_network_is_not_shut_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, routes: str | None, gateway: str
) -> None:
    """A range to which a VPN of this machine leads is the last to be taken; the engine's own are never."""
    monkeypatch.setattr(hosts, "ROUTES", tmp_path / "route")
    if routes is not None:
        (tmp_path / "route").write_text(routes)
    theirs = SimpleNamespace(attrs={"IPAM": {"Config": [{"Subnet": "172.28.0.0/24"}, {"Subnet": "fd00::/64"}]}})
    networks = SimpleNamespace(list=lambda: [theirs], create=lambda _name, **_options: SimpleNamespace())
    client: Any = SimpleNamespace(networks=networks)

    assert hosts.create_network(client, "lab", {}).gateway == gateway
