"""Which host a pull comes from: by every address that the host has, not only by the one SSH uses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from edge import HostUnreachable
from harness.private_registry import addresses_of, known_addresses


def host(address: str, printed: str | None) -> Any:  # noqa: ANN401 - as much of an Edge host as is asked
    """Return a host that prints its addresses, or is not reached."""

    def run(_command: str) -> SimpleNamespace:
        if printed is None:
            raise HostUnreachable(address)
        return SimpleNamespace(stdout=printed)

    return SimpleNamespace(access=SimpleNamespace(address=address), run=run)


def test_a_host_that_is_named_pulls_from_its_numbers() -> None:
    """SSH reaches it by a name or through a second card; what it pulls from is known all the same."""
    found = addresses_of(host("localhost", "10.0.0.7\n192.168.9.7\nfd00::7\n"))

    assert found >= {"localhost", "127.0.0.1", "10.0.0.7", "192.168.9.7", "fd00::7"}


def test_a_host_that_is_not_reached_is_known_by_its_address() -> None:
    """Without an answer, and without a name that resolves, the address of the site file is all there is."""
    assert addresses_of(host("no-such-host.invalid", None)) == {"no-such-host.invalid"}


def test_an_address_that_two_hosts_have_tells_nothing() -> None:
    """A bridge has the same address everywhere; pulls are never told of the wrong host."""
    found = known_addresses({"edge-1": {"10.0.0.1", "172.17.0.1"}, "edge-2": {"10.0.0.2", "172.17.0.1"}})

    assert found == {"10.0.0.1": "edge-1", "10.0.0.2": "edge-2"}
