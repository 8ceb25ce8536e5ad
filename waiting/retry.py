"""After which pause a request is repeated: one policy for Palette and for registries.

The rule is that of the vendor's own client: first pause 2 s, doubled each time, with jitter (palette-sdk-go
``api/apiutil/transport``). Whether a request may be repeated at all is the caller's to say.
"""

from __future__ import annotations

import random
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds have no fraction by RFC 9110; some servers write one.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


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
        times = (self.first_pause, self.longest_pause, self.give_up_after)
        if not (all(seconds >= 0 for seconds in times) and self.factor >= 1):  # no NaN either
            raise ValueError("RetryPolicy: pauses are seconds from 0 up, and factor is 1 or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"RetryPolicy.jitter is {self.jitter}; it is a share between 0 and 1")

    def pause(self, attempt: int, asked: float | None = None) -> float:
        """Return the seconds to wait after failed attempt number ``attempt`` (from 1), at least ``asked`` seconds."""
        planned = self.longest_pause
        with suppress(OverflowError):
            planned = min(self.first_pause * self.factor ** (attempt - 1), self.longest_pause)
        drawn = planned * (1 - self.jitter * self.chance())
        return drawn if asked is None else asked + planned * self.jitter * self.chance()

    def pause_after(self, attempt: int, *, elapsed: float, asked: float | None = None) -> float | None:
        """Return the pause before the next attempt, or None when there should be none."""
        if attempt >= self.attempts:
            return None
        pause = self.pause(attempt, asked)
        return pause if elapsed + pause <= self.give_up_after else None


def asked_pause(retry_after: str, date: str) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, or None.

    A date in it is compared with the answer's own ``Date``, so that a difference of clocks does not count; where there
    is none, with this machine's clock.
    """
    asked = retry_after.strip()
    if _SECONDS.fullmatch(asked):
        return float(asked)
    until = _moment(asked)
    return None if until is None else max(0.0, (until - (_moment(date) or datetime.now(UTC))).total_seconds())


def _moment(text: str) -> datetime | None:
    """Return the time of an HTTP date; its old form (asctime) names no zone, for all are GMT."""
    try:
        found = parsedate_to_datetime(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, TypeError, OverflowError):
        return None
