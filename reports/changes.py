"""What is different from the run before: the first question of whoever reads a nightly report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reports.records import CaseFinished
    from reports.results import Results
    from reports.verdicts import Verdict


@dataclass(frozen=True)
class CaseChange:
    """A case that was or is red, and what it was before (``None``: it did not run)."""

    case: CaseFinished
    before: Verdict | None


@dataclass(frozen=True)
class Changes:
    """Red cases by what became of them since the run before; ``gone`` ran then and was red, and did not run now.

    ``seconds`` is how long each case took then; ``other_kind`` names the kind of the run before, if it is another.
    """

    since: str
    new: tuple[CaseChange, ...]
    still: tuple[CaseChange, ...]
    mended: tuple[CaseChange, ...]
    gone: tuple[CaseChange, ...]
    seconds: Mapping[str, float]
    other_kind: str


def between(earlier: Results, later: Results) -> Changes:
    """Compare two runs, case by case."""
    before = {case.case: case for case in earlier.cases}
    now = {case.case for case in later.cases}
    pairs = [CaseChange(case, before[case.case].verdict if case.case in before else None) for case in later.cases]
    return Changes(
        since=earlier.started.run_id,
        new=tuple(pair for pair in pairs if pair.case.verdict.is_red and not _was_red(pair)),
        still=tuple(pair for pair in pairs if pair.case.verdict.is_red and _was_red(pair)),
        mended=tuple(pair for pair in pairs if not pair.case.verdict.is_red and _was_red(pair)),
        gone=tuple(
            CaseChange(case, case.verdict) for name, case in before.items() if case.verdict.is_red and name not in now
        ),
        seconds={case.case: case.seconds for case in earlier.cases if case.seconds},
        other_kind="" if earlier.kind == later.kind else earlier.kind_in_words,
    )


def titled(difference: Changes) -> list[tuple[str, tuple[CaseChange, ...]]]:
    """Return what changed under its headings; those with nothing below them are left out."""
    every = [
        ("New", difference.new),
        ("Still", difference.still),
        ("Mended", difference.mended),
        ("Not run any more", difference.gone),
    ]
    return [(title, some) for title, some in every if some]


def _was_red(pair: CaseChange) -> bool:
    return pair.before is not None and pair.before.is_red
