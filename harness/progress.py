"""Progress: how many cases are over, what runs on which host in which phase, and about how long it still takes."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

import pytest
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from harness.costs import SETTING_UP
from harness.worker import Wire
from reports.text import duration, one_line, visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from harness.clusters import Cluster
    from harness.costs import Cost
    from reports.records import CaseFinished

Say = Callable[[str], None]
#: Seconds after which a file or a CI log has a line, though no case has ended meanwhile.
PATIENCE = 30.0
#: How far an estimate may be off: of cases that were measured on this site, and of others.
_MEASURED, _GUESSED = 1.2, 2.0
_MINUTE, _HOUR = 60, 3600


@dataclass
class Running:
    """A case that runs: since when, and the phase of each of its hosts."""

    case: str
    began: float
    phases: dict[str, tuple[str, float]] = field(default_factory=dict)


@dataclass
class Progress:
    """What is over and what runs. ``expected`` has the cost of each case; a worker runs one case at a time."""

    expected: dict[str, Cost]
    workers: int = 1
    now: Callable[[], float] = time.monotonic
    doing: str = ""
    red: int = 0
    running: dict[str, Running] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.now()

    def begin(self, case: str, worker: str = "") -> None:
        """Note that a case begins."""
        self.running[worker], self.doing = Running(case, self.now()), ""

    def end(self, worker: str = "") -> None:
        """Note that a worker's case is over."""
        if ended := self.running.pop(worker, None):
            self.done[ended.case] = self.now() - ended.began

    def phase(self, cluster: Cluster, name: str) -> None:
        """Note a phase of a cluster, as a site's watcher."""
        for host in cluster.hosts:
            self.host(host.uid, name)

    def host(self, host: str, name: str, worker: str = "") -> None:
        """Note the phase of a host; an empty name is its cluster's end."""
        if (case := self.running.get(worker)) is None:
            return
        case.phases.pop(host, None)
        if name:
            case.phases[host] = (name, self.now())

    # --- how long it takes -------------------------------------------------------------------------------------------

    def remaining(self) -> float:
        """Return the seconds that are left: what was expected, corrected by how wrong it was so far."""
        known = sum(self._seconds(case) for case in self.done)
        pace = sum(self.done.values()) / known if known else 1.0
        rest = [self._rest(each, pace) for each in list(self.running.values())]
        begun = {*self.done, *(each.case for each in list(self.running.values()))}
        waiting = [cost.seconds * pace for case, cost in self.expected.items() if case not in begun]
        setting_up = 0.0 if begun else max(0.0, SETTING_UP - (self.now() - self.began))
        return setting_up + max([(sum(rest) + sum(waiting)) / self.workers, *rest, *waiting])

    def _rest(self, running: Running, pace: float) -> float:
        """Return what is left of a running case; one that took longer than expected may take half as long again."""
        passed, expected = self.now() - running.began, self._seconds(running.case) * pace
        return expected - passed if passed < expected else passed / 2

    def _seconds(self, case: str) -> float:
        return self.expected[case].seconds if case in self.expected else 0.0

    def left(self) -> str:
        """Return about how long it still takes; a range where it is a guess."""
        if len(self.done) >= len(self.expected):
            return "clearing up"
        open_cases = [cost for case, cost in self.expected.items() if case not in self.done]
        measured = sum(cost.seconds for cost in open_cases if cost.measured)
        share = measured / max(1e-9, sum(cost.seconds for cost in open_cases))
        spread = _GUESSED + (_MEASURED - _GUESSED) * share
        seconds = self.remaining()
        low, high = rough(seconds / spread), rough(seconds * spread)
        return f"about {high} left" if low == high else f"about {low} to {high} left"

    # --- lines -------------------------------------------------------------------------------------------------------

    def head(self) -> str:
        """Return the line that sums the run up."""
        red = f", {self.red} red" if self.red else ""
        passed = rough(self.now() - self.began)
        return f"{len(self.done)}/{len(self.expected)} cases{red}, {passed} so far, {self.left()}"

    def lines(self) -> list[str]:
        """Return a line for each case that runs, or what is done before the first."""
        now, found = self.now(), []
        for worker, each in sorted(self.running.items()):
            hosts = [f"{uid} {name} {rough(now - since)}" for uid, (name, since) in list(each.phases.items())]
            what = ", ".join(hosts) or "no cluster"
            found.append(" ".join(filter(None, (worker, short(each.case), f"{rough(now - each.began)}:", what))))
        is_over = len(self.done) >= len(self.expected)
        return found or [self.doing or ("clearing up" if is_over else "starting")]


def short(case: str) -> str:
    """Return the name of a case without its folder and what every name has."""
    return case.rpartition("::")[2].removeprefix("test_")


def rough(seconds: float) -> str:
    """Return a duration as people guess it: ``20 s``, ``4 min``, ``40 h 9 min``."""
    if seconds < _MINUTE:
        return f"{max(1, round(seconds))} s"
    if round(seconds / _MINUTE) < _HOUR // _MINUTE:
        return f"{round(seconds / _MINUTE)} min"
    hours, minutes = divmod(round(seconds / _MINUTE), 60)
    return f"{hours} h {minutes} min"


def cut(line: str, width: int) -> str:
    """Return a line that fits into the columns."""
    line = one_line(line)
    return line if len(line) <= width else f"{line[: width - 3]}..."


def columns() -> int:
    """Return how wide a line may be: the terminal's width, 80 where there is none."""
    return max(40, shutil.get_terminal_size((80, 24)).columns)


class View:
    """Shows progress on a stream: live on a terminal; in a file or a log a line per case and every 30 seconds."""

    def __init__(self, stream: TextIO, *, patience: float = PATIENCE) -> None:
        """Write on ``stream``, where nothing is captured."""
        self.progress: Progress | None = None
        self._stream, self._patience = stream, patience
        self._lock = threading.RLock()
        self._spoke = time.monotonic()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._live: Live | None = None

    def follow(self, progress: Progress) -> None:
        """Show the progress of a run from now on."""
        self.progress = progress
        if is_live(self._stream):
            self._live = _live(self._stream, self._now)
            self._live.start()
        else:
            self._thread = threading.Thread(target=self._speak, name="progress", daemon=True)
            self._thread.start()

    def say(self, message: str) -> None:
        """Write a message on a line of its own."""
        if self.progress:
            self.progress.doing = message
        self._write(message)

    def _write(self, message: str) -> None:
        with self._lock:
            self._spoke = time.monotonic()
            if self._live:
                self._live.console.print(Text(visible(message)))
            else:
                self._stream.write(f"{visible(message)}\n")
                self._stream.flush()

    def ended(self, record: CaseFinished, worker: str = "") -> None:
        """Note a case that is over, and write its line."""
        if (progress := self.progress) is None:
            return
        progress.end(worker)
        progress.red += record.verdict.is_red
        count = f"{len(progress.done):{len(str(len(progress.expected)))}}/{len(progress.expected)}"
        line = f"{count}  {record.verdict.value:<11} {duration(record.seconds):>9}  {short(record.case)}"
        self._write(cut(line, columns()))

    def stop(self) -> None:
        """Write no more, and leave the terminal as it was."""
        self._stop.set()
        if self._live:
            self._live.stop()
            self._live = None
        self.progress = None

    def _now(self) -> Iterable[str]:
        return [*self.progress.lines(), self.progress.head()] if self.progress else []

    def _speak(self) -> None:
        while not self._stop.wait(max(0.01, self._spoke + self._patience - time.monotonic())):
            if self.progress and time.monotonic() - self._spoke >= self._patience:
                for line in (self.progress.head(), *(f"  {line}" for line in self.progress.lines())):
                    self._write(cut(line, columns()))


def is_live(stream: TextIO) -> bool:
    """Return whether lines can be written over: a terminal, and nobody asked for plain text."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def _live(stream: TextIO, lines: Callable[[], Iterable[str]]) -> Live:
    def shown() -> Group:
        width = console.width - 1
        return Group(*(Text(cut(line, width), no_wrap=True) for line in lines()))

    console = Console(file=stream, force_terminal=True, highlight=False)
    return Live(
        get_renderable=shown, console=console, refresh_per_second=2, transient=True,
        redirect_stdout=False, redirect_stderr=False,
    )  # fmt: skip


#: Where the view of a session is that runs cases.
VIEW = pytest.StashKey[View]()


def open_view(config: pytest.Config) -> View:
    """Open the view of a session, on its own way to the terminal: while a case runs pytest captures the usual one."""
    stream = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding=sys.stdout.encoding, errors="backslashreplace")
    view = config.stash[VIEW] = View(stream)
    config.add_cleanup(stream.close)
    config.add_cleanup(view.stop)
    return view


def speaker(config: pytest.Config) -> Say:
    """Return a way to say something on the terminal at any moment, also while a case's output is captured."""
    if (wire := Wire.of(config)) is not None:
        return wire.say
    if (view := config.stash.get(VIEW, None)) is not None:
        return view.say
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return lambda message: reporter.write_line(visible(message)) if reporter is not None else None
