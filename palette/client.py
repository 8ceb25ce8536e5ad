"""The client: one object, and nouns on it.

palette = Palette("https://api.spectrocloud.com", api_key=Secret(key))
project = palette.in_project("Default")
uid = project.profiles.create("edge", packs)
for event in project.events.of_cluster(cluster): ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from palette.clock import Clock
from palette.cloud_configs import CloudConfigs
from palette.clusters import Clusters
from palette.edge_hosts import EdgeHosts
from palette.events import Events
from palette.limits import Limits
from palette.logs import Logs
from palette.macros import Macros
from palette.packs import Packs, Registries
from palette.profiles import Profiles
from palette.projects import Projects, Tenant
from palette.reading import at
from palette.transport import Scope, Transport
from palette.waiting import Timeouts, Wait
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Self

    from protected import Secret


@dataclass(frozen=True)
class ScopedView:
    """Palette as seen from the tenant or from one project; every noun is made when it is first used."""

    scope: Scope
    wait: Wait

    @cached_property
    def profiles(self) -> Profiles:
        """Cluster profiles."""
        return Profiles(self.scope)

    @cached_property
    def clusters(self) -> Clusters:
        """Edge clusters."""
        return Clusters(self.scope, self.wait)

    @cached_property
    def cloud_configs(self) -> CloudConfigs:
        """Machine pools and machines."""
        return CloudConfigs(self.scope)

    @cached_property
    def edge_hosts(self) -> EdgeHosts:
        """Edge hosts."""
        return EdgeHosts(self.scope, self.wait)

    @cached_property
    def events(self) -> Events:
        """Events of clusters and Edge hosts."""
        return Events(self.scope)

    @cached_property
    def packs(self) -> Packs:
        """Packs."""
        return Packs(self.scope)

    @cached_property
    def registries(self) -> Registries:
        """Pack registries (of the tenant)."""
        return Registries(self.scope)

    @cached_property
    def projects(self) -> Projects:
        """Projects (of the tenant)."""
        return Projects(self.scope)

    @cached_property
    def tenant(self) -> Tenant:
        """What concerns the whole tenant."""
        return Tenant(self.scope)

    @cached_property
    def logs(self) -> Logs:
        """Log bundles of clusters."""
        return Logs(self.scope)

    @cached_property
    def tenant_macros(self) -> Macros:
        """Macros of the tenant."""
        return Macros(self.scope, at("/v1/tenants/{tenantUid}/macros", tenantUid=self.tenant.uid()))

    def visible_macros(self) -> dict[str, str]:
        """Read the macros that profiles of this view can refer to, of every scope."""
        return Macros(self.scope, "/v1/clusterprofiles/macros", in_project=True).list()

    def time(self) -> datetime | None:
        """Return Palette's own time, good to about a second; None before its first answer."""
        return self.scope.transport.palette_time()


@dataclass(frozen=True)
class ProjectView(ScopedView):
    """Palette as seen from one project."""

    uid: str
    name: str

    @cached_property
    def macros(self) -> Macros:
        """Macros of the project."""
        return Macros(self.scope, at("/v1/projects/{uid}/macros", uid=self.uid))


class Palette(ScopedView):
    """A Palette endpoint, seen from the tenant; close it, or use it as a context manager.

    ``authority`` is a PEM file with the authorities to trust in place of the well-known ones; ``slowness`` is that of
    :class:`palette.waiting.Wait`.

    Raises ValueError for a URL, key or authority that cannot work, before anything is sent.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: Secret,
        authority: str | Path | None = None,
        proxy: str | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
        slowness: Callable[[], float] = lambda: 1.0,
    ) -> None:
        timeouts, clock = timeouts or Timeouts(), clock or Clock()
        transport = Transport(
            url,
            api_key,
            authority=None if authority is None else Path(authority),
            proxy=proxy,
            timeouts=timeouts,
            retry=retry or RetryPolicy(),
            limits=limits or Limits(),
            clock=clock,
        )
        super().__init__(Scope(transport), Wait(timeouts, clock, slowness))

    def in_project(self, name: str) -> ProjectView:
        """Return the view of the project of that name. Raises LookupError that names the projects there are."""
        project = self.projects.named(name)
        return self.in_project_with(project.uid, name=project.name)

    def in_project_with(self, uid: str, *, name: str = "") -> ProjectView:
        """Return the view of the project with that uid, without asking whether there is one."""
        return ProjectView(replace(self.scope, project_uid=uid), self.wait, uid, name)

    def close(self) -> None:
        """Close every connection."""
        self.scope.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
