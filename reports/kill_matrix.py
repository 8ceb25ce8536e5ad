"""The kill matrix: seeded faults by requirements, what was caught by what, and what that leaves to be desired.

It is plain data, made by whoever ran the faults; here it is judged, written as JSON and drawn as a page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from reports import markup, runs
from reports.text import plural, some

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

JSON, PAGE = "kill-matrix.json", runs.KILL_MATRIX
SCHEMA = 1
#: The share of runs that must find a changed password with the default number of examples.
ENOUGH = 0.95
#: Verdicts that take a requirement away from a lab that is wrong: it fails, or nothing was proven about it.
CAUGHT = frozenset({"fail", "vacuous"})
#: Families whose faults change a login; elsewhere a case may present a wrong one on purpose.
ABOUT_LOGINS = frozenset({"credentials", "from outside"})


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What the cases of one requirement said of one fault.

    ``case`` is the first that failed, ``presented`` what the witness saw there in place of the password, ``examples``
    how many examples that took (0 where the case has none), ``seconds`` how long it ran.
    """

    requirement: str
    verdict: str
    claimed: bool = True
    case: str = ""
    presented: str = ""
    observed: str = ""
    examples: int = 0
    seconds: float = 0.0

    @property
    def caught(self) -> bool:
        """Whether the fault made the requirement fail."""
        return self.verdict in CAUGHT


@dataclass(frozen=True, kw_only=True)
class Odds:
    """How surely generated examples find a fault, over many seeds, each with the default budget of examples.

    ``found`` of ``seeds`` runs found it; ``median`` and ``worst`` count examples, over the runs that did.
    ``predicted`` is the example that finds it with the seed of this matrix, 0 for none.
    """

    seeds: int
    budget: int
    found: int
    median: float
    worst: int
    predicted: int = 0

    @property
    def share(self) -> float:
        """The share of runs that found it, 0 to 1."""
        return self.found / self.seeds if self.seeds else 0.0


@dataclass(frozen=True, kw_only=True)
class Row:
    """One fault. ``change`` and ``road`` are set where it is one known change of a password on one road.

    ``cases`` counts the cases that were run; ``reached`` says by injection point in how many of them the fault was
    asked, and ``differed`` in how many something else came of it than without the fault.
    """

    fault: str
    family: str = ""
    because: str = ""
    points: tuple[str, ...] = ()
    change: str = ""
    road: str = ""
    claims: tuple[str, ...] = ()
    cells: tuple[Cell, ...] = ()
    seconds: float = 0.0
    trouble: str = ""
    cases: int = 0
    reached: Mapping[str, int] = field(default_factory=dict)
    differed: Mapping[str, int] = field(default_factory=dict)
    odds: Odds | None = None

    @cached_property
    def catches(self) -> tuple[Cell, ...]:
        """The cells that caught it and claim to, the first one first."""
        return tuple(cell for cell in self.cells if cell.caught and cell.claimed)

    @property
    def is_caught(self) -> bool:
        """Whether a requirement that claims the fault was made to fail by it."""
        return bool(self.catches)

    @property
    def presented(self) -> str:
        """What the witness saw in place of the password, where the fault is about passwords at all."""
        if self.family not in ABOUT_LOGINS:
            return ""
        return next((cell.presented for cell in self.catches if cell.presented), "")

    @property
    def missed(self) -> tuple[str, ...]:
        """Requirements that claim the fault and did not fail."""
        caught = {cell.requirement for cell in self.catches}
        return tuple(name for name in self.claims if name not in caught)

    @property
    def confirmed(self) -> bool | None:
        """Whether the lab found the fault at the very example that was predicted; None where that says nothing."""
        cell = next((cell for cell in self.catches if cell.examples), None)
        if self.odds is None or not self.odds.predicted or cell is None:
            return None
        return cell.examples == self.odds.predicted

    @property
    def is_idle(self) -> bool:
        """Whether a random fault changed nothing in any case: there was nothing to be seen."""
        return self.family == "random" and self.cases > 0 and not self.is_caught and not self.differed

    @property
    def survival(self) -> str:
        """Why nothing caught it, as far as that is known: whether it was reached at all, and changed anything."""
        if not self.cases:
            return self.trouble or "no case was run"
        if not self.reached:
            return f"never reached in {plural(self.cases, 'case')}"
        of, by_others = plural(self.cases, "case"), [cell.requirement for cell in self.cells if cell.caught]
        if by_others:
            return f"noticed by {some(by_others)} only, in {of}"
        if not self.differed:
            return f"reached in {max(self.reached.values())} of {of}, and never different"
        return f"different in {max(self.differed.values())} of {of}, and unseen"

    def cell(self, requirement: str) -> Cell | None:
        """Return what was found about a requirement."""
        return next((cell for cell in self.cells if cell.requirement == requirement), None)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """All faults that were tried. ``requirements`` maps ids to claims; ``healthy`` are the cells of a healthy lab.

    ``whole`` says that nothing was left out, so that silence about a requirement means something.
    """

    started: str
    seconds: float = 0.0
    seed: int = 0
    labs: int = 1
    hosts: int = 2
    whole: bool = False
    requirements: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    healthy: tuple[Cell, ...] = ()
    healthy_runs: int = 0
    equivalent: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def survivors(self) -> tuple[Row, ...]:
        """Faults that nothing caught which claims to; of random ones those that changed something."""
        return tuple(row for row in self.rows if not row.is_caught and not row.is_idle)

    @cached_property
    def false_alarms(self) -> tuple[Cell, ...]:
        """What a healthy lab made fail, or could not be judged on a healthy lab."""
        return tuple(cell for cell in self.healthy if cell.verdict not in {"pass", "not covered", "known"})

    @cached_property
    def untouched(self) -> tuple[str, ...]:
        """Requirements that no fault made fail; empty unless the matrix is whole."""
        if not self.whole:
            return ()
        touched = {cell.requirement for row in self.rows for cell in row.cells if cell.caught}
        return tuple(name for name in self.requirements if name not in touched)

    @cached_property
    def improbable(self) -> tuple[Row, ...]:
        """Faults that too few seeds find."""
        return tuple(row for row in self.rows if row.odds is not None and row.odds.share < ENOUGH)

    @cached_property
    def unconfirmed(self) -> tuple[Row, ...]:
        """Faults that the lab found at another example than was calculated."""
        return tuple(row for row in self.rows if row.confirmed is False)

    @property
    def confirmed(self) -> int:
        """How many faults the lab found at the very example that was calculated."""
        return sum(row.confirmed is True for row in self.rows)

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Everything that keeps detection from being proven, one sentence each; empty when all is well."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.rows:
            yield "no fault was tried"
        for row in self.survivors:
            why = row.survival + (f"; {row.trouble}" if row.trouble and row.cases else "")
            yield f"survivor: {row.fault} was caught by none of {some(row.claims) or 'all requirements'}: {why}"
        for cell in self.false_alarms:
            yield f"false alarm: {cell.requirement} is {cell.verdict} on the healthy lab ({cell.case})"
        for name in self.untouched:
            yield f"untouched: no fault makes {name} fail; write one"
        for row in self.improbable:
            assert row.odds is not None
            yield f"improbable: {row.odds.found} of {row.odds.seeds} seeds find {row.fault}, {ENOUGH:.0%} are enough"
        for row in self.unconfirmed:
            yield f"unconfirmed: the lab found {row.fault} at another example than was calculated"

    @property
    def sentence(self) -> str:
        """The whole result in one sentence."""
        caught = sum(row.is_caught for row in self.rows)
        said = f"{caught} of {plural(len(self.rows), 'fault')} caught"
        if idle := sum(row.is_idle for row in self.rows):
            active = len(self.rows) - idle
            said += f", {caught / active:.1%} of the {active}" if active else ", of none"
            said += " that changed anything"
        said += f", {plural(len(self.false_alarms), 'false alarm')} on the healthy lab" if self.healthy else ""
        if self.whole:
            touched = len(self.requirements) - len(self.untouched)
            said += f", {touched} of {plural(len(self.requirements), 'requirement')} made to fail"
        return said


def to_json(matrix: Matrix) -> bytes:
    """Return the matrix as JSON."""
    body = {"schema": SCHEMA, "sentence": matrix.sentence, "problems": list(matrix.problems)}
    return json.dumps({**body, **msgspec.to_builtins(matrix)}, indent=1).encode() + b"\n"


def from_json(content: bytes) -> Matrix:
    """Read a matrix. Raises ValueError for something else."""
    try:
        return msgspec.json.decode(content, type=Matrix)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a kill matrix: {error}") from error


def line(row: Row) -> str:
    """Return a fault in one line for the terminal."""
    if not row.catches:
        claims = f"; claimed by {some(row.claims)}" if row.claims else ""
        return f"{'idle    ' if row.is_idle else 'SURVIVED'}  {row.fault:<42} {row.survival}{claims}"
    first = row.catches[0]
    by = " ".join(cell.requirement for cell in row.catches)
    examples = plural(first.examples, "example") if first.examples else ""
    return f"caught    {row.fault:<42} {by:<22} {row.presented:<28} {examples:<12} {first.seconds:5.1f} s".rstrip()


# --- the page


@dataclass(frozen=True)
class Change:
    """A change of passwords on all the roads on which it was tried."""

    name: str
    because: str
    roads: Mapping[str, Row]


def changes(matrix: Matrix) -> list[Change]:
    """Return the known changes of a password, each with its rows by road."""
    found: dict[str, dict[str, Row]] = {}
    for row in matrix.rows:
        if row.change:
            found.setdefault(row.change, {})[row.road] = row
    return [Change(name, next(iter(roads.values())).because, roads) for name, roads in found.items()]


def families(matrix: Matrix) -> dict[str, list[Row]]:
    """Return the other faults by family."""
    found: dict[str, list[Row]] = {}
    for row in matrix.rows:
        if not row.change:
            found.setdefault(row.family, []).append(row)
    return found


def columns(matrix: Matrix, rows: Iterable[Row]) -> list[str]:
    """Return the requirements worth a column: those that some of these faults concern, in the guide's order."""
    concerned = {name for row in rows for name in (*row.claims, *(cell.requirement for cell in row.cells))}
    return [name for name in matrix.requirements if name in concerned]


def render(matrix: Matrix, links: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the page; ``links`` lead to other pages by their names."""
    grouped = families(matrix)
    return markup.page(
        "kill_matrix.html",
        matrix=matrix,
        sentence=matrix.sentence,
        tone="bad" if matrix.problems else "good",
        links=links,
        grouped=grouped,
        columns=columns(matrix, [row for rows in grouped.values() for row in rows]),
        changes=changes(matrix),
        roads=list(dict.fromkeys(row.road for row in matrix.rows if row.road)),
        enough=ENOUGH,
    )
