"""The pauses between looks: the one loop of everything that waits.

Everything in the house may import this module and nothing of ours is below it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROWTH = 1.5


def growing(first: float, longest: float) -> Iterator[float]:
    """Yield pauses that grow by half from ``first`` to ``longest``, without end."""
    pause = first
    while True:
        yield pause
        pause = min(pause * GROWTH, longest)


def looks(
    within: float,
    pause: Callable[[], float],
    *,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[float]:
    """Yield the seconds that are left, once for each look, and pause between two of them.

    There is at least one look, and none after the time is up but that which the last pause leads to. ``pause`` is asked
    before each pause how long it is.
    """
    deadline = now() + within
    while True:
        yield max(0.0, deadline - now())
        if (left := deadline - now()) <= 0:
            return
        sleep(min(pause(), left))
