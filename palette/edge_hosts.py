"""Edge hosts: find, read, label, reset, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palette.paging import every
from palette.reading import at, items, text, texts
from palette.searching import Filter
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from palette.waiting import Wait

READY = "ready"
IN_USE = "in-use"
HEALTHY = "healthy"


@dataclass(frozen=True)
class RegisteredHost:
    """An Edge host as Palette sees it.

    ``state`` is ready, unpaired or in-use; ``host_type`` is appliance or agent-mode; ``clusters`` are uids.
    """

    uid: str
    name: str
    state: str
    health: str
    health_message: str
    agent_version: str
    address: str
    architecture: str
    host_type: str
    host_state: str
    os: str
    labels: Mapping[str, str]
    clusters: tuple[str, ...]

    @property
    def is_free(self) -> bool:
        """Ready and healthy, in no cluster: a cluster can be put on it."""
        return self.state == READY and self.health == HEALTHY and not self.clusters

    def __str__(self) -> str:
        return f"{self.state or 'no state'}/{self.health or 'no health'}"


@dataclass(frozen=True)
class EdgeHosts:
    """The Edge hosts of a project."""

    scope: Scope
    wait: Wait

    def search(self, *filters: Filter) -> Iterator[RegisteredHost]:
        """Yield the Edge hosts that pass every filter."""
        call = Call("POST", "/v1/dashboard/edgehosts/search", body=Filter.all(filters), repeatable=True)
        yield from map(read_device, every(self.scope, call))

    def get(self, uid: str) -> RegisteredHost:
        """Read one. Raises NotFoundError."""
        return read_device(self.scope.ask(Call("GET", at("/v1/edgehosts/{uid}", uid=uid))))

    def clusters(self, uid: str) -> tuple[str, ...]:
        """Return the uids of the clusters that a host's configuration names."""
        answer = self.scope.ask(Call("GET", at("/v1/edgehosts/{uid}/config", uid=uid)))
        return tuple(str(item) for item in items(answer, "clusterUids"))

    def set_labels(self, uid: str, labels: Mapping[str, str], *, name: str) -> None:
        """Replace all labels (the tags in the console) of a host; the name is written with them."""
        body = {"metadata": {"uid": uid, "name": name, "labels": dict(labels)}}
        self.scope.send(Call("PUT", at("/v1/edgehosts/{uid}/meta", uid=uid), body=body))

    def update_labels(
        self, uid: str, add: Mapping[str, str] | None = None, remove: tuple[str, ...] = ()
    ) -> Mapping[str, str]:
        """Add and remove single labels, keep the others, and give those that are then set.

        Palette can only replace all labels: two writers at the same moment can undo each other, so look again.
        """
        host = self.get(uid)
        wanted = {key: value for key, value in {**host.labels, **(add or {})}.items() if key not in remove}
        if wanted != dict(host.labels):
            self.set_labels(uid, wanted, name=host.name)
        return self.get(uid).labels

    def wait_until_free(self, uid: str, *, within: float | None = None) -> RegisteredHost:
        """Wait until a cluster can be put on a host. Raises WaitTimeoutError, NotFoundError."""
        return self.wait.until(
            f"Edge host {uid} to be ready, healthy and in no cluster",
            lambda: self.get(uid),
            lambda host: host.is_free,
            within=self.wait.timeouts.edge_host_ready if within is None else within,
        )


def read_device(value: Mapping[str, Any]) -> RegisteredHost:
    """Read a host from a search (``v1EdgeHostsSummary…``) or by itself (``v1EdgeHostDevice``)."""
    return RegisteredHost(
        uid=text(value, "metadata", "uid"),
        name=text(value, "metadata", "name"),
        state=text(value, "status", "state"),
        health=text(value, "status", "health", "state"),
        health_message=text(value, "status", "health", "message"),
        agent_version=text(value, "status", "health", "agentVersion"),
        address=text(value, "spec", "host", "hostAddress"),
        architecture=text(value, "spec", "device", "archType"),
        host_type=text(value, "spec", "device", "hostType"),
        host_state=text(value, "spec", "device", "hostState"),
        os=" ".join(filter(None, (text(value, "spec", "device", "os", key) for key in ("family", "version")))),
        labels=texts(value, "metadata", "labels"),
        clusters=tuple(
            text(cluster, "uid")
            for cluster in items(value, "status", "inUseClustersRef") or items(value, "status", "inUseClusters")
        ),
    )
