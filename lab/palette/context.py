"""What all parts of the endpoint share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lab.injection import EMIT_EVENT, Behaviour, Touch
from lab.palette.events import EventLog, EventRecord
from lab.palette.sessions import Sessions
from lab.palette.store import Attached, ClusterRecord, EdgeHostRecord, Store

if TYPE_CHECKING:
    from lab.palette.settings import Settings


@dataclass
class ApiContext:
    """Settings, what is stored, and the behaviour at the injection points, which may change while the endpoint runs."""

    settings: Settings
    behaviour: Behaviour
    store: Store = field(default_factory=Store)
    sessions: Sessions = field(default_factory=Sessions)
    faults: list[Any] = field(default_factory=list)
    events: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.events = EventLog(self._keep_event)

    def note(self, touch: Touch) -> None:
        """Keep what a fault did on a host; a late word of one that is gone is nothing new."""
        if any(fault.name == touch.fault for fault in (*self.behaviour.faults, *self.behaviour.watched)):
            self.behaviour.touches.add(touch)

    def _keep_event(self, event: EventRecord, cluster: ClusterRecord | None) -> EventRecord | None:
        kept: EventRecord | None = self.behaviour.at(
            EMIT_EVENT, lambda event, _cluster: event, event, cluster, **known_of(cluster)
        )
        if kept is not None and self.settings.strictness.free_text_events:
            return _in_free_text(kept)
        return kept


def _in_free_text(event: EventRecord) -> EventRecord:
    failed = event.severity == "Error"
    message = f"{event.message}. Retrying may resolve this" if failed else f"reconcile: {event.message}"
    return replace(event, reason="ReconcileError" if failed else "Reconcile", message=message)


def known_of(cluster: ClusterRecord | None, profile: Attached | None = None) -> dict[str, Any]:
    """Return what the endpoint knows about a cluster at an injection point: fields of :class:`lab.injection.Where`."""
    if cluster is None:
        return {}
    profile = profile or next((a for a in cluster.attached if a.template.type != "add-on"), None)
    return {
        "cluster": cluster.meta.name,
        "nodes": tuple(node.host_uid for node in cluster.nodes),
        "phase": "deploy" if cluster.state == "Provisioning" else "repave",
        "generation": cluster.delivery.generation if cluster.delivery else 0,
        "profile": profile.uid if profile else "",
        "version": profile.version if profile else "",
    }


def known_on(host: EdgeHostRecord, cluster: ClusterRecord | None) -> dict[str, Any]:
    """Return what the endpoint knows at an injection point about a host and its cluster."""
    roles = {
        node.host_uid: "control-plane" if node.control_plane else "worker"
        for node in (cluster.nodes if cluster else ())
    }
    return {**known_of(cluster), "node": host.meta.uid, "role": roles.get(host.meta.uid, "")}
