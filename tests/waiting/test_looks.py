"""The one loop of everything that waits: looks, pauses between them, an end."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waiting import growing, looks


@dataclass
class SteppingClock:
    """A clock that goes only when somebody sleeps or looks."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        """Return the time."""
        return self.at

    def sleep(self, seconds: float) -> None:
        """Advance the time."""
        self.slept.append(seconds)
        self.at += seconds


@given(within=st.floats(0, 100), takes=st.floats(0, 30), first=st.floats(0.1, 5))
def test_a_wait_looks_at_least_once_and_ends(within: float, takes: float, first: float) -> None:
    """However long a look takes, the first is made, and none begins after the time is up."""
    clock, began = SteppingClock(), []
    for left in looks(within, growing(first, 10).__next__, now=clock.now, sleep=clock.sleep):
        began.append((clock.at, left))
        clock.at += takes

    assert began[0] == (0.0, within)
    assert all(at == pytest.approx(within) or at < within for at, _ in began)
    assert all(left == pytest.approx(max(0.0, within - at), abs=1e-6) for at, left in began)
    assert clock.at >= within
    assert all(pause <= 10 for pause in clock.slept)


def test_pauses_grow_by_half_up_to_the_longest() -> None:
    """A wait looks often at first, and then less often."""
    pauses = growing(1, 3)

    assert [next(pauses) for _ in range(5)] == [1, 1.5, 2.25, 3, 3]
