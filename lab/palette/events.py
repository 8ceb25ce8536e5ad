"""Component events, in the published shape: the newest 1,000 of every object are kept (vendor's clusters page)."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

from lab.palette.store import ClusterRecord, EdgeHostRecord, Meta, new_uid, now
from lab.palette.times import as_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

KEPT = 1000
"""Events kept per object."""

Severity = Literal["Normal", "Warning", "Error"]
ObjectKind = Literal["spectrocluster", "edgehost"]


@dataclass(frozen=True)
class EventRecord:
    """One thing that happened. Reasons of errors begin with ``Failed``."""

    severity: Severity
    reason: str
    message: str
    kind: ObjectKind
    object_uid: str
    object_name: str
    component: str
    host: str
    time: datetime
    uid: str = field(default_factory=new_uid)
    number: int = 0

    def as_answer(self) -> dict[str, Any]:
        """Return the published shape (``v1Event``)."""
        related = {"kind": self.kind, "name": self.object_name, "uid": self.object_uid}
        stamp = as_text(self.time)
        return {
            "metadata": {
                "uid": self.uid,
                "name": f"{self.object_name}.{self.uid}",
                "creationTimestamp": stamp,
                "lastModifiedTimestamp": stamp,
            },
            "involvedObject": related,
            "relatedObject": related,
            "severity": self.severity,
            "reason": self.reason,
            "message": self.message,
            "source": {"component": self.component, "host": self.host},
        }


@dataclass(frozen=True)
class Source:
    """Who says that something happened: a component, on a host, at its own time (None: when it is told)."""

    component: str
    host: str = ""
    time: datetime | None = None


PALETTE = Source("palette")


@dataclass(frozen=True)
class _About:
    kind: ObjectKind
    meta: Meta
    source: Source

    def event(self, severity: Severity, reason: str, message: str) -> EventRecord:
        told, by = self.source.time or now(), self.source
        return EventRecord(
            severity, reason, message, self.kind, self.meta.uid, self.meta.name, by.component, by.host, told
        )


class EventLog:
    """The events of all objects. ``keep`` decides what is kept of an event: it may change it, or give None."""

    def __init__(self, keep: Callable[[EventRecord, ClusterRecord | None], EventRecord | None]) -> None:
        self._keep = keep
        self._numbers = count(1)
        self._of: dict[tuple[str, str], deque[EventRecord]] = defaultdict(lambda: deque(maxlen=KEPT))

    def about_cluster(
        self, cluster: ClusterRecord, severity: Severity, reason: str, message: str, source: Source | None = None
    ) -> None:
        """Note an event of a cluster, told by ``source`` or by Palette itself."""
        about = _About("spectrocluster", cluster.meta, source or PALETTE)
        self._add(about.event(severity, reason, message), cluster)

    def about_host(
        self, host: EdgeHostRecord, severity: Severity, reason: str, message: str, source: Source | None = None
    ) -> None:
        """Note an event of an Edge host, told by ``source`` or by Palette itself."""
        about = _About("edgehost", host.meta, source or PALETTE)
        self._add(about.event(severity, reason, message), None)

    def _add(self, event: EventRecord, cluster: ClusterRecord | None) -> None:
        kept = self._keep(event, cluster)
        if kept is not None:
            self._of[kept.kind, kept.object_uid].append(replace(kept, number=next(self._numbers)))

    def of(self, kind: str, uid: str) -> list[EventRecord]:
        """Return the events of an object, newest first."""
        return list(reversed(self._of.get((kind, uid), ())))

    def clear(self, kind: str, uid: str) -> None:
        """Forget the events of an object."""
        self._of.pop((kind, uid), None)
