"""Which Edge hosts a site file means, and what of the project a run must leave alone, once Palette can be asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from foreign import UnsafeTextError, host_address, one_line, uid
from harness.sites.site_file import BadSiteFileError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.sites.site_file import SiteFile
    from harness.sites.site_hosts import SoughtHosts, SshTarget
    from palette.client import ProjectView
    from palette.edge_hosts import RegisteredHost


def chosen(file: SiteFile, devices: Iterable[RegisteredHost]) -> SiteFile:
    """Return the site file with every Edge host by uid: those sought by name or tag are found among ``devices``.

    Raises BadSiteFileError when a name or tag is nobody's, when a name is that of several hosts, or when a host that
    is listed is one that must never be touched.
    """
    known = list(devices)
    hosts = dict(file.edge_hosts)
    for sought in file.sought:
        for device in _found(sought, known, file.never_touch.edge_hosts):
            hosts.setdefault(_checked(sought, device), _for(sought, device))
    for device in known:
        if device.uid in hosts and device.name in file.never_touch.edge_hosts:
            raise BadSiteFileError(
                f"{file.path.name}: edge_hosts: {device.uid!r} is {device.name!r} of never_touch; remove one of them"
            )
    return replace(file, edge_hosts=hosts, sought=())


def _found(sought: SoughtHosts, known: list[RegisteredHost], untouched: frozenset[str]) -> list[RegisteredHost]:
    found = [device for device in known if _is_meant(sought, device)]
    if not found:
        names = one_line(", ".join(sorted(_described(sought, device) for device in known)) or "none")
        raise BadSiteFileError(f"{sought.place}: no Edge host of the project has {sought.value!r}; there are: {names}")
    if sought.by == "name" and len(found) > 1:
        uids = one_line(", ".join(device.uid for device in found))
        raise BadSiteFileError(f"{sought.place}: {sought.value!r} is the name of {uids}; write the uid of one")
    return [device for device in found if not {device.uid, device.name} & untouched]


def _is_meant(sought: SoughtHosts, device: RegisteredHost) -> bool:
    if sought.by == "name":
        return device.name == sought.value
    key, _, value = sought.value.partition(":")
    return device.labels.get(key) == value


def _described(sought: SoughtHosts, device: RegisteredHost) -> str:
    tags = ", ".join(f"{key}:{value}" for key, value in sorted(device.labels.items())) or "no tag"
    return device.name if sought.by == "name" else f"{device.name} ({tags})"


def _checked(sought: SoughtHosts, device: RegisteredHost) -> str:
    try:
        return uid(device.uid)
    except UnsafeTextError as error:
        raise BadSiteFileError(
            f"{sought.place}: Palette's uid of an Edge host: {error}; no run uses such a host"
        ) from None


def _for(sought: SoughtHosts, device: RegisteredHost) -> SshTarget:
    """Return how a host is reached, with Palette's address and name of it where they belong, if they can be that."""
    address = sought.target.address.replace("{address}", device.address).replace("{name}", device.name)
    try:
        return replace(sought.target, address=host_address(address))
    except UnsafeTextError as error:
        right = "correct it in Palette, or list the host by its uid with its address"
        raise BadSiteFileError(
            f"{sought.place}: the address of Edge host {one_line(device.uid)}: {error}; {right}"
        ) from None


def untouched_uids(file: SiteFile, project: ProjectView) -> frozenset[str]:
    """Return the uids of all that the site file says must never be touched; what it calls by name is looked up."""
    named = file.never_touch
    clusters = ((cluster.uid, cluster.name) for cluster in project.clusters.search()) if named.clusters else ()
    profiles = ((profile.uid, profile.name) for profile in project.profiles.list()) if named.profiles else ()
    devices = ((host.uid, host.name) for host in project.edge_hosts.search()) if named.edge_hosts else ()
    pairs = ((clusters, named.clusters), (profiles, named.profiles), (devices, named.edge_hosts))
    found = {uid for things, names in pairs for uid, name in things if {uid, name} & names}
    return frozenset(found | named.clusters | named.profiles | named.edge_hosts)
