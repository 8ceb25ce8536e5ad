"""A run seen from the side: by class of vector, by duration, by what was recorded, by waiver."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import junit
from reports.records import moment
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from reports.records import CaseFinished, WaiverInForce
    from reports.results import Results


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


def slowest(results: Results, number: int = 10) -> list[CaseFinished]:
    """Return the cases that took longest."""
    return sorted(results.cases, key=lambda case: -case.seconds)[:number]


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


def notes(results: Results) -> list[tuple[CaseFinished, list[str]]]:
    """Return what each recording case recorded: where the vendor's pages contradict each other, what really happens."""
    return [(case, junit.folded(case.notes)) for case in results.cases if case.notes]
