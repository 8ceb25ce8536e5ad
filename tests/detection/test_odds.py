"""Detection as a number: what is calculated, and that it is enough."""

from __future__ import annotations

import pytest

from detection.matrix import SEED
from detection.odds import BUDGET, DRAWN, SEEDS, drawn, first_changed, odds
from lab.faults import catalogue
from lab.faults.classes import CLASSES
from reports.kill_matrix import ENOUGH

CHANGES = sorted({fault.change for fault in catalogue().values() if fault.road in DRAWN})


@pytest.mark.parametrize("change", CHANGES)
def test_nearly_every_seed_finds_every_change(change: str) -> None:
    """At least 95 % of 100 seeds find the change within the default number of examples."""
    assert odds(change, SEED, range(1, 101)).share >= ENOUGH


@pytest.mark.parametrize("change", CHANGES)
def test_the_matrix_own_seed_finds_every_change(change: str) -> None:
    """The seed that a matrix is made with finds each change, so that no row depends on a better one."""
    assert 1 <= first_changed(change, SEED) <= BUDGET


def test_a_change_that_nothing_shows_is_found_by_no_seed() -> None:
    """The calculation does not flatter: what no accepted password shows has a share of nothing."""
    assert odds("cut-at-nul", SEED, range(1, 6)).share == 0


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_passwords_is_presented_with_nearly_every_seed(name: str) -> None:
    """A fault that touches one class of passwords is found by 95 of 100 seeds, for each class that is seeded."""
    found = sum(any(map(CLASSES[name], drawn(seed))) for seed in range(SEEDS))

    assert found >= ENOUGH * SEEDS, f"{found} of {SEEDS} seeds present one"
