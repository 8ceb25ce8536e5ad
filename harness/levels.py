"""Levels: how much of the suites a run is meant to do."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pytest

SMOKE, DEFAULT, NIGHTLY, CERTIFICATION = LEVELS = ("smoke", "default", "nightly", "certification")


def depth_of(level: str) -> str:
    """Return how deep properties go at a level: ``default`` or ``nightly`` (many more examples, every vector)."""
    return "nightly" if level in {NIGHTLY, CERTIFICATION} else "default"


def seed_of(version: str) -> int:
    """Return the seed of a certification: the same for everybody with this version of the harness."""
    return int.from_bytes(hashlib.sha256(version.encode()).digest()[:4], "big") % 10**8


def requirements_of(item: pytest.Item) -> tuple[str, ...]:
    """Return the requirements that a case proves."""
    marker = item.get_closest_marker("requirement")
    return tuple(marker.args) if marker else ()


def smoke(items: Iterable[pytest.Item], seconds: Callable[[pytest.Item], float]) -> list[pytest.Item]:
    """Choose one case for each part of the suites and each phase: the one that settles most for its time."""
    best: dict[tuple[str, str], pytest.Item] = {}
    for item in items:
        marker = item.get_closest_marker("requirement")
        if marker is None:
            continue
        place = (item.path.parent.name, str(marker.kwargs["phase"]))
        if place not in best or _worth(item, seconds) > _worth(best[place], seconds):
            best[place] = item
    return list(best.values())


def _worth(item: pytest.Item, seconds: Callable[[pytest.Item], float]) -> float:
    return len(requirements_of(item)) / seconds(item)
