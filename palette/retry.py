"""When a request is repeated, and after which pause: one policy in one place.

The rule is that of the vendor's own client (HTTP 429, connection reset, statuses above 500; first pause 2 s, doubled
each time, with jitter; facts: palette-sdk-go ``api/apiutil/transport``), with one restriction of ours: a request that
must not happen twice is repeated only when it certainly did not happen.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from palette.errors import PaletteError, RateLimitedError, ServerError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

_NOT_ATTEMPTED = frozenset({429, 503})
_PLAIN_FAILURE = 500


@dataclass(frozen=True)
class RetryPolicy:
    """How patient the client is. All times are seconds.

    ``attempts`` counts the first one. ``jitter`` is the share of a pause that is left to chance, so that processes
    that were refused together do not come back together. After ``give_up_after`` seconds no new attempt is started;
    a ``Retry-After`` that points beyond it ends the attempts at once.
    """

    attempts: int = 6
    first_pause: float = 2.0
    factor: float = 2.0
    longest_pause: float = 30.0
    jitter: float = 0.5
    give_up_after: float = 120.0
    chance: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a policy that could never send anything or would never end."""
        if self.attempts < 1:
            raise ValueError(f"RetryPolicy.attempts is {self.attempts}; the first attempt counts, so use 1 or more")
        if min(self.first_pause, self.longest_pause, self.give_up_after) < 0 or self.factor < 1:
            raise ValueError("RetryPolicy: pauses are seconds from 0 up, and factor is 1 or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"RetryPolicy.jitter is {self.jitter}; it is a share between 0 and 1")

    def pause(self, attempt: int, asked: float | None = None) -> float:
        """Return the seconds to wait after failed attempt number ``attempt`` (from 1), at least ``asked`` seconds."""
        planned: float = min(self.first_pause * self.factor ** (attempt - 1), self.longest_pause)
        drawn = planned * (1 - self.jitter * self.chance())
        return drawn if asked is None else asked + planned * self.jitter * self.chance()

    def next_pause(self, error: PaletteError, *, attempt: int, elapsed: float, repeatable: bool) -> float | None:
        """Return the pause before the next attempt, or None when there should be none."""
        if attempt >= self.attempts or not may_repeat(error, repeatable=repeatable):
            return None
        pause = self.pause(attempt, error.retry_after)
        return pause if elapsed + pause <= self.give_up_after else None


def may_repeat(error: PaletteError, *, repeatable: bool) -> bool:
    """Return whether repeating can help and cannot harm.

    A request that is not ``repeatable`` (a POST that creates something) is repeated after 429 and 503, which say that
    it was not attempted, and when the connection could not be made; never after a reset, a time-out or a gateway's
    502/504, where Palette may have done the work.
    """
    if isinstance(error, RateLimitedError) or (isinstance(error, ServerError) and error.status in _NOT_ATTEMPTED):
        return True
    if isinstance(error, UnreachableError):
        return error.code != "TLS" and (repeatable or not error.outcome_unknown)
    return isinstance(error, ServerError) and repeatable and (error.status or 0) > _PLAIN_FAILURE
