"""Detection as a number: how surely the passwords of the deck find a change, over many seeds, without a lab.

A password case fails at the first example whose password the change alters; which passwords are drawn depends on the
seed alone. So the case's own examples are drawn for each seed, and the change, a pure function, is applied to them.
That this is what happens on a lab is not assumed: with the seed of the matrix, the lab must find each fault at exactly
the example that was calculated.
"""

from __future__ import annotations

import statistics
from functools import cache
from typing import TYPE_CHECKING

from fixtures.deck import deck, size_of
from harness.drawing import EXAMPLES
from registry.transforms import Context, transform
from reports.kill_matrix import Odds

if TYPE_CHECKING:
    from collections.abc import Iterable

BUDGET = size_of(EXAMPLES["default"])
SEEDS = 100
#: The roads on which passwords are drawn; further on, a fixed set of probes is presented.
DRAWN = ("on-deploy", "on-repave")
_USERNAME = "edge-000000"  # as the accounts of cases are named


@cache
def drawn(number: int) -> tuple[str, ...]:
    """Return the passwords that a case presents with this seed, in their order, for as long as none fails."""
    return tuple(deck(number, BUDGET))


def first_changed(change: str, number: int) -> int:
    """Return the example, counted from 1, at which a change is seen with this seed; 0 if it is not."""
    rule = transform(change)
    examples = enumerate(drawn(number), start=1)
    return next((at for at, password in examples if rule.changed(Context(password, _USERNAME))), 0)


def odds(change: str, matrix_seed: int, seeds: Iterable[int]) -> Odds:
    """Return how surely a change is found."""
    firsts = [first_changed(change, number) for number in seeds]
    found = [first for first in firsts if first]
    return Odds(
        seeds=len(firsts),
        budget=BUDGET,
        found=len(found),
        median=statistics.median(found) if found else 0,
        worst=max(found, default=0),
        predicted=first_changed(change, matrix_seed),
    )
