"""The bench prints no figure that it could not measure."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.bench.bench_lab import RUN_LABEL, Memory


class Container:
    """A container whose figures are what a test gives, or an exception."""

    def __init__(self, figures: Any, run: str = "bench-1") -> None:  # noqa: ANN401 - JSON, or an exception
        self._figures, self.labels = figures, {RUN_LABEL: run}

    def stats(self, *, stream: bool) -> Any:  # noqa: ANN401 - JSON
        """Return the figures."""
        assert not stream
        if isinstance(self._figures, Exception):
            raise self._figures
        return self._figures


class Engine:
    """An engine with some containers; it says when it has been asked a few times."""

    def __init__(self, *found: Container) -> None:
        self.containers, self._found, self._asked = self, found, 0
        self.enough = threading.Event()

    def list(self, *, ignore_removed: bool) -> list[Container]:
        """Return the containers."""
        assert ignore_removed
        self._asked += 1
        if self._asked > 1:
            self.enough.set()
        return [*self._found]


MEASURED = {"memory_stats": {"usage": 50 << 20, "stats": {"total_inactive_file": 10 << 20}}}
LOST: tuple[Any, ...] = (ValueError("Expecting value: line 1 column 1"), {}, {"memory_stats": {}}, OSError("gone"))


def watched(*found: Container) -> float | None:
    """Watch an engine with these containers for a few looks; return the peak."""
    engine = Engine(*found)
    memory = Memory(engine, every=0.01)  # type: ignore[arg-type] # an engine that answers so
    memory.start()
    assert engine.enough.wait(30)
    memory.over.set()
    memory.join()
    return memory.peak


@pytest.mark.parametrize("found", [(), (Container(MEASURED, "lab-other"),), *((Container(each),) for each in LOST)])
def test_what_could_not_be_measured_is_no_figure(found: tuple[Container, ...]) -> None:
    """Neither a container that goes away while it is asked nor one of another lab ends in a figure."""
    assert watched(*found) is None


def test_what_was_measured_is_the_peak() -> None:
    """Usage counts without the page cache that can go, and without what another lab uses."""
    peak = watched(Container(MEASURED), Container({"memory_stats": {"usage": 1 << 50}}, "lab-other"))

    assert peak is not None
    assert 40 <= peak < 1 << 20
