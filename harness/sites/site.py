"""The site: everything a suite can reach, real or lab alike."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from edge import EdgeHost, HostUnreachable, SshAccess
from engine import tempdirs
from engine.machine import slowness
from harness.brief import Brief
from harness.clusters import DEPLOY, Cluster, NotCleanedUpError, Phase
from harness.liveness import hosts_gone
from harness.removal import LABEL, clear_verified
from harness.sites.base_profile import BaseProfile, find_base
from harness.sites.chosen_hosts import chosen, untouched_uids
from harness.sites.cluster_network import TWO, pools_of
from harness.sites.leases import is_of_another
from harness.sites.packs import find_packs
from harness.sites.provider_kubernetes import held_kubernetes
from palette import Limits, Palette, RetryPolicy
from palette.cluster_request import AttachedProfile, ClusterRequest
from palette.errors import NotFoundError, PaletteError
from palette.os_layer import PACK, OsLayer
from palette.waiting import WaitError, WaitTimeoutError
from reports.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from harness.evidence import Evidence
    from harness.ledger import Ledger
    from harness.sites.cluster_network import HostNetwork
    from harness.sites.site_file import SiteFile
    from palette.client import ProjectView
    from palette.profiles import Pack
    from protected import Secret


class NoFreeHostError(Exception):
    """The site has fewer Edge hosts than a case needs."""


class HostsGoneError(Exception):
    """Edge hosts of the site do not become ready, healthy and free."""


@dataclass(repr=False)
class Site(Brief):
    """A Palette project, its Edge hosts and this run's traces in it.

    ``evidence`` takes what is known of every cluster before it goes, without the cases' doing. ``watchers`` hear of
    every phase of a cluster before it begins, and of its end as the phase "". ``base`` is the user's profile that
    the run's profiles are cloned from; without one they are made of packs. ``lent`` returns the hosts that the running
    case may use, where workers share the site; None: all.
    """

    file: SiteFile
    run: str
    palette: Palette
    project: ProjectView
    hosts: dict[str, EdgeHost]
    ledger: Ledger
    evidence: Evidence
    watchers: list[Callable[[Cluster, str], None]] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    base: BaseProfile | None = None
    lent: Callable[[], Sequence[str]] | None = None
    _cleared: bool = False
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    _area: Path | None = None

    @classmethod
    def open(cls, file: SiteFile, run: str, ledger: Ledger, evidence: Evidence) -> Self:
        """Connect to the site a file describes; hosts are connected to when they are first looked at."""
        palette = connect(file, RetryPolicy())
        project = palette.in_project(file.project)
        palette.scope.transport.never_change = untouched_uids(file, project)
        file = chosen(file, project.edge_hosts.search()) if file.sought or file.never_touch.edge_hosts else file
        base = find_base(project, file.profile) if file.profile else None
        area = tempdirs.make("ssh", sockets=True)  # last: who is interrupted before leaves nothing
        hosts = {uid: edge_host(file, uid, area) for uid in file.edge_hosts}
        return cls(file, run, palette, project, hosts, ledger, evidence, base=base, _area=area)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what is left of this run, and every connection."""
        try:
            self.clear()
        finally:
            for host in self.hosts.values():
                host.close()
            self.palette.close()
            if self._area is not None:
                tempdirs.remove(self._area)

    def clear(self) -> list[str]:
        """Remove what is left of this run and look again; return a line for each thing that could not be removed."""
        if not self._cleared:
            self._cleared, self.left_behind = True, clear_verified(self.project, self.ledger)
        return self.left_behind

    @property
    def features(self) -> frozenset[str]:
        """What the site can do beyond the core."""
        return self.file.features

    def facts(self) -> dict[str, str]:
        """Versions of what is under test, for the reports."""
        found = {"palette.url": self.file.palette_url, "palette.project": self.file.project}
        for service in ("palette", "stylus"):
            found[f"{service}.version"] = self.palette.tenant.service_version(service)
        for host in self.project.edge_hosts.search():
            if host.uid in self.hosts:
                what = (f"agent {host.agent_version}" if host.agent_version else "", host.architecture, host.host_type)
                found[f"host.{host.uid}"] = ", ".join(filter(None, (str(host), *what, host.os)))
        return found

    def lend(self, uids: Sequence[str], lent: Callable[[], Sequence[str]]) -> None:
        """Leave the site the hosts that its run has leased, of which ``lent`` are for the running case."""
        for uid in set(self.hosts) - set(uids):
            self.hosts.pop(uid).close()
        self.lent = lent

    # --- deploying ---------------------------------------------------------------------------------------------------

    def deploy(self, layer: OsLayer, *, hosts: int = 1, on: tuple[EdgeHost, ...] = ()) -> Cluster:
        """Deploy a cluster with ``layer`` as its OS layer and wait until it is Running and healthy.

        Raises:
            WaitTimeoutError: it is not Running in time. The cluster is deleted before.

        """
        cluster = self.begin_deploy(layer, hosts=hosts, on=on)
        try:
            cluster.wait_until_running()
        except BaseException as error:
            cluster.leave(error)
            raise
        return cluster

    def begin_deploy(self, layer: OsLayer, *, hosts: int = 1, on: tuple[EdgeHost, ...] = (), vip: str = "") -> Cluster:
        """Ask Palette for a cluster, of any free hosts or ``on`` these, and do not wait for it.

        Its virtual IP is a free one of the site file's, or ``vip``. Raises NoFreeHostError, PaletteError.
        """
        chosen = on or self.free_hosts(hosts)
        name = self._new_name()
        profile = self.create_profile(f"{name}-profile", layer)
        cluster = Cluster(self, "", name, profile, layer, chosen, [profile])
        cluster.boots = {host.uid: host.boot() for host in chosen}
        self.enter_phase(cluster, DEPLOY, layer.image)
        self.ledger.meant("cluster", name)
        request = self._request(name, profile, chosen)
        try:
            cluster.uid = self.project.clusters.create(replace(request, vip=vip) if vip else request)
        except PaletteError:
            with suppress(NotCleanedUpError):
                self._delete(cluster)
            raise
        self.ledger.add("cluster", cluster.uid)
        return cluster

    def _new_name(self) -> str:
        """Return a name that this run has not used; a run that is resumed knows its earlier names from the ledger."""
        names = (f"{self.run}-{number}" for number in self._numbers)
        return next(name for name in names if ("profile", f"{name}-profile") not in self.ledger.names)

    def enter_phase(self, cluster: Cluster, name: str, label: str = "") -> None:
        """Note that a phase of a cluster begins, before anything of it happens."""
        cluster.phases.append(Phase(name, datetime.now(UTC), label))
        for watcher in self.watchers:
            watcher(cluster, name)

    def create_profile(self, name: str, layer: OsLayer, *, version: str = "1.0.0", publish: bool = True) -> str:
        """Create a cluster profile, a clone of the user's or one of three packs, and return its uid.

        It goes when the run ends.
        """
        self.ledger.meant("profile", name)
        if self.base is not None:
            values = {PACK: self.base.values.with_layer(layer)}
            uid = self.project.profiles.new_version(self.base.uid, version, values, name=name, publish=publish)
        else:
            packs, labels = (self.os_pack(layer.values()), *self._packs[1:]), {LABEL: self.run}
            uid = self.project.profiles.create(name, packs, version=version, publish=publish, labels=labels)
        self.ledger.add("profile", uid)
        return uid

    def os_pack(self, values: str) -> Pack:
        """Return the Bring Your Own OS pack with these values."""
        return replace(self._packs[0], values=values)

    @cached_property
    def _packs(self) -> tuple[Pack, ...]:
        """The packs of a profile, the OS layer first, where the site has no profile of its own."""
        return find_packs(self.project, self.file.packs, held_kubernetes(self.file.provider_image))

    @property
    def variables(self) -> Mapping[str, str | Secret]:
        """The values of the user's profile's variables, which its clones have as well."""
        return self.base.variables if self.base else {}

    @property
    def _networks(self) -> dict[str, HostNetwork]:
        return {uid: target.network for uid, target in self.file.edge_hosts.items()}

    @cached_property
    def architectures(self) -> dict[str, str]:
        """The architecture of each Edge host, as Palette names it."""
        return {host.uid: host.architecture for host in self.project.edge_hosts.search()}

    def _request(self, name: str, profile: str, hosts: Sequence[EdgeHost]) -> ClusterRequest:
        wish = self.file.cluster
        vip = self._free_vip(hosts[0]) if wish.vips else wish.overlay_endpoint
        return ClusterRequest(
            name,
            (AttachedProfile(profile, variables=self.variables),),
            pools_of([host.uid for host in hosts], wish, self.architectures, self._networks),
            vip=vip,
            overlay=wish.overlay,
            endpoint=wish.endpoint,
            search_domain=wish.search_domain,
            ssh_keys=wish.ssh_keys,
            ntp_servers=wish.ntp_servers,
            two_node=wish.two_node and len(hosts) == TWO,
            labels={LABEL: self.run},
        )

    def _free_vip(self, control: EdgeHost) -> str:
        """Return a virtual IP that no running cluster has.

        Where there is one for each host, a cluster has that of its first host: then workers need not ask each other.
        """
        vips = self.file.cluster.vips
        if len(vips) >= len(self.hosts):
            return vips[list(self.hosts).index(control.uid)]
        free: list[str] = self.project.edge_hosts.wait.until(
            "a free virtual IP",
            lambda: sorted(set(vips) - self.project.clusters.endpoints()),
            bool,
            within=self.file.timeouts.edge_host_ready,
        )
        return free[0]

    def free_hosts(self, count: int) -> tuple[EdgeHost, ...]:
        """Return hosts that are registered, healthy, in no cluster and taken over by no other run.

        Those that just left a cluster are waited for.

        Raises NoFreeHostError: the site has too few. HostsGoneError: they do not become free.
        """
        if count > len(self.hosts):
            raise NoFreeHostError(f"this case needs {count} Edge hosts and the site lists {len(self.hosts)}")
        edge_hosts = self.project.edge_hosts
        usable = set(self.hosts if self.lent is None else self.lent())
        try:
            chosen = edge_hosts.wait.until(
                plural(count, "free Edge host"),
                lambda: [
                    self.hosts[each.uid]
                    for each in edge_hosts.search()
                    if each.uid in usable and each.is_free and not is_of_another(each.labels, self.run)
                ],
                lambda free: len(free) >= count,
                within=edge_hosts.wait.timeouts.edge_host_ready,
                state=lambda free: f"{len(free)} free",
            )
        except WaitTimeoutError as error:
            raise HostsGoneError(str(error)) from error
        return tuple(chosen[:count])

    # --- cleaning up -------------------------------------------------------------------------------------------------

    def remove_cluster(self, cluster: Cluster, *, failed: bool = False) -> None:
        """Take the evidence, delete a cluster, wait until it is gone, and delete its profile versions.

        Raises NotCleanedUpError: it is still there.
        """
        try:
            self.look_back(cluster, failed=failed)
        finally:  # whatever could not be had of it: the next case needs its hosts
            self._delete(cluster)

    def look_back(self, cluster: Cluster, *, failed: bool = False) -> None:
        """Take the evidence of a cluster for the case that used it."""
        try:
            if failed or cluster.refused:
                self.evidence.gone += [line for line in hosts_gone(cluster) if line not in self.evidence.gone]
            self.evidence.keep(cluster, failed=failed)
        except (PaletteError, HostUnreachable) as error:
            self.evidence.note(f"not all is known of cluster {cluster.name}: {error}")

    def _delete(self, cluster: Cluster) -> None:
        self.enter_phase(cluster, "")
        clusters, profiles = self.project.clusters, self.project.profiles
        try:
            if cluster.uid:
                with suppress(NotFoundError):
                    clusters.delete(cluster.uid)
                    clusters.wait_until_gone(cluster.uid)
                self.ledger.remove("cluster", cluster.uid)
            for uid in cluster.versions:
                with suppress(NotFoundError):
                    profiles.delete(uid)
                self.ledger.remove("profile", uid)
        except (PaletteError, WaitError) as error:
            raise NotCleanedUpError(f"cluster {cluster.name} could not be removed: {error}") from error


def connect(file: SiteFile, retry: RetryPolicy) -> Palette:
    """Return Palette as a site file describes it; nothing is sent yet. Raises ValueError for what cannot work."""
    return Palette(
        file.palette_url,
        api_key=file.api_key,
        authority=file.palette_authority,
        proxy=file.palette_proxy,
        timeouts=file.timeouts,
        retry=retry,
        limits=Limits(_rates_of(file.palette_url)) if file.rate_limits else Limits.none(),
        slowness=slowness if file.same_machine else lambda: 1.0,
    )


def _rates_of(palette: str) -> Path:
    """Return where all of this user's processes count their requests to a Palette together."""
    place = urlsplit(palette).netloc.replace(":", "-")
    return tempdirs.of_user("rates") / place


def edge_host(file: SiteFile, uid: str, control: Path) -> EdgeHost:
    """Return an Edge host as a site file describes it; nothing is connected yet."""
    target = file.edge_hosts[uid]
    access = SshAccess(
        target.address,
        target.user,
        control,
        port=target.port,
        key=target.key or file.ssh_key,
        known_hosts=file.known_hosts,
        jump=target.jump or file.ssh_jump,
        sudo=file.ssh_sudo if target.sudo is None else target.sudo,
    )
    return EdgeHost(uid, access, back_within=file.timeouts.edge_host_ready)
