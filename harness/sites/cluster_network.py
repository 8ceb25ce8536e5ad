"""The ``cluster`` section of a site file: what every cluster of a run is asked to be like on the site's network."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from foreign import is_ip
from harness.sites.site_schema import is_a_hosts
from palette.cluster_request import MachinePool, PoolHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sites.site_references import SiteText
    from palette.cluster_request import EndpointType

#: Hosts of a two-node cluster.
TWO = 2
#: A range with more addresses is a slip of the pen: no run has that many clusters at a time.
MOST_VIPS = 256
_RANGE = re.compile(r"(?P<first>[0-9A-Fa-f]*[.:][0-9A-Fa-f.:]*)\s*-\s*(?P<last>[0-9A-Fa-f.:]+)")
#: Addresses of the smallest overlay: one for the endpoint and one for a host, with those of the network itself.
LEAST_OVERLAY, WIDEST = 4, 8


@dataclass(frozen=True)
class ClusterNetwork:
    """Words of the vendor's Terraform provider: ``vips`` are the addresses of which each running cluster has one."""

    vips: tuple[str, ...] = ()
    overlay: str = ""
    ntp_servers: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    control_plane_as_worker: bool = True
    two_node: bool = False
    endpoint: EndpointType = "VIP"
    search_domain: str = ""

    @property
    def overlay_endpoint(self) -> str:
        """The first address of the overlay's range, which is the endpoint of a cluster without a virtual IP."""
        return str(ipaddress.ip_network(self.overlay, strict=False)[1]) if self.overlay else ""


def read_cluster_network(site: SiteText, given: Mapping[str, Any]) -> ClusterNetwork:
    """Read the section. Raises BadSiteFileError."""
    vips = given.get("vip", ())
    listed = [vips] if isinstance(vips, str) else list(vips)
    found = [address for text in listed for address in _addresses(site, text)]
    if doubled := sorted({address for address in found if found.count(address) > 1}):
        raise site.wrong("cluster.vip", f"{', '.join(doubled)} is there twice; write each once")
    return ClusterNetwork(
        tuple(found),
        _overlay(site, given.get("overlay_cidr_range", "")),
        tuple(given.get("ntp_servers", ())),
        tuple(given.get("ssh_keys", ())),
        given.get("control_plane_as_worker", True),
        given.get("two_node", False),
        *_endpoint(site, given),
    )


def _endpoint(site: SiteText, given: Mapping[str, Any]) -> tuple[EndpointType, str]:
    kind, domain = given.get("endpoint_type", "VIP"), given.get("ddns_search_domain", "")
    if kind != "VIP" and not given.get("vip"):
        raise site.wrong("cluster.endpoint_type", f"{kind} needs names or addresses; write them as cluster.vip")
    if domain and kind != "DDNS":
        raise site.wrong("cluster.ddns_search_domain", f"the endpoint is of type {kind}; write endpoint_type: DDNS")
    return kind, domain


@dataclass(frozen=True)
class HostNetwork:
    """What an Edge host is to be called and to make of a network interface, in the words of the vendor's provider."""

    host_name: str = ""
    nic_name: str = ""
    static_ip: str = ""
    subnet_mask: str = ""
    default_gateway: str = ""
    dns_servers: tuple[str, ...] = ()

    def nic(self) -> dict[str, object]:
        """Return the interface in Palette's spelling (``v1Nic``), without what is not said."""
        fields = {
            "nicName": self.nic_name, "ip": self.static_ip, "subnet": self.subnet_mask,
            "gateway": self.default_gateway, "dns": list(self.dns_servers),
        }  # fmt: skip
        return {key: value for key, value in fields.items() if value}


def read_host_network(site: SiteText, place: str, given: Mapping[str, Any]) -> HostNetwork:
    """Read the network of one of ``edge_hosts``. Raises BadSiteFileError."""
    words = {key: given[key] for key in HostNetwork.__dataclass_fields__ if key in given}
    if "tag" in given and words:
        said = f"many hosts may have a tag; write {next(iter(words))} at hosts named by uid or name"
        raise site.wrong(f"{place}.{next(iter(words))}", said)
    if words.get("static_ip"):
        _static(site, place, words)
    return HostNetwork(**{**words, "dns_servers": tuple(words.get("dns_servers", ()))})


def _static(site: SiteText, place: str, words: Mapping[str, Any]) -> None:
    """Refuse a static address that is none, or has no mask, or a gateway that it cannot reach."""
    if missing := [key for key in ("nic_name", "subnet_mask") if key not in words]:
        raise site.wrong(f"{place}.static_ip", f"a static address needs {' and '.join(missing)} as well")
    try:
        network = ipaddress.ip_interface(f"{words['static_ip']}/{words['subnet_mask']}").network
        gateway = ipaddress.ip_address(words.get("default_gateway", words["static_ip"]))
    except ValueError as error:
        raise site.wrong(f"{place}.static_ip", f"{error}; write an address, and a mask as in 255.255.255.0") from error
    if words["static_ip"] in {str(network[0]), str(network[-1])} and network.num_addresses > TWO:
        said = f"{words['static_ip']} stands for the network {network} itself"
        raise site.wrong(f"{place}.static_ip", f"{said}; write the address of a host")
    if gateway not in network:
        said = f"{gateway} is not in {network}, the network of {words['static_ip']}"
        raise site.wrong(f"{place}.default_gateway", f"{said}; write an address of it")


def _addresses(site: SiteText, text: str) -> Sequence[str]:
    """Return the address or name that a text is, or every address of a range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return (_one(site, text),)
    try:
        first, last = (ipaddress.ip_address(match[name]) for name in ("first", "last"))
        count = int(last) - int(first) + 1
    except ValueError as error:
        raise site.wrong("cluster.vip", f"{text!r}: {error}; write FIRST-LAST") from error
    if first.version != last.version or not 1 <= count <= MOST_VIPS:
        right = f"write FIRST-LAST in order, at most {MOST_VIPS} addresses"
        raise site.wrong("cluster.vip", f"{text!r} is a range of {count} addresses; {right}")
    return [str(first + number) for number in range(count)]


def _one(site: SiteText, text: str) -> str:
    """Return a name as it stands, and an address as Palette writes it."""
    try:
        if is_a_hosts(text) and "%" not in text:
            return str(ipaddress.ip_address(text)) if is_ip(text) else text
        said = f"no host can have {text!a}"
    except ValueError as error:
        said = str(error)
    raise site.wrong("cluster.vip", f"{said}; write an address without mask or port, FIRST-LAST, or a host name")


def _overlay(site: SiteText, cidr: str) -> str:
    try:
        network = ipaddress.ip_network(cidr, strict=False) if cidr else None
        if network and (network.num_addresses < LEAST_OVERLAY or network.prefixlen < WIDEST):
            size = "large" if network.prefixlen < WIDEST else "small"
            raise ValueError(f"{cidr!r} is too {size}")  # noqa: TRY301 - told like any other
        if network and not cidr.endswith(f"/{network.prefixlen}"):
            raise ValueError(f"{cidr!r} has no prefix")  # noqa: TRY301 - told like any other
    except ValueError as error:
        right = "write a range that no host's network uses, as in 100.64.192.0/23"
        raise site.wrong("cluster.overlay_cidr_range", f"{error}; {right}") from error
    return cidr


def pools_of(
    uids: Sequence[str],
    wish: ClusterNetwork,
    architectures: Mapping[str, str] | None = None,
    networks: Mapping[str, HostNetwork] | None = None,
) -> tuple[MachinePool, ...]:
    """Return the machine pools of a cluster: one host leads and the others work, unless it is a two-node cluster.

    A pool has one architecture, as Palette names it for the hosts: workers of another one have a pool of their own.
    """

    def architecture(uid: str) -> str:
        return (architectures or {}).get(uid) or "amd64"

    def pool(name: str, hosts: tuple[PoolHost, ...], *, control_plane: bool = True) -> MachinePool:
        return MachinePool(name, hosts, control_plane, wish.control_plane_as_worker, architecture(hosts[0].uid))

    def host(uid: str, role: Literal["", "primary", "secondary"] = "") -> PoolHost:
        network = (networks or {}).get(uid, HostNetwork())
        return PoolHost(uid, role, network.host_name, network.nic())

    if wish.two_node and len(uids) == TWO:
        return (pool("control-plane-pool", (host(uids[0], "primary"), host(uids[1], "secondary"))),)
    pools, workers = [pool("control-plane-pool", (host(uids[0]),))], uids[1:]
    for kind in dict.fromkeys(map(architecture, workers)):
        name = "worker-pool" if len(pools) == 1 else f"worker-pool-{kind}"
        alike = tuple(host(uid) for uid in workers if architecture(uid) == kind)
        pools.append(pool(name, alike, control_plane=False))
    return tuple(pools)
