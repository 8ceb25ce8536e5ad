"""The bench prints no figure that it could not measure."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.bench.bench_lab import Memory


class Container:
    """A container whose figures are what a test gives, or an exception."""

    def __init__(self, figures: Any) -> None:  # noqa: ANN401 - JSON, or an exception
        self._figures = figures

    def stats(self, *, stream: bool) -> Any:  # noqa: ANN401 - JSON
        """Return the figures."""
        assert not stream
        if isinstance(self._figures, Exception):
            raise self._figures
        return self._figures


class Engine:
    """An engine with one container; it says when it has been asked a few times."""

    def __init__(self, figures: Any) -> None:  # noqa: ANN401 - JSON, or an exception
        self.containers, self._figures, self._asked = self, figures, 0
        self.enough = threading.Event()

    def list(self, *, ignore_removed: bool) -> list[Container]:
        """Return the container."""
        assert ignore_removed
        self._asked += 1
        if self._asked > 1:
            self.enough.set()
        return [Container(self._figures)]


@pytest.mark.parametrize(
    "figures", [ValueError("Expecting value: line 1 column 1"), {}, {"memory_stats": {}}, OSError("gone")]
)
def test_what_could_not_be_measured_is_no_figure(figures: Any) -> None:  # noqa: ANN401 - JSON, or an exception
    """A container that goes away while it is asked ends neither the watch nor in a figure."""
    engine = Engine(figures)
    memory = Memory(engine)  # type: ignore[arg-type] # an engine that answers so
    memory.start()
    assert engine.enough.wait(30)
    memory.over.set()
    memory.join()

    assert memory.peak is None


def test_what_was_measured_is_the_peak() -> None:
    """Usage counts without the page cache that can go."""
    engine = Engine({"memory_stats": {"usage": 50 << 20, "stats": {"total_inactive_file": 10 << 20}}})
    memory = Memory(engine)  # type: ignore[arg-type] # an engine that answers so
    memory.start()
    assert engine.enough.wait(30)
    memory.over.set()
    memory.join()

    assert memory.peak is not None
    assert memory.peak >= 40
