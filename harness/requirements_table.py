"""The guide's statements as a table: how many cases prove each, and the verdicts of the last run that finished."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness import requirements
from reports import results, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pytest


def table(cases: Iterable[pytest.Item]) -> Iterator[str]:
    """Yield the table, line by line."""
    counts, verdicts, known = count(cases), last_verdicts(), requirements.load()
    yield f"{'id':<13}{'level':<16}{'cases':>5}  {'last verdict':<13} claim"
    for each in known.values():
        yield f"{each.id:<13}{each.level:<16}{counts[each.id]:>5}  {verdicts.get(each.id, '-'):<13} {each.claim}"
    yield f"{len(known)} requirements, {sum(1 for each in known if counts[each])} of them with a case"


def count(cases: Iterable[pytest.Item]) -> Counter[str]:
    """Count the cases of each requirement."""
    return Counter(name for case in cases for marker in case.iter_markers("requirement") for name in marker.args)


def last_verdicts() -> dict[str, str]:
    """Return the verdict of each requirement in the latest run that finished; empty when there is none."""
    try:
        found = results.load(runs.find("latest"))
    except runs.NoSuchRunError:
        return {}
    return {row.requirement.id: row.label for row in found.requirements}
