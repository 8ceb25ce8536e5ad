"""Lanes: the cases of one run go on side by side, each lane in a process of its own with a lab of its own.

A case waits half of its time, for boots and for answers, so a machine does more cases at once than it has cores. The
first lane is the run itself. The others are forked from it when everything is collected, take their cases from the
same queue, and send what they have to say to the first, which alone writes the journal and speaks on the terminal.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from math import inf
from multiprocessing.connection import Connection, Pipe
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from harness import progress
from harness.interrupts import held_back
from harness.lane import live
from harness.long_runs import COSTS, PROGRESS, speaker
from harness.plugin import ENGINE, OPTIONS, RUN
from harness.run import cases_of
from harness.sites.lab_site import BadSetupError, prepare
from protected import Secret
from reports.leak_forms import Protected
from reports.records import from_json
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _pytest.nodes import Node

    from harness.costs import Cost

#: Lanes of a run that is not told how many; more gained nothing on two cores.
LANES = 3
#: Seconds that a run must be expected to take to be worth more than one lane.
WORTH = 60.0
#: The fixture that tells a run of its provider images.
IMAGES = "provider_images"
#: Seconds between two looks at a lane that is waited for.
PATIENCE = 5.0
#: Seconds that a lane that is told to end has for clearing up.
CLEARING = 120.0
#: Cases in a row that may tell a lane nothing of the product before it leaves the rest to the others.
MOST_TROUBLES = 3
_TROUBLES = {Verdict.DEAD, Verdict.ERROR}
_INDEX = struct.Struct("=I")


def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the cases in lanes where that is worth it; otherwise pytest does what it always does."""
    count = _lanes(session)
    if count == 1:
        return None
    _prepare(session.config)
    costs = session.config.stash[COSTS]
    work = Queue(in_order(session.items, costs))
    first = work.take_last()  # the first lane always has a case: it tells the run what its site is like
    lanes: list[Lane] = []
    try:
        for number in range(2, count + 1):
            with held_back():  # a lane that is forked is known, and a fork is not half done
                lanes.append(Lane.fork(session, work, number, lanes))
        for lane in lanes:
            lane.open()
        work.run(session, partial(_listen, session, lanes), work.take_last, first)
        _listen_to_the_end(session, lanes)
    except BaseException:
        for lane in lanes:
            lane.end()
        _listen_to_the_end(session, lanes)
        raise
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
    if troubles := [lane.trouble for lane in lanes if lane.trouble]:
        raise session.Interrupted("; ".join(troubles))
    return True


def in_order(items: list[pytest.Item], costs: Mapping[str, Cost]) -> list[pytest.Item]:
    """Return the longest cases first, and last the shortest that needs provider images, for it comes first of all.

    When the first case is over, what is under test is written down, and its images are part of that.
    """
    order = sorted(items, key=lambda item: -costs[item.nodeid].seconds)
    telling = [item for item in order if IMAGES in getattr(item, "fixturenames", ())]
    return [*(item for item in order if item not in telling[-1:]), *telling[-1:]]


def _prepare(config: pytest.Config) -> None:
    try:
        prepare(config.stash[OPTIONS], config.stash[ENGINE], speaker(config))
    except BadSetupError as error:
        pytest.exit(f"bad set-up: {error}", returncode=4)


def _listen(session: pytest.Session, lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.listen(session)


def _listen_to_the_end(session: pytest.Session, lanes: list[Lane]) -> None:
    for lane in lanes:
        lane.wait(session)


def _lanes(session: pytest.Session) -> int:
    """Return how many lanes a run has: what was asked for, else three for a run on labs that is long enough."""
    config = session.config
    option, options, items = config.option, config.stash[OPTIONS], session.items
    in_front = option.collectonly or option.plan or option.usepdb or option.capture == "no"
    if in_front or session.testsfailed or len(list(cases_of(items))) != len(items):
        return 1
    if options.lanes is not None:
        return max(1, min(options.lanes, len(items)))
    if options.site is not None or options.keep_lab or options.registry_port is not None:
        return 1
    expected = sum(config.stash[COSTS][item.nodeid].seconds for item in items)
    return min(LANES, len(os.sched_getaffinity(0)) + 1, len(items)) if expected > WORTH else 1


class Queue:
    """The cases that no lane has taken yet.

    Lanes take from the front, where the longest are; the first lane takes from the end, for it hears the others
    between its cases: what they have to say should not wait for minutes.
    """

    def __init__(self, cases: list[pytest.Item]) -> None:
        self._cases = cases
        self._from_end = reversed(range(len(cases)))  # the first lane's alone
        self._left = _filled_pipe(b"." * len(cases))  # a pipe holds some 16,000 numbers without a reader
        self._from_front = _filled_pipe(b"".join(map(_INDEX.pack, range(len(cases)))))
        self._closed = mmap.mmap(-1, 1)  # shared with every process that is forked from here

    def take(self) -> pytest.Item | None:
        """Return the next case from the front, None when there is none."""
        if not os.read(self._left, 1):
            return None
        number: int = _INDEX.unpack(os.read(self._from_front, _INDEX.size))[0]
        return self._cases[number]

    def take_last(self) -> pytest.Item | None:
        """Return the next case from the end, None when there is none; for the first lane alone."""
        return self._cases[next(self._from_end)] if os.read(self._left, 1) else None

    def run(
        self,
        session: pytest.Session,
        between: Callable[[], object] = lambda: None,
        take: Callable[[], pytest.Item | None] | None = None,
        first: pytest.Item | None = None,
    ) -> None:
        """Run ``first`` and then cases until there are none, as pytest's own loop does, and ``between`` after each.

        Where pytest would stop, every lane stops after the case that it runs: what has failed there is to be told, too.
        """
        take = take or self.take
        case, troubles = first or take(), 0
        while case is not None and not self._closed[0]:
            following = Following(take if troubles < MOST_TROUBLES else lambda: None)
            case.config.hook.pytest_runtest_protocol(item=case, nextitem=following)
            troubles = troubles + 1 if session.config.stash[RUN].cases[-1].verdict in _TROUBLES else 0
            between()
            if session.shouldfail or session.shouldstop:
                self._closed[0] = True
            case = following.case


class Following:
    """The case after the one that runs: taken when that one ends, so that no lane holds one back meanwhile.

    It is then that pytest asks whether there is one, and of what it is part, to know which fixtures may stay.
    """

    def __init__(self, take: Callable[[], pytest.Item | None]) -> None:
        self._take = take

    @cached_property
    def case(self) -> pytest.Item | None:
        """The case, None when there is none."""
        return self._take()

    def __bool__(self) -> bool:
        return self.case is not None

    def listchain(self) -> list[Node]:
        """Return what the case is part of, the session first."""
        return self.case.listchain() if self.case else []


def _filled_pipe(content: bytes) -> int:
    """Return the reading end of a pipe that has everything it will ever have; processes that read it share it."""
    reader, writer = os.pipe()
    os.write(writer, content)
    os.close(writer)
    return reader


@dataclass
class Lane:
    """Another lane as the first one sees it."""

    number: int
    pid: int
    wire: Connection
    _inbox: SimpleQueue[tuple[str, Any] | None] = field(default_factory=SimpleQueue)
    trouble: str = ""
    _running: str = ""
    _told: float = inf
    _is_open: bool = False
    _is_over: bool = False

    @classmethod
    def fork(cls, session: pytest.Session, work: Queue, number: int, earlier: list[Lane]) -> Lane:
        """Begin a lane in a process of its own, which keeps nothing of the ``earlier`` ones open."""
        sys.stdout.flush()
        sys.stderr.flush()
        ours, theirs = Pipe()
        pid = os.fork()
        if pid == 0:
            for held in (ours, *(lane.wire for lane in earlier)):
                held.close()
            _live_alone(session, work, theirs, number)
        theirs.close()
        return cls(number, pid, ours)

    def open(self) -> None:
        """Begin to receive; only when every lane is forked, for a process with threads should not fork."""
        if not self._is_open:
            self._is_open = True
            Thread(target=self._receive, name=f"lane {self.number}", daemon=True).start()

    def listen(self, session: pytest.Session) -> None:
        """Take what the lane has said so far."""
        while not self._inbox.empty():
            self._hear(session, self._inbox.get())

    def end(self) -> None:
        """Let the lane clear up and end, as after Ctrl-C."""
        if not self._is_over:
            self._told = time.monotonic()
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, session: pytest.Session) -> None:
        """Take what the lane says until it ends."""
        self.open()
        speak, spoken = speaker(session.config), time.monotonic()
        while not self._is_over:
            try:
                self._hear(session, self._inbox.get(timeout=PATIENCE))
            except Empty:
                if time.monotonic() - spoken >= progress.PATIENCE:
                    spoken, what = time.monotonic(), self._running.rpartition("::")[2] or "it clears up"
                    speak(f"waiting for lane {self.number}: {what}; {session.config.stash[PROGRESS].count()}")
                if time.monotonic() - self._told > CLEARING:
                    os.kill(self.pid, signal.SIGKILL)  # the next run clears what it leaves

    def _receive(self) -> None:
        """Keep the wire empty: a lane whose words nobody takes would stand still."""
        try:
            while True:
                self._inbox.put(self.wire.recv())
        except (EOFError, OSError):
            pass
        except Exception as error:  # noqa: BLE001 - a lane that was interrupted in the middle of a word
            self._inbox.put(("trouble", f"lane {self.number} broke off: {type(error).__name__}"))
        finally:
            self._inbox.put(None)

    def _hear(self, session: pytest.Session, message: tuple[str, Any] | None) -> None:
        if message is None:
            self._end()
            return
        kind, said = message
        config = session.config
        if kind == "begins":
            self._running = said[0]
            config.hook.pytest_runtest_logstart(nodeid=said[0], location=said[1])
        elif kind == "ends":
            self._running = ""
            config.hook.pytest_runtest_logfinish(nodeid=said[0], location=said[1])
            config.stash[PROGRESS].elsewhere(said[0])
        elif kind == "report":
            report = config.hook.pytest_report_from_serializable(config=config, data=said)
            config.hook.pytest_runtest_logreport(report=report)
        elif kind == "record":
            config.stash[RUN].take(from_json(said))
        elif kind == "secret":
            config.stash[RUN].protected.append(Protected(said[0], Secret(said[1])))
        elif kind == "left behind":
            config.stash[RUN].left_behind += said
        else:
            self.trouble = said

    def _end(self) -> None:
        _pid, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code and not self.trouble:
            self.trouble = f"lane {self.number} ended with {code} in {self._running or 'no case'}"
        self._is_over = True


def _live_alone(session: pytest.Session, work: Queue, wire: Connection, number: int) -> NoReturn:
    """Be another lane, and never return into the first one's code."""
    code = 1
    try:
        live(session, work.run, wire, number)
        code = 0
    finally:
        os._exit(code)
