"""The ``cluster`` section of a site file: what every cluster of a run is asked to be like on the site's network."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palette.cluster_request import MachinePool, PoolHost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from harness.sites.site_references import SiteText

#: Hosts of a two-node cluster.
TWO = 2
#: A range with more addresses is a slip of the pen: no run has that many clusters at a time.
MOST_VIPS = 256
_RANGE = re.compile(r"(?P<first>[0-9A-Fa-f.:]+)\s*-\s*(?P<last>[0-9A-Fa-f.:]+)")


@dataclass(frozen=True)
class ClusterNetwork:
    """Words of the vendor's Terraform provider: ``vips`` are the addresses of which each running cluster has one."""

    vips: tuple[str, ...] = ()
    overlay: str = ""
    ntp_servers: tuple[str, ...] = ()
    ssh_keys: tuple[str, ...] = ()
    control_plane_as_worker: bool = True
    two_node: bool = False

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
    )


def _addresses(site: SiteText, text: str) -> Sequence[str]:
    """Return the address or name that a text is, or every address of a range."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return (text,)
    try:
        first, last = (ipaddress.ip_address(match[name]) for name in ("first", "last"))
        count = int(last) - int(first) + 1
    except ValueError as error:
        raise site.wrong("cluster.vip", f"{text!r}: {error}; write FIRST-LAST") from error
    if first.version != last.version or not 1 <= count <= MOST_VIPS:
        right = f"write FIRST-LAST in order, at most {MOST_VIPS} addresses"
        raise site.wrong("cluster.vip", f"{text!r} is a range of {count} addresses; {right}")
    return [str(first + number) for number in range(count)]


def _overlay(site: SiteText, cidr: str) -> str:
    try:
        if cidr and ipaddress.ip_network(cidr, strict=False).num_addresses == 1:
            raise ValueError(f"{cidr!r} holds one address only")  # noqa: TRY301 - told like any other wrong range
    except ValueError as error:
        right = "write a range that no host's network uses, as in 100.64.192.0/23"
        raise site.wrong("cluster.overlay_cidr_range", f"{error}; {right}") from error
    return cidr


def pools_of(
    uids: Sequence[str], wish: ClusterNetwork, architectures: Mapping[str, str] | None = None
) -> tuple[MachinePool, ...]:
    """Return the machine pools of a cluster: one host leads and the others work, unless it is a two-node cluster.

    A pool is of the architecture that Palette says of its first host.
    """

    def pool(name: str, hosts: tuple[PoolHost, ...], *, control_plane: bool = True) -> MachinePool:
        architecture = (architectures or {}).get(hosts[0].uid) or "amd64"
        return MachinePool(name, hosts, control_plane, wish.control_plane_as_worker, architecture)

    if wish.two_node and len(uids) == TWO:
        return (pool("control-plane-pool", (PoolHost(uids[0], "primary"), PoolHost(uids[1], "secondary"))),)
    control, workers = pool("control-plane-pool", (PoolHost(uids[0]),)), tuple(PoolHost(uid) for uid in uids[1:])
    return (control, pool("worker-pool", workers, control_plane=False)) if workers else (control,)
