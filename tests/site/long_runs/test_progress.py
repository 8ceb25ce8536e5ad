"""Progress: silent while cases are quick, then which host does what, and how long it may still take."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest

from harness.clusters import Cluster, settled
from harness.progress import Progress


@dataclass
class Stopwatch:
    """Time that passes when it is told to."""

    time: float = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.time


@pytest.fixture
def watch() -> Stopwatch:
    """Return a stopwatch."""
    return Stopwatch()


def progress(watch: Stopwatch, **expected: float) -> Progress:
    """Return the progress of cases with these expected seconds."""
    return Progress(expected or {"a": 60.0, "b": 120.0}, lambda _message: None, now=watch)


def cluster(*hosts: str) -> Cluster:
    """Return as much of a cluster as progress looks at."""
    return cast("Cluster", SimpleNamespace(hosts=[SimpleNamespace(uid=uid) for uid in hosts]))


def test_a_quick_case_says_nothing(watch: Stopwatch) -> None:
    """Before a case has taken twenty seconds there is nothing to say, nor when none runs."""
    told = progress(watch)
    told.begin("a")
    watch.time += 19
    assert told.line() == ""
    watch.time += 2
    assert told.line() != ""
    told.end("a")
    assert told.line() == ""


def test_a_line_names_hosts_phases_their_time_and_what_remains(watch: Stopwatch) -> None:
    """Each host stands there with its phase and how long it has been in it; then how many cases are done."""
    told = progress(watch)
    told.begin("suites/x.py::a")
    told.phase(cluster("edge-1", "edge-2"), "deploy")
    watch.time += 25
    told.phase(cluster("edge-1"), "repave")
    watch.time += 5

    assert "a, 30.0 s: edge-1 repave for 5.0 s, edge-2 deploy for 30.0 s; 0 of 2 cases done, about " in told.line()


def test_a_cluster_that_is_gone_is_not_named(watch: Stopwatch) -> None:
    """After its cluster's end a host is in no phase."""
    told = progress(watch)
    told.begin("a")
    told.phase(cluster("edge-1"), "deploy")
    told.phase(cluster("edge-1"), "")
    watch.time += 30

    assert "no cluster" in told.line()


def test_what_remains_follows_the_pace_so_far(watch: Stopwatch) -> None:
    """When the first case took twice as long as expected, so will the rest."""
    told = progress(watch, a=60.0, b=120.0)
    assert told.remaining() == 180.0
    told.begin("a")
    watch.time += 120
    told.end("a")

    assert told.remaining() == 240.0


def test_it_speaks_until_it_is_stopped() -> None:
    """Lines come by themselves, at the pace of its patience, and none after the end."""
    lines: list[str] = []
    told = Progress({"a": 1.0}, lines.append, patience=0.01)
    told.begin("a")

    assert settled(lambda: len(lines) > 2, 5)
    told.stop()
