"""Going on with a run that was killed, interrupted or lost its connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import ownership
from harness import ledger as ledgers
from reports import results, runs
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from reports.records import CaseFinished, RunStarted


class CannotResumeError(Exception):
    """The run cannot be gone on with; the message says why."""


@dataclass(frozen=True)
class Earlier:
    """A run that ended too early: where it is, how it began, and the cases that need no repetition."""

    folder: Path
    started: RunStarted
    cases: tuple[CaseFinished, ...]

    @property
    def done(self) -> frozenset[str]:
        """The cases that are done. One that ended on a lost host or API has said nothing and is repeated."""
        return frozenset(case.case for case in self.cases)


def earlier(name: str, home: Path) -> Earlier:
    """Read the run that is to be resumed. Raises CannotResumeError, NoSuchRunError."""
    folder = runs.find(name, home)
    found = results.load(folder)
    if not found.started.started:
        raise CannotResumeError(f"{folder.name}: the run ended before its first case; start a new one")
    cases = tuple(case for case in found.cases if case.verdict is not Verdict.DEAD)
    if not found.interrupted and len(cases) == len(found.cases):
        raise CannotResumeError(f"{folder.name}: the run came to its end; there is nothing to resume")
    every_lanes = folder.glob(f"*{ledgers.FILE_NAME}")
    if any(ownership.is_alive(ledgers.read(ledger).about.get("process", "")) for ledger in every_lanes):
        raise CannotResumeError(f"{folder.name}: the run is still going on")
    return Earlier(folder, found.started, cases)
