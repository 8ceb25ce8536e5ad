"""Projects, and what belongs to nobody else: who asks, and the versions of Palette's own services."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from palette.reading import at, items, text
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Project:
    """A project of the tenant."""

    uid: str
    name: str


@dataclass(frozen=True)
class Projects:
    """The projects that the key may see."""

    scope: Scope

    def list(self, name: str | None = None) -> Iterator[Project]:
        """Yield the projects, or those that Palette finds for a name."""
        call = Call("GET", "/v1/dashboard/projects/metadata", {"name": name}, in_project=False)
        for item in items(self.scope.ask(call), "items"):
            yield Project(text(item, "metadata", "uid"), text(item, "metadata", "name"))

    def named(self, name: str) -> Project:
        """Return the project of exactly that name. Raises LookupError that names those there are."""
        for project in self.list(name):
            if project.name == name:
                return project
        names = ", ".join(sorted(project.name for project in self.list())) or "none that this key may see"
        raise LookupError(f"no project {name!r}; there are: {names}")


@dataclass(frozen=True)
class Tenant:
    """What concerns the whole tenant."""

    scope: Scope

    def uid(self) -> str:
        """Return the tenant's uid (``v1UsersInfoGet``), needed for the tenant's macros."""
        return text(self.scope.ask(Call("GET", "/v1/users/info", in_project=False)), "tenantUid")

    def service_version(self, service: str, *, edge_host: str = "", cluster: str = "") -> str:
        """Return the latest version of a service such as ``stylus``, the Edge host agent."""
        query = {"edgeHostUid": edge_host or None, "clusterUid": cluster or None}
        call = Call("GET", at("/v1/services/{serviceName}/version", serviceName=service), query, in_project=False)
        return text(self.scope.ask(call), "spec", "latestVersion", "content")
