"""The network of a site's clusters, and what a host's own configuration would do to their pulls."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface
from shlex import quote
from typing import TYPE_CHECKING

from doctor.findings import Finding, Kind
from foreign import is_ip
from harness.pull_addresses import numbers_of
from harness.sites.base_profile import EXTERNAL
from reports.text import plural

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from doctor.from_host import HostView
    from harness.sites.site_file import SiteFile
    from palette.edge_hosts import RegisteredHost

#: Files of user data (docs/palette.md §5.1), and where runtimes are told to trust anybody.
USER_DATA = "/oem/*.yaml /oem/*.yml /usr/local/cloud-config/*.yaml /var/lib/spectro/userdata"
RUNTIMES = "/etc/containerd/certs.d/*/hosts.toml /etc/rancher/*/registries.yaml /etc/containers/registries.conf"
INSECURE = ("insecure", "allow-insecure-registries", "insecure_skip_verify", "skip_verify")
#: What YAML and TOML take for true, as Go reads them.
TRUE = r"""["']?(true|yes|on|y)\>"""


def settings(keys: Sequence[str], files: str, value: str = "") -> str:
    """Return a command that prints ``file:key:value`` where a file sets one of the keys, quoted or in braces as well.

    What stands before a key is not printed: it may be a secret. Comments do not count.
    """
    setting = rf"""["']?({"|".join(keys)})["']?[[:space:]]*[:=][[:space:]]*{value}"""
    found, shortened = rf"^([^#]*[[:space:]{{,])?{setting}", rf"s/:.*[[:space:]{{,]({setting})/:\1/I"
    return f"grep -osiE {quote(found)} /dev/null {files} | sed -E {quote(shortened)}"


#: Prints the host's addresses with their networks, and keys of its configuration with their files; never a value.
LOOK = (
    "ip -o addr show scope global 2>/dev/null | awk '{print $4}'; echo ---; "
    f"{settings(EXTERNAL, USER_DATA)}; echo ---; {settings(INSECURE, f'{USER_DATA} {RUNTIMES}', TRUE)}"
)
#: Asks for each of the words, all at once, and prints the neighbours that are known then.
NEIGHBOURS = (
    'ask() {{ ping -c 1 -W 1 "$1" || timeout 2 bash -c "exec 3<>/dev/tcp/$1/6443"; }}; '
    'for address in {words}; do ask "$address" >/dev/null 2>&1 & done; wait; ip neigh show'
)
_THERE = re.compile(r"^(\S+) .*lladdr (\S+) .*(REACHABLE|STALE|DELAY|PROBE|PERMANENT)", re.MULTILINE)
_PARTS = 3
_OTHERS = "name free addresses of the hosts' network as cluster.vip"


def in_palette(file: SiteFile, devices: Sequence[RegisteredHost], endpoints: Collection[str]) -> Iterator[Finding]:
    """Yield what Palette's hosts and clusters say about the virtual IPs."""
    vips, place = file.cluster.vips, "cluster.vip"
    if not vips and not file.cluster.overlay:
        said = "neither a virtual IP nor an overlay is named: Palette is asked to assign one, which not all versions do"
        yield Finding(Kind.NOT_CHECKED, place, said, _OTHERS)
    own = {device.address: device.uid for device in devices if device.address}
    for vip in vips:
        if vip in own:
            yield Finding(Kind.NETWORK, place, f"{vip} is the address of Edge host {own[vip]}", _OTHERS)
        elif vip in endpoints:
            yield Finding(
                Kind.NETWORK, place, f"{vip} is the endpoint of another cluster", f"wait for it, or {_OTHERS}"
            )
    if vips and len(vips) < len(file.edge_hosts):
        number, hosts = plural(len(vips), "virtual IP"), plural(len(file.edge_hosts), "Edge host")
        said = f"there are {number} for {hosts}: so many clusters run at a time, and others wait"
        yield Finding(Kind.NOTE, place, said, "name one for each host")


def from_host(view: HostView) -> list[Finding]:
    """Return what a host says about the virtual IPs, and what of its configuration would change pulls."""
    parts = [part.split("\n") for part in str(view.host.run(LOOK).stdout).split("---\n")]
    if len(parts) != _PARTS:
        return [view.finding(Kind.NOT_CHECKED, "its network could not be looked at", "run the doctor again")]
    own = list(_interfaces(parts[0]))
    view.addresses.update(str(each.ip) for each in own)
    return [*_vips(view, own), *_keys(view, parts[1]), *_insecure(view, parts[2])]


def _interfaces(lines: Sequence[str]) -> Iterator[IPv4Interface | IPv6Interface]:
    for line in lines:
        with suppress(ValueError):
            yield ip_interface(line.strip())


def _vips(view: HostView, own: Sequence[IPv4Interface | IPv6Interface]) -> Iterator[Finding]:
    numbers = [vip for vip in view.vips if is_ip(vip)]
    there = _neighbours(view, numbers) if view.asks_neighbours and numbers else {}
    for vip in numbers:
        address = ip_address(vip)
        if any(address == each.ip for each in own):
            yield view.finding(Kind.NETWORK, f"cluster.vip {vip} is an address of its own", _OTHERS)
        elif own and not any(address in each.network for each in own):
            networks = ", ".join(str(each.network) for each in own)
            yield view.finding(Kind.NETWORK, f"cluster.vip {vip} is in none of its networks: {networks}", _OTHERS)
        elif vip in there:
            yield view.finding(Kind.NETWORK, f"cluster.vip {vip} is in use: {there[vip]} answers for it", _OTHERS)


def _neighbours(view: HostView, addresses: Sequence[str]) -> Mapping[str, str]:
    command = NEIGHBOURS.format(words=" ".join(["%s"] * len(addresses)))
    return {found[1]: found[2] for found in _THERE.finditer(str(view.host.run(command, *addresses).stdout))}


def _keys(view: HostView, lines: Sequence[str]) -> Iterator[Finding]:
    for file, key in _found(lines):
        said = f"{file} has {key}: Palette then ignores the credentials of the profile"
        yield view.finding(Kind.USER_DATA, said, "remove it, or list another host")


def _insecure(view: HostView, lines: Sequence[str]) -> Iterator[Finding]:
    for file, setting in _found(lines):
        said = f"{file} has {setting}: certificates are not checked, and cases about TLS would accuse Palette"
        yield view.finding(Kind.INSECURE, said, "remove it, or list another host")


def _found(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        file, _, text = line.partition(":")
        if file.startswith("/") and text:
            yield file, text.replace('"', "").replace("'", "").strip().removesuffix(":").strip()


def seen_from(view: HostView) -> Iterator[Finding]:
    """Yield where this machine sees the host's requests come from, if the host is not known by that address."""
    if view.listener is None:
        return
    known = view.addresses | numbers_of(view.host.access.address) | set(view.pull_addresses)
    for address in sorted(view.listener.peers.get(view.token, set()) - known):
        said = f"its requests come from {address}, which is no address of its own (NAT)"
        yield view.finding(Kind.PULLS, said, f"write pull_addresses: [{address}] at the host")


def shared(views: Sequence[HostView]) -> Iterator[Finding]:
    """Yield a note for each address from which requests of several hosts came."""
    by_address: dict[str, list[str]] = {}
    for view in views:
        for address in view.listener.peers.get(view.token, ()) if view.listener else ():
            by_address.setdefault(address, []).append(view.host.uid)
    for address, uids in sorted(by_address.items()):
        if len(uids) > 1:
            said = f"requests of {', '.join(uids)} come from one address, {address}"
            advice = "cases that need to know which host pulled are not covered"
            yield Finding(Kind.NOTE, "pull_addresses", said, advice)
