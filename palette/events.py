"""Events of clusters and Edge hosts: the last 1,000 of each are kept, as free texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from palette.paging import pages
from palette.reading import at, moment, text
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

#: Characters of an event that are kept; a stack of Go is a tenth of it.
LONGEST = 100_000
NEWEST_FIRST = "metadata.creationTimestamp=-1"


@dataclass(frozen=True)
class Event:
    """One event. Reasons and severities are free texts; errors that heal by themselves are normal."""

    uid: str
    at: datetime | None
    severity: str
    reason: str
    message: str
    component: str
    host: str
    kind: str
    object_uid: str
    object_name: str = ""

    @property
    def is_error(self) -> bool:
        """Whether it reports something wrong, however its free texts are spelled."""
        return self.severity.lower() == "error" or self.reason.startswith("Failed")

    def __str__(self) -> str:
        when = self.at.isoformat(timespec="seconds") if self.at else "no time"
        return f"{when} {self.severity} {self.reason}: {self.message}"


@dataclass(frozen=True)
class Events:
    """The events of a project's objects."""

    scope: Scope

    def of_cluster(self, uid: str, *, since: datetime | None = None) -> Iterator[Event]:
        """Return a cluster's events, newest first; ``since`` is in Palette's time (``Palette.time``)."""
        return self._of("spectrocluster", uid, since)

    def of_edge_host(self, uid: str, *, since: datetime | None = None) -> Iterator[Event]:
        """Return an Edge host's events, newest first."""
        return self._of("edgehost", uid, since)

    def _of(self, kind: Literal["spectrocluster", "edgehost"], uid: str, since: datetime | None) -> Iterator[Event]:
        path = at("/v1/events/components/{objectKind}/{objectUid}", objectKind=kind, objectUid=uid)
        seen: set[str] = set()
        for page in pages(self.scope, Call("GET", path, {"orderBy": NEWEST_FIRST})):
            events = [_event(item) for item in page]
            for event in events:
                # An event that arrives between two pages moves one of the first page onto the second.
                if (not event.uid or event.uid not in seen) and not _is_before(event, since):
                    seen.add(event.uid)
                    yield event
            if events and all(_is_before(event, since) for event in events):
                return


def _is_before(event: Event, since: datetime | None) -> bool:
    """Return whether an event is too old; one without a time is never left out."""
    return since is not None and event.at is not None and event.at < since


def _event(value: Mapping[str, Any]) -> Event:
    return Event(
        uid=text(value, "metadata", "uid"),
        at=moment(value, "metadata", "creationTimestamp"),
        severity=text(value, "severity"),
        reason=text(value, "reason"),
        message=text(value, "message")[:LONGEST],
        component=text(value, "source", "component"),
        host=text(value, "source", "host"),
        kind=text(value, "involvedObject", "kind"),
        object_uid=text(value, "involvedObject", "uid"),
        object_name=text(value, "involvedObject", "name"),
    )
