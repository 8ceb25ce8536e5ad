"""Detection as a number: what is calculated, and that it is enough."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import core, given, settings

from detection.matrix import SEED
from detection.odds import BUDGET, DRAWN, drawn, first_changed, odds
from fixtures.strategies import passwords
from harness.drawing import settings_for_hosts
from lab.faults import catalogue
from reports.kill_matrix import ENOUGH

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGES = sorted({fault.change for fault in catalogue().values() if fault.road in DRAWN})


@pytest.fixture(params=["default", "ci"])
def profile(request: pytest.FixtureRequest) -> Iterator[None]:
    """Take Hypothesis' settings for a person's machine, and those that it takes by itself on a build server."""
    before = settings.get_current_profile_name()
    settings.load_profile(request.param)
    yield
    settings.load_profile(before)


@pytest.mark.usefixtures("profile")
def test_what_is_calculated_is_what_a_case_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case run with a seed on the command line draws exactly the passwords that the calculation assumes."""
    seen: list[str] = []

    @settings(settings_for_hosts(BUDGET, shrink=False), database=None)
    @given(password=passwords())
    def case(password: str) -> None:
        seen.append(password)

    monkeypatch.setattr(core, "global_force_seed", 4711)
    case()
    assert tuple(seen) == drawn(4711)
    assert len(seen) == BUDGET


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
