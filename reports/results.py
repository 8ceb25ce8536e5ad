"""A run as its reports need it: the records of a journal, and what follows from them.

Nothing here is stored. The same journal gives the same results, today and in a year.
"""

from __future__ import annotations

import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from reports import journal
from reports.records import CaseFinished, LeakGate, RequirementRecord, RunFinished, RunStarted, WaiverInForce, moment
from reports.text import plural, some
from reports.verdicts import ExitCode, Verdict, exit_code, worst

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from reports.records import Record

#: The level of a run that must cover everything but what the guide only recommends.
CERTIFICATION = "certification"
_RECOMMENDED = "recommendation"
_CHOOSING = ("-k", "-m", "--budget", "--lab-fault", "--lab-version", "--lab-hosts", "--lab-kind", "--lab-mode")
_LOST = RunStarted(run_id="unknown", started="", site="unknown", level="unknown")


@dataclass(frozen=True)
class RequirementResult:
    """A requirement and the cases that spoke of it in this run."""

    requirement: RequirementRecord
    cases: tuple[CaseFinished, ...]

    @cached_property
    def verdict(self) -> Verdict | None:
        """The gravest verdict of its cases; ``None`` if no case was run."""
        return worst(case.verdict for case in self.cases)

    @property
    def label(self) -> str:
        """The verdict as a reader sees it."""
        return self.verdict.value if self.verdict else "not run"

    @cached_property
    def counts(self) -> Counter[Verdict]:
        """How many of its cases ended how."""
        return Counter(case.verdict for case in self.cases)

    @property
    def seconds(self) -> float:
        """The time that its cases took together."""
        return sum(case.seconds for case in self.cases)


@dataclass(frozen=True)
class Results:
    """All that is known of one run."""

    started: RunStarted
    cases: tuple[CaseFinished, ...]
    finished: RunFinished | None
    damage: tuple[journal.Damage, ...] = ()

    @cached_property
    def counts(self) -> Counter[Verdict]:
        """How many cases ended how."""
        return Counter(case.verdict for case in self.cases)

    @cached_property
    def requirements(self) -> tuple[RequirementResult, ...]:
        """Every requirement known to the run, in the guide's order, with its cases; unknown ones at the end."""
        cases: dict[str, list[CaseFinished]] = defaultdict(list)
        for case in self.cases:
            for requirement in case.requirements:
                cases[requirement].append(case)
        known = [RequirementResult(entry, tuple(cases.pop(entry.id, ()))) for entry in self.started.requirements]
        unlisted = [
            RequirementResult(RequirementRecord(id=name, claim="(not in this run's list of requirements)"), tuple(them))
            for name, them in cases.items()
        ]
        return (*known, *unlisted)

    @cached_property
    def options(self) -> dict[str, str]:
        """What the command line chose to run, or broke on purpose, by the name of the option."""
        try:
            words = shlex.split(self.started.command)
        except ValueError:  # a quote without its end: a damaged journal
            words = self.started.command.split()
        found: dict[str, list[str]] = defaultdict(list)
        for word, following in pairwise([*words, ""]):
            name, equals, value = word.partition("=")
            if name in _CHOOSING:
                found[name].append(value if equals else following)
        return {name: ", ".join(values) for name, values in found.items()}

    @property
    def kind(self) -> tuple[object, ...]:
        """What runs must have in common to be compared: site, level, and what was chosen or broken on purpose."""
        return self.started.site, self.started.level, tuple(sorted(self.options.items()))

    @property
    def kind_in_words(self) -> str:
        """The kind as a reader sees it: ``lab, level nightly, -k repave``."""
        chosen = "".join(f", {name} {value}" for name, value in sorted(self.options.items()))
        return f"{self.started.site}, level {self.started.level}{chosen}"

    @property
    def missing(self) -> int:
        """The number of cases that did not run: left out, or never reached."""
        if self.finished is None:
            return 0
        return self.finished.deselected + max(0, self.finished.collected - len(self.cases))

    @property
    def red(self) -> tuple[CaseFinished, ...]:
        """The cases that somebody has to look at, the gravest first, in the order in which they ran."""
        red = (case for case in self.cases if case.verdict.is_red)
        return tuple(sorted(red, key=lambda case: -case.verdict.gravity))

    @property
    def interrupted(self) -> bool:
        """Whether the run did not come to its own end: stopped, or killed before it could say so."""
        return self.finished is None or self.finished.interrupted

    @property
    def leak_gate(self) -> LeakGate | None:
        """What the leak gate found, ``None`` if it did not run."""
        return self.finished.leak_gate if self.finished else None

    @property
    def exit_code(self) -> ExitCode:
        """The code with which the run ended, or would have."""
        gate = self.leak_gate
        code = exit_code(
            self.counts,
            interrupted=self.interrupted,
            leaked=bool(gate and gate.hits),
            gate_broken=bool(gate and not gate.canary_found),
        )
        return ExitCode.UNCOVERED if code is ExitCode.OK and self.uncovered else code

    @cached_property
    def uncovered(self) -> tuple[str, ...]:
        """The requirements that a certification left open: with a case not covered, or without one that ran.

        Recommendations are no part of it. Empty for a run of another level, which promises nothing about them.
        """
        if self.started.level != CERTIFICATION:
            return ()
        musts = (row for row in self.requirements if row.requirement.level != _RECOMMENDED)
        return tuple(row.requirement.id for row in musts if not row.cases or row.counts[Verdict.NOT_COVERED])

    @property
    def seconds(self) -> float:
        """Wall time in seconds, from the first record to the last that tells a time."""
        begin = moment(self.started.started)
        end = moment(self.finished.ended) if self.finished else None
        if begin and end:
            return max(0.0, (end - begin).total_seconds())
        return sum(case.seconds for case in self.cases)

    @cached_property
    def gaps(self) -> tuple[str, ...]:
        """Why this run is *partial*: one reason each; empty for a complete run.

        A case whose feature the site lacks is no gap: the report says *not covered* beside its requirement.
        """
        return tuple(self._find_gaps())

    def _find_gaps(self) -> Iterable[str]:
        if self.finished is None:
            yield "the run did not end: its journal has no last record"
        elif self.finished.interrupted:
            yield "the run was interrupted"
        if self.damage:
            yield f"{plural(len(self.damage), 'line')} of the journal could not be read"
        if self.finished and self.finished.deselected:
            yield f"{plural(self.finished.deselected, 'case')} left out by the command line"
        collected = self.finished.collected if self.finished else 0
        if len(self.cases) < collected:
            yield f"{collected - len(self.cases)} of {plural(collected, 'case')} did not run"
        silent = [result.requirement.id for result in self.requirements if not result.cases]
        if silent:
            yield f"{plural(len(silent), 'requirement')} without a case that ran: {some(silent)}"

    def waiver(self, identifier: str) -> WaiverInForce | None:
        """Find a waiver of this run by its id."""
        return next((waiver for waiver in self.started.waivers if waiver.id == identifier), None)


def of(records: Iterable[Record], damage: tuple[journal.Damage, ...] = ()) -> Results:
    """Order the records of a run. A case that was recorded twice counts as it was recorded last."""
    started, finished = _LOST, None
    cases: dict[str, CaseFinished] = {}
    for record in records:
        if isinstance(record, CaseFinished):
            cases[record.case] = record
        elif isinstance(record, RunStarted):
            started = record
        else:
            finished = record
    return Results(started, tuple(cases.values()), finished, damage)


def load(run: Path) -> Results:
    """Read a run's directory. Raises FileNotFoundError if there is no journal in it."""
    contents = journal.read(run / journal.FILE_NAME)
    return of(contents.records, contents.damage)
