"""Which host a pull comes from: by every address that it has or is seen from, and never by a guess."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from edge import HostUnreachable
from harness.pull_addresses import PullAddresses, SharedAddressError, distinct_hosts, sharing


def host(uid: str, address: str, printed: str | None) -> Any:  # noqa: ANN401 - as much of an Edge host as is asked
    """Return a host that prints its addresses, or is not reached."""

    def run(_command: str) -> SimpleNamespace:
        if printed is None:
            raise HostUnreachable(address)
        return SimpleNamespace(stdout=printed)

    return SimpleNamespace(uid=uid, access=SimpleNamespace(address=address), run=run)


def known(*hosts: tuple[str, str, str | None, tuple[str, ...]]) -> PullAddresses:
    """Return what is known of hosts: uid, SSH address, what they print, addresses of the site file."""
    found = PullAddresses()
    for uid, address, printed, given in hosts:
        found.expect(uid, address, given)
        found.learn(host(uid, address, printed))
    return found


@pytest.mark.parametrize(
    ("hosts", "names"),
    [
        ([("a", "10.0.0.1", "10.0.0.1\n192.168.9.7\nfd00::7\n", ())],
         {"10.0.0.1": "a", "192.168.9.7": "a", "fd00::7": "a"}),
        ([("a", "no-such-host.invalid", None, ())], {"no-such-host.invalid": "a"}),
        ([("a", "10.0.0.1", "172.17.0.1", ()), ("b", "10.0.0.2", "172.17.0.1", ())],
         {"10.0.0.1": "a", "10.0.0.2": "b"}),
        ([("a", "10.0.0.1", "10.0.0.1", ("192.0.2.1",)), ("b", "10.0.0.2", "10.0.0.2", ("192.0.2.1",))],
         {"10.0.0.1": "a", "10.0.0.2": "b", "192.0.2.1": "a or b"}),
        ([("a", "192.0.2.1", "10.0.0.1", ()), ("b", "192.0.2.1", "10.0.0.2", ())],
         {"10.0.0.1": "a", "10.0.0.2": "b", "192.0.2.1": "a or b"}),
    ],
)  # fmt: skip
def test_pulls_are_known_by_address(
    hosts: list[tuple[str, str, str | None, tuple[str, ...]]], names: dict[str, str]
) -> None:
    """Second cards and NAT count; a bridge that all have tells nothing; an address that several share is all theirs."""
    assert known(*hosts).names() == names


def test_a_name_stands_for_its_numbers() -> None:
    """SSH reaches a host by a name; it pulls from a number."""
    assert known(("a", "localhost", None, ())).names()["127.0.0.1"] == "a"


def test_a_cluster_behind_a_shared_address_has_its_pulls_and_another_at_the_time_is_refused() -> None:
    """One cluster at a time can be told; when it is over, the next can."""
    shared, others = known(("a", "192.0.2.1", None, ()), ("b", "192.0.2.1", None, ())), [host("b", "192.0.2.1", None)]

    assert shared.begin("one", [host("a", "192.0.2.1", None)], over=False) == ["a", "a or b"]
    with pytest.raises(SharedAddressError, match="a or b share an address: pulls of two clusters"):
        shared.begin("two", others, over=False)
    shared.begin("one", [host("a", "192.0.2.1", None)], over=True)
    assert shared.begin("two", others, over=False) == ["b", "a or b"]


def test_a_host_that_was_not_used_yet_shares_its_address_all_the_same() -> None:
    """The site file says so: a cluster's pulls are never told as those of the first host that was asked."""
    found = PullAddresses()
    for uid in ("a", "b"):
        found.expect(uid, f"{uid}.invalid", ("192.0.2.1",))
    found.learn(host("a", "a.invalid", "10.0.0.1"))

    assert (found.names()["192.0.2.1"], found.names()["10.0.0.1"]) == ("a or b", "a")
    assert found.begin("one", [host("a", "a.invalid", None)], over=False) == ["a", "a or b"]


def test_hosts_that_share_an_address_are_not_told_apart() -> None:
    """Who asks which host it was is refused, instead of being told one of them."""
    assert distinct_hosts(["b", "a", "b"]) == ["b", "a"]
    with pytest.raises(SharedAddressError, match="which of them pulled cannot be told"):
        distinct_hosts(["c", "a or b"])


def test_a_place_names_every_host_that_it_may_be() -> None:
    """Two hosts behind one address pull twice from it, which is once each as far as anybody can tell."""
    names = known(("a", "10.0.0.1", "172.16.0.1", ()), ("b", "10.0.0.1", "172.16.0.2", ())).names()

    assert sharing(names["10.0.0.1"]) == ["a", "b"]
    assert sharing(names["172.16.0.1"]) == ["a"]
