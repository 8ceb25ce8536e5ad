"""From which addresses Edge hosts pull, and what can be said where several hosts share one."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge import HostUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge import EdgeHost

#: Prints the addresses of a host, without those that it shares with every other.
OWN_ADDRESSES = 'ip -o addr show scope global 2>/dev/null | awk \'{sub("/.*", "", $4); print $4}\''
_OR = " or "


class SharedAddressError(Exception):
    """Several hosts pull from one address, and a case needs to know which of them it was."""


@dataclass
class PullAddresses:
    """The addresses of each host: those that it has ``itself``, and those ``outside`` under which others see it.

    An address outside may be shared, by NAT or by forwarded ports; then its pulls are those of "edge-1 or edge-2". An
    address that hosts have themselves and share, such as a bridge's, tells nothing and never arrives.
    """

    itself: dict[str, set[str]] = field(default_factory=dict)
    outside: dict[str, set[str]] = field(default_factory=dict)
    _busy: dict[str, str] = field(default_factory=dict)

    def expect(self, uid: str, address: str, given: Iterable[str] = ()) -> None:
        """Note under which addresses the site file has a host, used or not: whoever shares one is not told apart."""
        if uid not in self.outside:
            self.outside[uid] = {*given, *numbers_of(address)}

    def learn(self, host: EdgeHost) -> None:
        """Ask a host for its addresses, once."""
        self.expect(host.uid, host.access.address)
        if host.uid not in self.itself:
            self.itself[host.uid] = own_addresses(host)

    def names(self) -> dict[str, str]:
        """Return what the pulls from each address are told as: a host, or several that share it."""
        found: dict[str, str] = {}
        for address in {each for known in (self.itself, self.outside) for all_ in known.values() for each in all_}:
            uids = sorted(uid for uid, seen in self.outside.items() if address in self.itself.get(uid, set()) | seen)
            if len(uids) == 1 or any(address in each for each in self.outside.values()):
                found[address] = _OR.join(uids)
        return found

    def begin(self, cluster: str, hosts: Sequence[EdgeHost], *, over: bool) -> list[str]:
        """Return as what a cluster's pulls may arrive, from now on (until they are ``over``) its own.

        Raises:
            SharedAddressError: another cluster's pulls would come from the same address at the same time.

        """
        uids = {host.uid for host in hosts}
        shared = [name for name in set(self.names().values()) if _OR in name and uids & set(name.split(_OR))]
        for name in shared:
            if over:
                self._busy.pop(name, None)
            elif self._busy.setdefault(name, cluster) != cluster:
                raise SharedAddressError(f"{name} share an address: pulls of two clusters cannot be told apart")
        return [*sorted(uids), *shared]


def sharing(place: str) -> list[str]:
    """Return the hosts that the pulls of one place may be from: one, or all that share its address."""
    return place.split(_OR)


def distinct_hosts(hosts: Iterable[str]) -> list[str]:
    """Return hosts in the order in which they come, each once. Raises SharedAddressError for what may be several."""
    order = list(dict.fromkeys(hosts))
    if shared := next((name for name in order if _OR in name), ""):
        raise SharedAddressError(f"{shared} share an address: which of them pulled cannot be told")
    return order


def own_addresses(host: EdgeHost) -> set[str]:
    """Return the addresses that a host has; none when it cannot be asked."""
    with suppress(HostUnreachable):
        return set(str(host.run(OWN_ADDRESSES).stdout).split())
    return set()


def numbers_of(address: str) -> set[str]:
    """Return an address and, for a name, the numbers that it stands for."""
    with suppress(OSError):
        return {address, *(str(info[4][0]) for info in socket.getaddrinfo(address, None))}
    return {address}
