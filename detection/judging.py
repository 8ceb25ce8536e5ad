"""From the journals of runs to rows of the matrix: verdicts are read, never guessed from a fault's name."""

from __future__ import annotations

import contextlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from detection.switching import CAUGHT, cases_file, touches_file
from reports import journal
from reports.kill_matrix import Cell
from reports.pulls import changed
from reports.records import CaseFinished
from reports.verdicts import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from reports.records import PullRecord

NO_VERDICT = "not run"


@dataclass
class Findings:
    """What the cases said, by mutant, each case under its ordinary name and in the order they ran."""

    of: dict[str, list[CaseFinished]] = field(default_factory=lambda: defaultdict(list))
    drawn: set[str] = field(default_factory=set)
    """Cases whose examples are drawn."""
    reached: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """By mutant and joint, the cases in which its fault was asked there."""
    differed: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """The same, where something else came of it than without the fault."""
    planned: dict[str, int] = field(default_factory=dict)
    """How many cases each mutant was to be run with."""

    def are_complete(self, mutant: str) -> bool:
        """Return whether every case of a mutant has ended."""
        return len(self.of.get(mutant, ())) >= self.planned.get(mutant, 0)

    @property
    def count(self) -> int:
        """How many cases have ended."""
        return sum(map(len, self.of.values()))


def read(plan: Path, runs: Path) -> Findings:
    """Read what is in the journals so far; a run that still goes on has what it has."""
    findings = Findings()
    try:
        cases = json.loads(cases_file(plan).read_text())
    except (OSError, ValueError):
        return findings
    findings.planned = dict(Counter(case["mutant"] for case in cases.values()))
    _read_touches(plan, cases, findings)
    for file in sorted(runs.glob(f"runs/*/{journal.FILE_NAME}")):
        for record in journal.read(file).records:
            if isinstance(record, CaseFinished) and record.case in cases:
                ran = cases[record.case]
                findings.of[ran["mutant"]].append(replace(record, case=ran["case"]))
                findings.drawn |= {ran["case"]} if ran["drawn"] else set()
    return findings


def _read_touches(plan: Path, cases: Mapping[str, Mapping[str, str]], findings: Findings) -> None:
    file = touches_file(plan)
    for line in file.read_text().splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):  # the last line is being written
            record = json.loads(line)
            ran = cases[record["case"]]
            for touch in record["touches"]:
                findings.reached[ran["mutant"]][touch["joint"]].add(ran["case"])
                if touch["differed"]:
                    findings.differed[ran["mutant"]][touch["joint"]].add(ran["case"])


def cells(cases: Sequence[CaseFinished], claims: Sequence[str], *, drawn: set[str]) -> tuple[Cell, ...]:
    """Return a cell for each requirement that some case spoke of, or that claims the fault."""
    by_requirement: dict[str, list[CaseFinished]] = defaultdict(list)
    for case in cases:
        for requirement in case.requirements:
            by_requirement[requirement].append(case)
    names = dict.fromkeys((*claims, *by_requirement))
    return tuple(
        _cell(name, by_requirement.get(name, ()), claimed=not claims or name in claims, drawn=drawn)
        for name in names
        if name in claims or _said(by_requirement[name])
    )


def _said(cases: Iterable[CaseFinished]) -> list[CaseFinished]:
    return [case for case in cases if case.verdict is not Verdict.NOT_COVERED]


def _cell(name: str, cases: Iterable[CaseFinished], *, claimed: bool, drawn: set[str]) -> Cell:
    said = _said(cases)
    caught = next((case for case in said if case.verdict in CAUGHT), None)
    if caught is None:
        verdict = worst(case.verdict for case in said)
        shown = next((case for case in said if case.verdict is verdict), None)
        return Cell(
            requirement=name, verdict=verdict.value if verdict else NO_VERDICT, claimed=claimed,
            case=shown.case if shown else "", observed=shown.observed if shown else "",
        )  # fmt: skip
    return Cell(
        requirement=name,
        verdict=caught.verdict.value,
        claimed=claimed,
        case=caught.case,
        presented=presented(caught.pulls, caught.phase),
        observed=caught.observed,
        examples=caught.examples if caught.case in drawn else 0,
        seconds=caught.seconds,
    )


def presented(pulls: Iterable[PullRecord], phase: str) -> str:
    """Name what the witness saw in place of the credentials, in the phase that the case is about where it can."""
    found = [pull for pull in pulls if changed(pull)]
    chosen = [pull for pull in found if pull.phase == phase] or found
    return chosen[0].presented if chosen else ""
