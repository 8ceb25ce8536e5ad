"""What all parts of the endpoint share."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from lab.joints import EMIT_EVENT, Behaviour
from lab.palette.events import Event, EventLog
from lab.palette.sessions import Sessions
from lab.palette.store import Cluster, Store

if TYPE_CHECKING:
    from lab.palette.settings import Settings


@dataclass
class Context:
    """Settings, what is stored, and the behaviour at the joints, which may be replaced while the endpoint runs."""

    settings: Settings
    behaviour: Behaviour
    store: Store = field(default_factory=Store)
    sessions: Sessions = field(default_factory=Sessions)
    faults: list[Any] = field(default_factory=list)
    events: EventLog = field(init=False)

    def __post_init__(self) -> None:
        self.events = EventLog(self._keep_event)

    def _keep_event(self, event: Event, cluster: Cluster | None) -> Event | None:
        kept: Event | None = self.behaviour.at(EMIT_EVENT, lambda event, _cluster: event, event, cluster)
        if kept is not None and self.settings.strictness.free_text_events:
            return _in_free_text(kept)
        return kept


def _in_free_text(event: Event) -> Event:
    failed = event.severity == "Error"
    message = f"{event.message}. Retrying may resolve this" if failed else f"reconcile: {event.message}"
    return replace(event, reason="ReconcileError" if failed else "Reconcile", message=message)
