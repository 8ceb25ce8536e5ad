"""The hosts of a site file: which are used, which are left alone, and how each is reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal

from edge.access import taken_apart
from foreign import UnsafeTextError, host_address, uid, user_name
from harness.sites.cluster_network import HostNetwork, read_host_network
from harness.sites.site_references import SiteText, file_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LAST_PORT = 65535
#: What stands for Palette's words in the address of a host that is sought.
_FROM_PALETTE = ("{address}", "{name}")


@dataclass(frozen=True)
class SshTarget:
    """``user@host[:port]``, taken apart; what is None is as the site file has it for all hosts.

    ``pull_addresses`` are those from which it reaches this machine, where they are not its own (NAT).
    For hosts that are sought by name or tag, ``{address}`` and ``{name}`` stand for what Palette says of each.
    """

    user: str
    address: str
    port: int = 22
    key: Path | None = None
    jump: str | None = None
    sudo: bool | None = None
    network: HostNetwork = field(default_factory=HostNetwork)
    pull_addresses: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> SshTarget:
        """Read what the schema has let through."""
        user, _, place = text.rpartition("@")
        if place.startswith("["):
            address, _, port = place[1:].partition("]")
            return cls(user, address, int(port[1:] or 22))
        address, _, port = place.partition(":")
        return cls(user, address, int(port or 22))


@dataclass(frozen=True)
class SoughtHosts:
    """Edge hosts that a site file names otherwise than by uid: by ``name``, or every one with a ``tag``."""

    place: str
    by: Literal["name", "tag"]
    value: str
    target: SshTarget


@dataclass(frozen=True)
class NeverTouch:
    """What a run must leave alone, by name or uid."""

    clusters: frozenset[str] = frozenset()
    profiles: frozenset[str] = frozenset()
    edge_hosts: frozenset[str] = frozenset()


def section(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a section of a site file; an empty one for what is none."""
    found = document.get(key)
    return found if isinstance(found, Mapping) else {}


def hosts_of(site: SiteText, listed: object) -> Mapping[str, SshTarget]:
    """Return the Edge hosts that are named by their uid; what is wrong with one is noted."""
    hosts: dict[str, SshTarget] = {}
    for place, host in _listed(listed):
        if "uid" in host and (target := site.attempt(place, _target, site, place, host)) is not None:
            if host["uid"] in hosts:
                said = f"{host['uid']!r} is listed twice"
                site.note(f"{place}.uid", site.wrong(f"{place}.uid", said))
            hosts[host["uid"]] = target
    return hosts


def sought_hosts(site: SiteText, listed: object) -> tuple[SoughtHosts, ...]:
    """Return those that are named otherwise; what is wrong with one is noted."""
    wanted = ((place, host) for place, host in _listed(listed) if "uid" not in host)
    return tuple(site.attempt(place, _sought_host, site, place, host) for place, host in wanted)


def _listed(hosts: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, host in enumerate(hosts if isinstance(hosts, list) else ()):
        yield f"edge_hosts[{number}]", host if isinstance(host, Mapping) else {}


def _sought_host(site: SiteText, place: str, host: Mapping[str, Any]) -> SoughtHosts:
    target = _target(site, place, host)
    by: Literal["name", "tag"] = "name" if "name" in host else "tag"
    if by == "tag" and not any(word in target.address for word in _FROM_PALETTE):
        right = "{address} or {name} stands for what Palette says of each host, as in 'kairos@{address}'"
        raise site.wrong(f"{place}.ssh", f"many hosts may have a tag; {right}")
    return SoughtHosts(f"{site.path.name}: {place}.{by}", by, host[by], target)


def _target(site: SiteText, place: str, host: Mapping[str, Any]) -> SshTarget:
    """Return how a host is reached that is named by its uid, its name or a tag, and only one of them."""
    given = [key for key in ("uid", "name", "tag") if key in host]
    if not given:
        right = "uid: the Edge host's identity in Palette, or name: its name, or tag: key:value for every such host"
        raise site.wrong(place, f"'uid' is missing; write {right}")
    if len(given) > 1:
        raise site.wrong(place, f"found {' and '.join(given)}; write one of them")
    target = SshTarget.parse(host["ssh"])
    _reachable(site, f"{place}.ssh", target, sought="uid" not in host)
    try:
        uid(host.get("uid", "none"))
    except UnsafeTextError as error:
        raise site.wrong(f"{place}.uid", f"{error}; write the Edge host's uid in Palette") from None
    key = file_at(site, f"{place}.key", host.get("key"))
    return replace(
        target,
        key=key,
        jump=jump_of(site, f"{place}.jump", host.get("jump")),
        sudo=host.get("sudo"),
        network=read_host_network(site, place, host),
        pull_addresses=_numbers(site, f"{place}.pull_addresses", host.get("pull_addresses", ())),
    )


def _numbers(site: SiteText, place: str, addresses: Iterable[str]) -> tuple[str, ...]:
    for address in addresses:
        try:
            ip_address(address)
        except ValueError as error:
            raise site.wrong(place, f"{error}; write addresses as numbers, as this machine sees them") from error
    return tuple(addresses)


def _reachable(site: SiteText, place: str, target: SshTarget, *, sought: bool) -> None:
    if not 1 <= target.port <= LAST_PORT:
        raise site.wrong(place, f"found port {target.port}; write a port from 1 to {LAST_PORT}")
    address = target.address
    if ":" in target.user:
        raise site.wrong(place, "a password stands behind the user's name; write user@host[:port], keys log in")
    for word in _FROM_PALETTE if sought else ():
        address = address.replace(word, "x")
    try:
        user_name(target.user)
        host_address(address)
    except UnsafeTextError as error:
        raise site.wrong(place, f"{error}; write user@host[:port]") from None


def jump_of(site: SiteText, place: str, text: str | None) -> str | None:
    """Return a jump host, checked; several are the user's configuration's of ssh to know."""
    try:
        if text is not None and "," not in text:
            taken_apart(text)
    except UnsafeTextError as error:
        raise site.wrong(place, f"{error}; write user@host[:port]") from None
    return text


def never_touch_of(site: SiteText, document: Mapping[str, Any]) -> NeverTouch:
    """Return what is to be left alone. Raises BadSiteFileError for a host that is to be used as well."""
    given = section(document, "never_touch")
    untouched = NeverTouch(**{kind: frozenset(names) for kind, names in given.items()})
    for place, host in _listed(document.get("edge_hosts")):
        name = host.get("uid") or host.get("name")
        if name in untouched.edge_hosts:
            raise site.wrong(place, f"{name!r} is also in never_touch.edge_hosts; remove one of them")
    return untouched
