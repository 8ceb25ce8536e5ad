"""A run seen from the side: by class of vector, by duration, by what was recorded, by waiver."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from reports import junit
from reports.records import moment
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from reports.records import CaseFinished, WaiverInForce
    from reports.results import Results

PHASES = ("deploy", "repave")


@dataclass(frozen=True)
class ClassCoverage:
    """How the cases of one class of vectors ended, and how many examples of it they had."""

    name: str
    counts: Counter[Verdict]
    examples: int

    @property
    def total(self) -> int:
        """The number of cases."""
        return sum(self.counts.values())


def by_vector_class(results: Results) -> list[ClassCoverage]:
    """Group the cases by the classes of their vectors, in alphabetical order; a case may be of several."""
    groups: dict[str, list[tuple[Verdict, int]]] = defaultdict(list)
    for case in results.cases:
        classes = {case.vector_class: case.examples} if case.vector_class else {}
        for name, examples in {**classes, **case.password_classes}.items():
            groups[name].append((case.verdict, examples))
    return [
        ClassCoverage(name, Counter(verdict for verdict, _ in found), sum(examples for _, examples in found))
        for name, found in sorted(groups.items())
    ]


def slowest(results: Results) -> list[CaseFinished]:
    """Return the ten cases that took longest."""
    return sorted(results.cases, key=lambda case: -case.seconds)[:10]


def by_phase(results: Results) -> list[tuple[str, int, float]]:
    """Return for each phase its cases and their seconds together."""
    groups: dict[str, list[float]] = defaultdict(list)
    for case in results.cases:
        groups[case.phase or "no phase"].append(case.seconds)
    return [(phase, len(seconds), sum(seconds)) for phase, seconds in groups.items()]


@dataclass(frozen=True)
class WaiverUse:
    """A waiver in force, how many days it had left when the run began, and the cases that it spoke of."""

    waiver: WaiverInForce
    days_left: int | None
    cases: tuple[CaseFinished, ...]

    @property
    def effect(self) -> str:
        """What became of it in this run."""
        if any(case.verdict is Verdict.FIXED for case in self.cases):
            return "no longer matches: remove it"
        matched = sum(case.verdict is Verdict.KNOWN for case in self.cases)
        return f"matched {matched} of {len(self.cases)}" if self.cases else "its cases did not run"


def waivers(results: Results) -> list[WaiverUse]:
    """Return the waivers of the run, the one that ends first on top."""
    begin = moment(results.started.started)
    uses = []
    for waiver in results.started.waivers:
        end = moment(waiver.expires)
        left = (end.date() - begin.date()).days if begin and end else None
        cases = tuple(case for case in results.cases if case.waiver == waiver.id)
        uses.append(WaiverUse(waiver, left, cases))
    return sorted(uses, key=lambda use: use.waiver.expires)


_LIKE = re.compile(r"(?:(?P<where>[^:]{1,40}): )?(?P<which>\S+) (?P<what>is \S+)")
_ALIKE = 3  # lines of one kind that are worth one row


def notes(results: Results) -> list[tuple[tuple[str, ...], list[tuple[str, str]]]]:
    """Return what was recorded, by requirements: lines of one kind are one row, with what differs beside it."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for case in results.cases:
        groups[case.requirements or (case.case,)].extend(junit.folded(case.notes))
    return [(names, _rows(dict.fromkeys(told))) for names, told in sorted(groups.items()) if told]


def _rows(told: Iterable[str]) -> list[tuple[str, str]]:
    kinds: dict[str, list[str]] = defaultdict(list)
    for note in told:
        found = _LIKE.fullmatch(note)
        kinds[f"{found['where'] or ''} {found['what']}".strip() if found else note].append(note)
    rows: list[tuple[str, str]] = []
    for kind, lines in kinds.items():
        alike = [found["which"] for line in lines if (found := _LIKE.fullmatch(line))]
        rows += [(kind, ", ".join(alike))] if len(alike) >= _ALIKE else [(line, "") for line in lines]
    return rows


@dataclass(frozen=True)
class HostDurations:
    """How long the deployments or repaves of one host took; ``most`` is the longest of all hosts.

    ``places`` are where each stands on the axis, ``middle`` where the median does, in per cent.
    """

    host: str
    phase: str
    seconds: tuple[float, ...]
    median: float
    most: float
    places: tuple[str, ...]
    middle: str


_WORTH_A_CHART = 10


def by_host(results: Results) -> list[HostDurations]:
    """Return the durations of deployments and repaves by host, if there are more than ten."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for host, phase, _, seconds in _every_boot(results):
        found[host, phase].append(seconds)
    every = [second for seconds in found.values() for second in seconds]
    if len(every) <= _WORTH_A_CHART:
        return []
    most = max(every)
    return [
        HostDurations(
            *key, tuple(each), median(each), most, tuple(_place(one, most) for one in each), _place(median(each), most)
        )
        for key, each in sorted(found.items())
    ]


def medians(results: Results) -> Mapping[str, float]:
    """Return how long a deployment and a repave took, by their medians; of a night of the history as it was noted."""
    found: dict[str, list[float]] = defaultdict(list)
    for _, phase, _, seconds in _every_boot(results):
        found[phase].append(seconds)
    noted = results.finished.medians if results.finished else {}
    return {phase: round(median(seconds), 3) for phase, seconds in found.items()} or noted


def _every_boot(results: Results) -> Iterable[tuple[str, str, datetime, float]]:
    """Return each boot once, however many cases looked at its cluster."""
    return dict.fromkeys(boot for case in results.cases for boot in _boots(case))


def _place(seconds: float, most: float) -> str:
    return f"{1 + 97 * seconds / most:.1f}" if most else "1"


def _boots(case: CaseFinished) -> Iterator[tuple[str, str, datetime, float]]:
    """Yield host, phase, begin and seconds of each first boot that followed a call to Palette."""
    begun: tuple[str, datetime] | None = None
    waiting: set[str] = set()
    for entry in sorted(case.timeline, key=lambda entry: entry.time):
        phase, when = entry.label.partition(":")[0], moment(entry.time)
        if when and entry.lane == "api" and phase in PHASES:
            begun, waiting = (phase, when), set(case.hosts)
        elif when and begun and entry.host in waiting and entry.label.startswith("boots "):
            waiting.discard(entry.host)
            yield entry.host, *begun, (when - begun[1]).total_seconds()
