"""The published request rates, kept by all processes of this machine together.

Palette counts requests per source address and parent resource (docs/palette.md §3.1). The level of
each bucket is one small file in a directory that the processes share; without a directory it is kept in memory.
pyrate-limiter was looked at: across processes it keeps a row of SQLite for each request, and the rates would stay here.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from palette.clock import Clock

_STATE = struct.Struct("<dd")
_BURST_SECONDS = 5.0
_MOST_WAITING = 10_000  # requests; a level below that was never written by anybody


@dataclass(frozen=True)
class Rate:
    """Requests per second for one parent resource; a burst may hold five seconds' worth."""

    resource: str
    per_second: float

    @property
    def burst(self) -> float:
        """How many requests may come at once."""
        return self.per_second * _BURST_SECONDS


OTHER = "/v1"

# The page names the fast resources and says "most" of the rest: what lies below a cluster, other than its profiles, is
# taken for slow. Assets and downloads, which it names as slow, are counted with it.
PUBLISHED: tuple[Rate, ...] = (
    Rate("/v1/clusterprofiles", 50),
    Rate("/v1/cloudconfigs", 50),
    Rate("/v1/spectroclusters", 50),
    Rate("/v1/spectroclusters/:uid", 10),
    Rate("/v1/spectroclusters/:uid/profiles", 50),
    Rate("/v1/events/components", 50),
    Rate("/v1/edgehosts", 10),
    Rate("/v1/dashboard", 10),
    Rate("/v1/projects", 10),
    Rate("/v1/packs", 10),
    Rate("/v1/registries", 10),
    Rate("/v1/auth", 10),
    Rate(OTHER, 10),
)


def rate_for(path: str, rates: tuple[Rate, ...] = PUBLISHED) -> Rate:
    """Return the rate that counts for ``path``: the one with the longest matching resource."""
    fitting = [rate for rate in rates if _matches(rate.resource, path)]
    return max(fitting, key=lambda rate: rate.resource.count("/"), default=Rate(OTHER, 10))


def _matches(resource: str, path: str) -> bool:
    wanted, given = resource.strip("/").split("/"), path.strip("/").split("/")
    return len(given) >= len(wanted) and all(w in (":uid", g) for w, g in zip(wanted, given, strict=False))


@dataclass(frozen=True)
class Limits:
    """How fast requests may be sent.

    ``share`` is the part of the published rate that this machine takes, since Palette counts per address and other
    people may use the same one. ``directory`` is shared by every process that must count together; it is created.
    ``rates=()`` means no limit.
    """

    directory: Path | None = None
    share: float = 0.8
    rates: tuple[Rate, ...] = PUBLISHED
    _memory: dict[str, tuple[float, float]] = field(default_factory=dict, repr=False, compare=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse a share that would stop everything or exceed what is published."""
        if not 0 < self.share <= 1:
            raise ValueError(f"Limits.share is {self.share}; it is a share above 0 and at most 1")

    @classmethod
    def none(cls) -> Limits:
        """Send as fast as the other side answers (for an endpoint of one's own)."""
        return cls(rates=())

    def take(self, path: str, clock: Clock) -> float:
        """Reserve one request for ``path``, wait until it may be sent, and give the seconds waited."""
        if not self.rates:
            return 0.0
        rate = rate_for(path, self.rates)
        wait = self._reserve(rate, clock.now)
        if wait > 0:
            clock.sleep(wait)
        return wait

    def _reserve(self, rate: Rate, now: Callable[[], float]) -> float:
        per_second, burst = rate.per_second * self.share, rate.burst * self.share
        with self._level(rate.resource) as bucket:
            moment = now()
            level = _refilled(bucket.level, bucket.stamp, moment, per_second, burst) - 1
            bucket.level, bucket.stamp = level, moment
        return max(0.0, -level / per_second)

    @contextmanager
    def _level(self, resource: str) -> Iterator[_Bucket]:
        if self.directory is None:
            with self._guard:
                bucket = _Bucket(*self._memory.get(resource, (math.inf, 0.0)))
                yield bucket
                self._memory[resource] = (bucket.level, bucket.stamp)
        else:
            with _locked(self.directory / f"palette{resource.replace('/', '-').replace(':', '')}.rate") as file:
                bucket = _Bucket.read(file)
                yield bucket
                os.pwrite(file, _STATE.pack(bucket.level, bucket.stamp), 0)


@dataclass
class _Bucket:
    level: float = math.inf
    stamp: float = 0.0

    @classmethod
    def read(cls, file: int) -> _Bucket:
        """Return the stored level; a new or damaged file counts as a full bucket."""
        state = os.pread(file, _STATE.size, 0)
        level, stamp = _STATE.unpack(state) if len(state) == _STATE.size else (math.inf, 0.0)
        return cls(level, stamp) if level > -_MOST_WAITING and not math.isnan(stamp) else cls()


def _refilled(level: float, stamp: float, now: float, per_second: float, burst: float) -> float:
    # The monotonic clock is one for all processes of a machine and starts anew with it: a stamp from "later" is of an
    # earlier boot and says nothing.
    return burst if stamp > now else min(burst, level + (now - stamp) * per_second)


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
