"""Progress: what is over, what runs on which host, about how long it still takes, on a terminal and in a file."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.costs import Cost
from harness.progress import Progress, View, cut, is_live, rough
from reports.records import CaseFinished
from reports.verdicts import Verdict
from tests.settling import settled

HOME = Path(__file__).parents[3]


@dataclass
class Stopwatch:
    """Time that passes when it is told to."""

    time: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time


@pytest.fixture
def watch() -> Stopwatch:
    """Return a stopwatch."""
    return Stopwatch()


def progress(watch: Stopwatch, *, workers: int = 1, measured: bool = True, **expected: float) -> Progress:
    """Return the progress of cases with these expected seconds."""
    costs = {case: Cost(1, 1, seconds, measured) for case, seconds in (expected or {"a": 60.0, "b": 120.0}).items()}
    return Progress(costs, workers, now=watch)


def ran(progress: Progress, watch: Stopwatch, case: str, seconds: float) -> None:
    """Run a case for some seconds."""
    progress.begin(case)
    watch.time += seconds
    progress.end()


def test_what_runs_is_said_from_the_first_second(watch: Stopwatch) -> None:
    """Each worker has a line with its case and its hosts' phases, each with its time."""
    told = progress(watch, workers=2)
    told.begin("suites/x.py::test_a", "gw0")
    told.host("edge-1", "deploy", "gw0")
    watch.time += 25
    told.host("edge-2", "repave", "gw0")
    watch.time += 5
    told.begin("suites/x.py::test_b", "gw1")

    assert told.lines() == ["gw0 a 30 s: edge-1 deploy 30 s, edge-2 repave 5 s", "gw1 b 1 s: no cluster"]


def test_before_the_first_case_it_says_what_is_done(watch: Stopwatch) -> None:
    """Building images and starting a lab is shown as well."""
    told = progress(watch)
    told.doing = "building the lab's images"

    assert told.lines() == ["building the lab's images"]


def test_a_cluster_that_is_gone_is_not_named(watch: Stopwatch) -> None:
    """After its cluster's end a host is in no phase."""
    told = progress(watch)
    told.begin("a")
    cluster: Any = SimpleNamespace(hosts=[SimpleNamespace(uid="edge-1")])
    told.phase(cluster, "deploy")
    assert "edge-1 deploy" in told.lines()[0]
    told.phase(cluster, "")

    assert "no cluster" in told.lines()[0]


def test_what_remains_follows_the_pace_so_far(watch: Stopwatch) -> None:
    """When the first case took twice as long as expected, so will the rest; workers share it."""
    told = progress(watch)
    ran(told, watch, "a", 120)
    assert told.remaining() == 240.0

    side_by_side = progress(watch, workers=2, a=10.0, b=100.0, c=100.0, d=100.0)
    ran(side_by_side, watch, "a", 10)
    assert side_by_side.remaining() == 150.0


def test_what_remains_counts_down_within_a_case_and_is_never_nothing(watch: Stopwatch) -> None:
    """While a case runs the rest becomes less; a case that takes longer than expected is not called done."""
    told = progress(watch, a=60.0)
    told.begin("a")
    watch.time += 20
    assert told.remaining() == 40.0
    watch.time += 20
    assert told.remaining() == 20.0
    watch.time += 60

    assert told.remaining() == 50.0


def test_a_guess_is_told_as_a_range(watch: Stopwatch) -> None:
    """Cases that were never measured give a wide range, measured ones a narrow one."""
    guessed = progress(watch, measured=False, a=600.0, b=600.0)
    ran(guessed, watch, "a", 600)
    measured = progress(watch, measured=True, a=600.0, b=600.0)
    ran(measured, watch, "a", 600)

    assert guessed.left() == "about 5 min to 20 min left"
    assert measured.left() == "about 8 min to 12 min left"


def test_the_sum_names_cases_red_ones_and_times(watch: Stopwatch) -> None:
    """One line says how far the run is."""
    told = progress(watch)
    ran(told, watch, "a", 60)
    told.red = 1

    assert told.head() == "1/2 cases, 1 red, 1 min so far, about 2 min left"


def test_a_duration_is_told_as_people_guess_it() -> None:
    """Seconds below a minute, minutes below an hour, then both."""
    assert [rough(s) for s in (0.2, 59, 61, 3570, 3599, 40 * 3600 + 540)] == [
        "1 s", "59 s", "1 min", "1 h 0 min", "1 h 0 min", "40 h 9 min",
    ]  # fmt: skip


def test_a_line_fits_and_cannot_steer_a_terminal() -> None:
    """A long line is cut, and what has no shape is made visible."""
    assert cut("x" * 100, 80) == "x" * 77 + "..."
    assert cut("a\x1b[2Jb\n", 80) == "a\\x1b[2Jb\\n"


def test_in_a_file_each_case_has_a_line_and_silence_does_not_last(watch: Stopwatch) -> None:
    """A case that is over has a line of its own; while nothing ends, lines say what runs."""
    stream = io.StringIO()
    view = View(stream, patience=0.02)
    told = progress(watch)
    view.follow(told)
    told.begin("x::test_a")
    assert settled(lambda: stream.getvalue().count("0/2 cases, ") > 1, 5)
    view.ended(CaseFinished(case="x::test_a", verdict=Verdict.PASS, seconds=3.0))
    view.stop()
    lines = stream.getvalue().splitlines()

    assert "  a 1 s: no cluster" in lines
    assert "1/2  pass            3.0 s  a" in lines
    assert all(len(line) <= 80 for line in lines)


def test_plain_text_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written over on what is no terminal, with NO_COLOR, or on a dumb terminal."""
    terminal: Any = SimpleNamespace(isatty=lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert is_live(terminal)
    assert not is_live(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_live(terminal)


def test_a_terminal_shows_what_runs_over_and_over() -> None:
    """On a real pseudo-terminal the live lines are there, and gone when the view has stopped."""
    program = """
        import sys
        from harness.costs import Cost
        from harness.progress import Progress, View
        view = View(sys.stdout)
        told = Progress({"x::test_a": Cost(1, 1, 60.0)})
        view.follow(told)
        told.begin("x::test_a")
        told.host("edge-1", "deploy")
        view.say("a message")
        sys.stdin.readline()
        view.stop()
    """
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONPATH": str(HOME)}
    environment.pop("NO_COLOR", None)
    command = [sys.executable, "-c", "\n".join(line[8:] for line in program.splitlines())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=theirs, env=environment, text=True) as process:
        os.close(theirs)
        shown = _read_until(ours, b"edge-1 deploy")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
        shown += _read_until(ours, b"nothing that is ever shown")
    os.close(ours)

    assert process.returncode == 0
    assert b"a message" in shown
    assert b"0/1 cases" in shown
    assert shown.count(b"\x1b[?25h") == 1  # the cursor is back


def _read_until(terminal: int, wanted: bytes) -> bytes:
    shown, deadline = b"", time.monotonic() + 30
    while wanted not in shown and time.monotonic() < deadline:
        if not select.select([terminal], [], [], 1.0)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    return shown
