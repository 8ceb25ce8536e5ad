"""The trend: the verdict of every requirement, run after run, drawn from the journals."""

from __future__ import annotations

from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from reports import history as past
from reports import results, runs
from reports.text import duration, one_line, plural
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from reports.results import Results

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

    @property
    def latest(self) -> Results:
        """The last of the runs."""
        return self.runs[-1]

    def red_from(self, requirement: str) -> int:
        """Return the number, from 1, of the first run in a row up to the last in which it was red; 0 if it is not."""
        first = 0
        for number, verdict in reversed(list(enumerate(self.history(requirement), start=1))):
            if verdict is not None and not verdict.is_red:
                break
            first = number if verdict else first
        return first

    def red_since(self, requirement: str) -> str:
        """Return the id of that run; empty if it is not red."""
        first = self.red_from(requirement)
        return self.runs[first - 1].started.run_id if first else ""

    def is_flapping(self, requirement: str) -> bool:
        """Whether a requirement went from red to not red, or back, three times or more."""
        return _flaps(self.history(requirement))

    @cached_property
    def cases(self) -> dict[str, list[Verdict]]:
        """The verdicts of every case, oldest first, in the runs in which it ran."""
        found: dict[str, list[Verdict]] = defaultdict(list)
        for run in self.runs:
            for case in run.cases:
                found[case.case].append(case.verdict)
        return dict(found)

    @property
    def flapping_cases(self) -> list[str]:
        """The cases that went from red to not red, or back, three times or more."""
        return [name for name, verdicts in self.cases.items() if _flaps(verdicts)]


def _flaps(verdicts: Iterable[Verdict | None]) -> bool:
    colours = [verdict.is_red for verdict in verdicts if verdict is not None]
    return sum(one != other for one, other in pairwise(colours)) >= 3  # noqa: PLR2004  once is a repair, twice a relapse


def load(home: Path = runs.HOME, *, last: int = 60, like: Results | None = None, history: Path | None = None) -> Trend:
    """Read the last runs that came to an end, of one kind: that of ``like``, or of the latest run."""
    every = _newest_first(home, history)
    return Trend(tuple(reversed(list(islice(_of_one_kind(every, like), last)))))


def before(run: Path, outcome: Results, *, last: int = 60, history: Path | None = None) -> list[Results]:
    """Return the last finished runs before this one of the same kind, oldest first.

    A night on a real site is not compared with somebody's try on the lab, nor with a run of some cases or of a fault.
    """
    earlier = (other for other in _newest_first(run.parent.parent, history, before=run.name))
    return list(islice(_of_one_kind(earlier, outcome), last))[::-1]


def _of_one_kind(every: Iterable[Results], like: Results | None) -> Iterator[Results]:
    for outcome in every:
        if outcome.finished and outcome.kind == (like or outcome).kind:
            like = like or outcome
            yield outcome


def _newest_first(home: Path, history: Path | None, *, before: str = "") -> Iterator[Results]:
    """Yield the runs of a folder and of a history file by name, which sorts by time; one that is in both once."""
    kept = {night.started.run_id: night for night in past.read(history)} if history else {}
    folders = {folder.name: folder for folder in runs.every(home)}
    for name in sorted({*kept, *folders}, reverse=True):
        if not before or name < before:
            with suppress(OSError):  # a run that ends without a case takes its folder away; one of another user is shut
                yield kept[name] if name in kept else results.load(folders[name])


def render(trend: Trend) -> str:
    """Return the trend as text: the runs by number, and a line for each requirement with a letter for each run."""
    if not trend.runs:
        return "no run has finished yet\n"
    width = max((len(one_line(name)) for name in trend.requirements), default=0)
    lines = [
        f"{plural(len(trend.runs), 'run')} of {one_line(trend.latest.kind_in_words)}",
        *(f"{number:>4}  {one_line(_about(run))}" for number, run in enumerate(trend.runs, start=1)),
        "",
        *(" " * width + " " + "".join(digits).rstrip() for digits in _numbers(len(trend.runs))),
        *(_line(trend, name, width) for name in trend.requirements),
        "",
        ", ".join(
            [
                *(f"{verdict.look.letter} {verdict.value}" for verdict in Verdict),
                "blank: not run; since N: red since run N",
            ]
        ),
    ]
    return "\n".join(lines) + "\n"


def _about(run: Results) -> str:
    passed = f"{run.counts[Verdict.PASS]} of {plural(len(run.cases), 'case')} passed"
    parts = [run.started.run_id, f"seed {run.started.seed}", passed, duration(run.seconds)]
    return "  ".join([*parts, *(["partial"] if run.gaps else [])])


def _numbers(number: int) -> Iterator[list[str]]:
    """Yield the numbers of the runs as lines of digits, written downwards above the columns."""
    labels = [str(place).rjust(len(str(number))) for place in range(1, number + 1)]
    yield from (list(digits) for digits in zip(*labels, strict=True))


def _line(trend: Trend, name: str, width: int) -> str:
    letters = "".join(verdict.look.letter if verdict else NOT_RUN for verdict in trend.history(name))
    told = [f"since {first}" if (first := trend.red_from(name)) else "", "flaps" if trend.is_flapping(name) else ""]
    return " ".join([one_line(name).ljust(width), letters, *filter(None, told)]).rstrip()
