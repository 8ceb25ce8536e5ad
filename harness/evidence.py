"""What a case leaves behind beside its verdict: clusters, events, a timeline, notes, the pulls the witness saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from foreign import cut, file_name
from harness.brief import Brief
from harness.clusters import DEPLOY
from harness.in_kubernetes import seen_in_kubernetes
from registry.transforms.classes import classes_of
from reports.records import EventRow, Moment, PullRecord, utc
from reports.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from harness.clusters import Cluster
    from harness.private_registry import SiteWitness
    from reports.leak_forms import Protected

#: Characters of a note; it is one line of a report.
LONGEST_NOTE = 240


@dataclass
class ClusterEvidence:
    """What is kept of a cluster that is about to go; ``elsewhere`` are pulls from registries that are not the run's."""

    name: str
    hosts: tuple[str, ...]
    events: tuple[EventRow, ...] = ()
    moments: tuple[Moment, ...] = ()
    pulls: tuple[PullRecord, ...] = ()
    vector: str = ""
    elsewhere: tuple[PullRecord, ...] = ()

    @property
    def all_pulls(self) -> list[PullRecord]:
        """What its hosts asked of every registry, in the order of time."""
        return sorted((*self.pulls, *self.elsewhere), key=lambda pull: pull.time)


@dataclass(repr=False)
class Evidence(Brief):
    """The evidence of the case that runs now.

    A property test makes many clusters; only those since :meth:`forget` count, which its examples call. Beside the
    ``witness`` of the run's registry there are those of registries that a case starts beside it. ``refusals`` counts
    the failures that the case expected and saw; ``gone`` has a line for each part of the infrastructure that was gone;
    ``undocumented`` has what no page says and the case would have needed: such a case is not covered.
    Credentials that Palette hands out are added to what the run has ``protected``.
    """

    folder: Path
    case: str = ""
    clusters: list[ClusterEvidence] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    attachments: list[str] = field(default_factory=list)
    vector: str = ""
    vector_class: str = ""
    expected: str = ""
    examples: int = 0
    deployed: int = 0
    repaved: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    last_classes: dict[str, int] = field(default_factory=dict)
    witness: SiteWitness | None = None
    other_witnesses: list[SiteWitness] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    undocumented: list[str] = field(default_factory=list)
    refusals: int = 0
    protected: list[Protected] = field(default_factory=list)

    def begin(self, case: str) -> None:
        """Start afresh for a case."""
        self.case, self.examples = case, 0
        self.deployed = self.repaved = 0
        self.notes, self.attachments = [], []
        self.gone, self.undocumented, self.refusals = [], [], 0
        self.classes, self.last_classes = Counter(), {}
        self.forget()

    def forget(self) -> None:
        """Drop what earlier examples of the same case left: a failure is told by the example that failed."""
        self.clusters = []
        self.vector = self.vector_class = self.expected = ""

    def example(
        self, vector: str, *, vector_class: str = "", expected: str = "", password: str = "", together: bool = False
    ) -> None:
        """Begin an example: which vector it is about, and what is expected of it.

        Of a ``password`` the classes are counted. Examples that are judged ``together`` keep what those before left.
        """
        if not together:
            self.forget()
        self.examples += 1
        self.vector, self.vector_class, self.expected = vector, vector_class, expected
        self.last_classes = dict.fromkeys(classes_of(password.encode()), 1) if password else {}
        self.classes.update(self.last_classes)

    def phase(self, _cluster: Cluster, name: str) -> None:
        """Count the clusters of a case, as a site's watcher."""
        self.deployed += name == DEPLOY

    def note(self, text: str) -> None:
        """Record once what a site did, without judging it."""
        short = cut(one_line(text), LONGEST_NOTE)
        if short not in self.notes:
            self.notes.append(short)

    def pulls_of(self, cluster: Cluster) -> list[PullRecord]:
        """Return what every witness saw of a cluster in its present phase."""
        phase = cluster.phases[-1].name if cluster.phases else None
        witnesses = [witness for witness in (self.witness, *self.other_witnesses) if witness is not None]
        return [pull for witness in witnesses for pull in witness.pulls(cluster, phase=phase)]

    def keep(self, cluster: Cluster, *, failed: bool) -> None:
        """Take what can be known of a cluster before it is deleted; after a failure also its hosts' diagnostics."""
        events = cluster.events() if cluster.uid else []
        inside = seen_in_kubernetes(cluster, self.protected)
        told = (EventRow(time=_utc(e.at), severity=e.severity, reason=e.reason, message=e.message) for e in events)
        errors = (_moment(e.at, e.message, e.host) for e in events if e.severity.lower() == "error")
        self.clusters = [known for known in self.clusters if known.name != cluster.name]
        self.clusters.append(
            ClusterEvidence(
                cluster.name,
                tuple(host.uid for host in cluster.hosts),
                (*told, *inside.events),
                (*_phases(cluster), *_sightings(cluster), *errors, *inside.moments),
                tuple(self.witness.pulls(cluster)) if self.witness else (),
                self.vector,
                tuple(pull for witness in self.other_witnesses for pull in witness.pulls(cluster)),
            )
        )
        if failed:
            self._diagnose(cluster)

    def _diagnose(self, cluster: Cluster) -> None:
        for host in cluster.hosts:
            case = file_name(self.case.rpartition("/suites/")[2].removeprefix("suites/"))
            folder = self.folder / "diagnostics" / case / file_name(host.uid)
            for path in host.diagnostics(folder):
                name = str(path.relative_to(self.folder))
                if name not in self.attachments:
                    self.attachments.append(name)


def _phases(cluster: Cluster) -> Iterable[Moment]:
    return (Moment(time=utc(phase.began), lane="api", label=f"{phase.name}: {phase.label}") for phase in cluster.phases)


def _sightings(cluster: Cluster) -> Iterable[Moment]:
    return (_moment(seen.at, seen.what, seen.host) for seen in cluster.sightings)


def _moment(at: datetime | None, label: str, host: str) -> Moment:
    return Moment(time=_utc(at), lane="host" if host else "api", label=label, host=host)


def _utc(at: datetime | None) -> str:
    return utc(at if at is not None else datetime.now(UTC))
