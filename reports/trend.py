"""The trend: the verdict of every requirement, run after run, drawn from the journals."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from typing import TYPE_CHECKING

from reports import journal, results, runs
from reports.records import moment
from reports.text import one_line, plural
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reports.results import Results

LETTERS = {
    Verdict.PASS: ".",
    Verdict.NOT_COVERED: "-",
    Verdict.KNOWN: "k",
    Verdict.FIXED: "x",
    Verdict.DEAD: "D",
    Verdict.VACUOUS: "V",
    Verdict.ERROR: "E",
    Verdict.FAIL: "F",
}
NOT_RUN = " "


@dataclass(frozen=True)
class Trend:
    """Several runs, oldest first."""

    runs: tuple[Results, ...]

    @cached_property
    def requirements(self) -> tuple[str, ...]:
        """Every requirement that one of the runs knows, in the order of the latest run."""
        names = (row.requirement.id for run in reversed(self.runs) for row in run.requirements)
        return tuple(dict.fromkeys(names))

    @cached_property
    def _verdicts(self) -> list[dict[str, Verdict]]:
        return [
            {row.requirement.id: row.verdict for row in run.requirements if row.verdict is not None}
            for run in self.runs
        ]

    def history(self, requirement: str) -> list[Verdict | None]:
        """Return the requirement's verdict in each run, ``None`` where it was not run."""
        return [verdicts.get(requirement) for verdicts in self._verdicts]


def load(home: Path = runs.HOME, *, last: int = 30) -> Trend:
    """Read the last runs that came to an end."""
    every = (results.load(run) for run in runs.every(home)[-2 * last :])
    return Trend(tuple(outcome for outcome in every if outcome.finished)[-last:])


def before(run: Path, outcome: Results, *, last: int = 14) -> list[Results]:
    """Return the last finished runs before this one of the same kind, oldest first.

    A night on a real site is not compared with somebody's try on the lab, nor with a run of some cases or of a fault.
    """
    found: list[Results] = []
    for other in sorted((path for path in run.parent.glob("*") if path.name < run.name), reverse=True):
        if len(found) < last and (other / journal.FILE_NAME).exists():
            with suppress(OSError):  # a run that ends without a case takes its folder away; one of another user is shut
                earlier = results.load(other)
                found += [earlier] if earlier.finished and earlier.kind == outcome.kind else []
    return found[::-1]


def render(trend: Trend) -> str:
    """Return the trend as text: a line for each requirement, a letter for each run, the latest on the right."""
    if not trend.runs:
        return "no run has finished yet\n"
    width = max((len(one_line(name)) for name in trend.requirements), default=0)
    lines = [
        *_dates(trend, width),
        *(f"{one_line(name).ljust(width)}  {_letters(trend.history(name))}".rstrip() for name in trend.requirements),
        "",
        f"{plural(len(trend.runs), 'run')}; "
        + ", ".join(f"{letter} {verdict.value}" for verdict, letter in LETTERS.items()),
    ]
    return "\n".join(lines) + "\n"


def _letters(history: Sequence[Verdict | None]) -> str:
    return "".join(LETTERS[verdict] if verdict else NOT_RUN for verdict in history)


def _dates(trend: Trend, width: int) -> Iterator[str]:
    """Write each run's month and day downwards, above its column."""
    days = [moment(run.started.started) for run in trend.runs]
    labels = [f"{day:%m%d}" if day else "????" for day in days]
    for row in zip_longest(*labels):
        yield (" " * width + "  " + "".join(row)).rstrip()
