"""The infrastructure matrix: outages by kinds of case, and what was said of the product while something was gone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from reports import markup
from reports.text import plural

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

JSON, PAGE = "infrastructure-matrix.json", "infrastructure-matrix.html"
SCHEMA = 1
NO_OUTAGE = "none"
NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class OutageCell:
    """What a kind of case said during an outage; ``right`` has the verdicts that are no statement about the product."""

    outage: str
    kind: str
    verdict: str = NOT_RUN
    right: tuple[str, ...] = ("dead",)
    case: str = ""
    observed: str = ""
    seconds: float = 0.0
    begun: bool = False

    @property
    def is_right(self) -> bool:
        """Whether the outage did begin and was told as what it is."""
        return self.verdict in self.right and (self.begun or self.outage == NO_OUTAGE)

    @property
    def trouble(self) -> str:
        """What is wrong with it, as a sentence."""
        if self.verdict in self.right:
            return f"{self.kind} ended before '{self.outage}' began, so nothing was tried"
        return f"{self.kind} is told as {self.verdict} with outage '{self.outage}': {self.observed}".rstrip(": ")


@dataclass(frozen=True, kw_only=True)
class Infrastructure:
    """All cells that were tried."""

    started: str
    seconds: float = 0.0
    cells: tuple[OutageCell, ...] = ()

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each cell that is wrong; empty when all is well."""
        return tuple(self._problems())

    def _problems(self) -> Iterator[str]:
        if not self.cells:
            yield "no outage was tried"
        yield from (f"outage: {cell.trouble}" for cell in self.cells if not cell.is_right)

    @property
    def outages(self) -> list[str]:
        """The outages that were tried."""
        return list(dict.fromkeys(cell.outage for cell in self.cells))

    @property
    def kinds(self) -> list[str]:
        """The kinds of case that were tried."""
        return list(dict.fromkeys(cell.kind for cell in self.cells))

    def cell(self, outage: str, kind: str) -> OutageCell | None:
        """Return what a kind said during an outage; None where it takes nothing away that the kind needs."""
        return next((cell for cell in self.cells if (cell.outage, cell.kind) == (outage, kind)), None)

    @property
    def sentence(self) -> str:
        """The whole result in one sentence."""
        right = sum(cell.is_right for cell in self.cells)
        count = sum(outage != NO_OUTAGE for outage in self.outages)
        return f"{right} of {plural(len(self.cells), 'cell')} right: {plural(count, 'outage')} by kinds of case"


def to_json(matrix: Infrastructure) -> bytes:
    """Return the matrix as JSON."""
    body = {"schema": SCHEMA, "sentence": matrix.sentence, "problems": list(matrix.problems)}
    return json.dumps({**body, **asdict(matrix)}, indent=1).encode() + b"\n"


def render(matrix: Infrastructure, links: Sequence[tuple[str, str]] = ()) -> bytes:
    """Return the page; ``links`` lead to other pages by their names."""
    tone = "bad" if matrix.problems else "good"
    return markup.page("infrastructure.html", matrix=matrix, sentence=matrix.sentence, tone=tone, links=links)


def line(cell: OutageCell) -> str:
    """Return a cell in one line for the terminal."""
    mark = "right" if cell.is_right else "WRONG"
    told = f"{mark}  {cell.outage:<18} {cell.kind:<26} {cell.verdict:<12} {cell.seconds:5.1f} s"
    return f"{told}  {cell.observed}".rstrip()
