"""Strict mode's troubles: the published rate limits, and random 429s, server errors and connection resets.

Limits (API documentation): per source address, counted per parent resource; most prefixes 10 requests/s with a burst
of 50, some 50/s with a burst of 250; above it 429 ``TooManyRequests``, without ``Retry-After``.
"""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.palette.settings import Strictness

_FAST = (
    re.compile(r"/v1/clusterprofiles"),
    re.compile(r"/v1/cloudconfigs"),
    re.compile(r"/v1/spectroclusters$"),
    re.compile(r"/v1/spectroclusters/[^/]+/profiles"),
    re.compile(r"/v1/events/components"),
)
_BURST = 5.0
"""Seconds' worth of requests that may come at once."""

Trouble = Literal["too-many", "server-error", "reset"]


def rate_of(path: str) -> tuple[str, float]:
    """Return the bucket a path is counted in and its requests per second."""
    fast = next((pattern.pattern for pattern in _FAST if pattern.match(path)), None)
    if fast:
        return fast, 50.0
    return "/".join(path.split("/")[:3]), 10.0


@dataclass
class _Bucket:
    tokens: float
    filled: float


class RateLimits:
    """A token bucket per source address and parent resource; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def admits(self, address: str, path: str) -> bool:
        """Take one token; False when there is none."""
        name, rate = rate_of(path)
        full, now = rate * _BURST, self._clock()
        bucket = self._buckets.setdefault((address, name), _Bucket(full, now))
        bucket.tokens = min(full, bucket.tokens + (now - bucket.filled) * rate)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True


class Troubles:
    """Draws the trouble of the next request; the same seed draws the same sequence."""

    def __init__(self, strictness: Strictness) -> None:
        self._random = random.Random(strictness.seed)  # noqa: S311 - repeatable trouble, not a secret
        self._shares: tuple[tuple[Trouble, float], ...] = (
            ("too-many", strictness.share_429),
            ("server-error", strictness.share_5xx),
            ("reset", strictness.share_resets),
        )

    def next(self) -> Trouble | None:
        """Return the trouble of one request, None for none."""
        drawn = self._random.random()
        for trouble, share in self._shares:
            if drawn < share:
                return trouble
            drawn -= share
        return None
