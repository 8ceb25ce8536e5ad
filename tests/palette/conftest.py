"""What the client's tests stand on: a clock that only moves when someone sleeps, and clients for small servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from palette import Limits, Palette, RetryPolicy, Timeouts
from palette.clock import Clock
from protected import Secret
from tests.palette.openapi import NO_DESCRIPTION, SPEC_4_8, SPEC_4_9, Spec, directory

KEY = "test-key-0123456789"


@dataclass
class SteppedClock:
    """Time that passes only by sleeping; ``slept`` holds every pause."""

    time: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Move the time on."""
        self.slept.append(seconds)
        self.time += seconds

    @property
    def clock(self) -> Clock:
        """The clock as the client takes it; labels keep the real time, since servers do."""
        return Clock(now=lambda: self.time, sleep=self.sleep)


@pytest.fixture
def stepped() -> SteppedClock:
    """Return a clock that only moves when someone sleeps."""
    return SteppedClock()


@pytest.fixture
def client(stepped: SteppedClock) -> Iterator[Callable[..., Palette]]:
    """Make clients for a server: quick, on the stepped clock, closed at the end."""
    made: list[Palette] = []

    def make(url: str, **options: Any) -> Palette:  # noqa: ANN401 - Palette's own options
        options.setdefault("api_key", Secret(KEY))
        options.setdefault("retry", RetryPolicy(attempts=4, first_pause=2.0, jitter=0.0))
        options.setdefault("limits", Limits.none())
        options.setdefault("timeouts", Timeouts(connect=2, answer=2))
        options.setdefault("clock", stepped.clock)
        made.append(Palette(url, **options))
        return made[-1]

    yield make
    for palette in made:
        palette.close()


@pytest.fixture(params=[SPEC_4_9, SPEC_4_8])
def spec(request: pytest.FixtureRequest) -> Spec:
    """Return the published description, once for each kept version."""
    return load_spec(directory() / request.param)


def load_spec(path: Path) -> Spec:
    """Read a description, or skip the test."""
    if not path.exists():
        pytest.skip(NO_DESCRIPTION)
    return Spec.load(path)
