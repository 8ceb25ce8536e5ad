"""Workers: cases go on side by side, each worker of pytest-xdist's in a process of its own; this session controls them.

Without a site file each worker has a lab. A site is shared: this session leases its Edge hosts for the run and lends
them to workers, case by case; each worker has a registry, a witness and a ledger of its own.

A case waits half of its time, for boots and for answers, so a machine does more cases at once than it has cores. How
many workers are worth it is known only when the cases are. So the controller collects first, and then starts
pytest-xdist's session itself; without workers everything runs in this process, as pytest always does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from contextlib import suppress
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest
from xdist.dsession import DSession
from xdist.dsession import Interrupted as StoppedByXdist

from harness import worker
from harness.interrupts import end_session
from harness.lifetimes import SharedHosts, hosts_of_a_site
from harness.long_runs import COSTS, PROGRESS
from harness.planning import units
from harness.plugin import ENGINE, OPTIONS, RUN
from harness.progress import VIEW, speaker
from harness.run import Run, cases_of, is_for_cases
from harness.scheduler import Queue, most_workers
from harness.sites.lab_site import BadSetupError, prepare
from protected import Secret
from reports.leak_forms import Protected
from reports.records import CaseFinished, from_json
from reports.text import plural, visible
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

    from harness.planning import PlannedUnit

#: Workers of a run that is not told how many; more gained nothing on two cores.
WORKERS = 3
#: Seconds that a run must be expected to take to be worth more than one worker.
WORTH = 60.0
#: Workers that a run may be asked for: each has a lab.
MOST_WORKERS = 8
#: What a site file needs for another worker.
_MORE = "each needs an Edge host, a port (registry.ports, or none for free ones) and a VIP (cluster.vips) of its own"
#: Cases in a row that found a host gone before it is lent no more.
MOST_LOSSES = 2
#: Seconds that a worker that is told to end has for clearing up.
CLEARING = 120.0
#: Cases in a row that may tell a worker nothing of the product before it leaves the rest to the others.
MOST_TROUBLES = 3
_TROUBLES = {Verdict.DEAD, Verdict.ERROR}

#: What each worker does first. It is told to end by the controller, or by the end of the controller, and not by a
#: terminal, which tells all processes at once.
_BEGIN = """
import ctypes, os, signal
for each in (signal.SIGINT, signal.SIGHUP):
    signal.signal(each, signal.SIG_IGN)
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
channel.send(os.getpid())
"""
_ASKED = pytest.StashKey["int | str | None"]()


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Take ``-n`` for the cases; for tests of the harness it stays pytest-xdist's."""
    if not hasattr(config, "workerinput") and is_for_cases(config):
        config.stash[_ASKED] = config.option.numprocesses
        config.option.numprocesses, config.option.dist, config.option.tx = None, "no", []


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check ``-n``, once all other options are checked."""
    asked = config.stash.get(_ASKED, None)
    if not isinstance(asked, int) or asked <= 1:
        return
    single = next((name for name in ("--keep-lab", "--registry-port") if config.getoption(name)), "")
    if single:
        raise pytest.UsageError(f"-n {asked}: each worker has a registry of its own; leave out {single}, or give -n 1")
    if (site := config.stash[OPTIONS].site) is not None:
        if asked > (most := most_workers(site)):
            raise pytest.UsageError(f"-n {asked}: {site.path.name} has enough for {plural(most, 'worker')}; {_MORE}")
    elif asked > MOST_WORKERS:
        raise pytest.UsageError(f"-n {asked}: each worker has a lab of its own; give at most {MOST_WORKERS}")


def workers_of(session: pytest.Session) -> int:
    """Return how many workers a run has: what was asked for, else three for a run on labs that is long enough."""
    config, items = session.config, session.items
    option, options, asked = config.option, config.stash[OPTIONS], config.stash.get(_ASKED, None)
    in_front = option.collectonly or option.usepdb or option.capture == "no" or option.debug
    if in_front or session.testsfailed or len(list(cases_of(items))) != len(items):
        return 1
    if isinstance(asked, int):
        return max(1, min(asked, len(items)))
    if options.site is not None:
        return min(most_workers(options.site), len(items)) if asked is not None else 1
    if options.keep_lab or options.registry_port is not None:
        return 1
    expected = sum(config.stash[COSTS][item.nodeid].seconds for item in items)
    most = min(WORKERS, len(os.sched_getaffinity(0)) + 1, len(items))
    return most if expected > WORTH or asked is not None else 1


def pytest_runtestloop(session: pytest.Session) -> object:
    """Run the cases in workers where that is worth it; otherwise pytest does what it always does."""
    config = session.config
    if hasattr(config, "workerinput") or config.option.plan or (count := workers_of(session)) <= 1:
        return None
    try:
        prepare(config.stash[OPTIONS], config.stash[ENGINE], speaker(config))
    except BadSetupError as error:
        end_session(f"bad set-up: {error}")
    costs = config.stash[COSTS]
    handed_out = units(session.items, costs)
    if config.stash[OPTIONS].site is None:
        _go(session, handed_out, count, None)
        return True
    with hosts_of_a_site(config.stash[RUN], speaker(config)) as shared:
        _go(session, handed_out, min(count, len(shared.hosts)), shared)
    return True


def _go(session: pytest.Session, handed_out: list[PlannedUnit], count: int, shared: SharedHosts | None) -> None:
    config = session.config
    config.stash[PROGRESS].workers = count
    has = "with a lab of its own" if shared is None else f"on {plural(len(shared.hosts), 'Edge host')} of the site"
    speaker(config)(f"starting {plural(count, 'worker')}, {'each ' if shared is None else ''}{has}")
    workers = Workers(session, config.stash[RUN], handed_out, count, shared)
    config.pluginmanager.register(workers)
    workers.go()


def _names(text: str, host: str) -> bool:
    """Return whether a text names a host, and not one whose name is longer: ``edge-1`` is not in ``edge-10``."""
    return re.search(rf"(?<![\w.-]){re.escape(host)}(?!-|\.?\w)", text) is not None


class WorkerLostError(Exception):
    """A worker ended while it ran a case; the message says which."""


class Workers:
    """The workers of a run, and what they say."""

    def __init__(
        self, session: pytest.Session, run: Run, given: list[PlannedUnit], count: int, shared: SharedHosts | None = None
    ) -> None:
        self.session, self.config, self.run, self.shared = session, session.config, run, shared
        self.cases = {item.nodeid: item for unit in given for item in unit.cases}
        self.queue = Queue(list(self.cases), [len(unit.cases) for unit in given], [unit.hosts for unit in given])
        self.wires: dict[str, Any] = {}
        self._slots = list(range(count))
        self._slot_of: dict[str, int] = {}
        self._losses: dict[str, int] = {}
        if shared is not None:
            self.queue.hosts, self.queue.clear = list(shared.hosts), shared.clear
            self.queue.tell = lambda name, hosts: self.wires[name].send(json.dumps(hosts))
        self.pids: dict[str, int] = {}
        self._lock = threading.Lock()
        self._troubles: dict[str, int] = {}
        self._left: tuple[str, int] | None = None
        option = self.config.option
        option.dist, option.tx = "load", ["popen"] * count
        option.maxworkerrestart = option.maxworkerrestart or str(count)
        self._xdist = DSession(self.config)
        self._xdist.terminal = None  # what is to be said about workers is said here
        self.config.pluginmanager.unregister(name="terminaldistreporter")

    def go(self) -> None:
        """Run every case. Raises what pytest raises at a run's early end."""
        held = vars(self.config).pop("_tmp_path_factory", None)  # pytest-xdist would make a directory that stays
        try:
            self._xdist.pytest_sessionstart(self.session)
            self._xdist.pytest_runtestloop()
        except StoppedByXdist as stopped:
            self._conclude(str(stopped))
        except (EOFError, OSError) as error:  # pytest-xdist does not foresee that a worker is killed as it starts
            self._end()
            end_session(f"a worker was lost while it started: {error}", ExitCode.ERROR)
        except BaseException:
            self._end()
            raise
        finally:
            vars(self.config).update(_tmp_path_factory=held)
            self._xdist.pytest_sessionfinish()
        if self.queue.has_pending:
            raise self.session.Interrupted("no worker is left for the other cases")

    def _conclude(self, why: str) -> None:
        why, code = self._left or (why, pytest.ExitCode.INTERRUPTED)
        if code != pytest.ExitCode.INTERRUPTED:
            end_session(why, code)
        raise (self.session.Failed if self._xdist.countfailures and not self._left else self.session.Interrupted)(why)

    # --- what workers say --------------------------------------------------------------------------------------------

    def hear(self, name: str, message: str) -> None:
        """Take what a worker says, in the order in which it says it; called in a thread of its gateway."""
        with self._lock:
            try:
                self._hear(name, *json.loads(message))
            except Exception as error:  # noqa: BLE001 - a full disk, say: nothing can be recorded any more
                self._leave(name, f"its records cannot be written: {error}", pytest.ExitCode.INTERNAL_ERROR)

    def _hear(self, name: str, kind: str, said: Any) -> None:  # noqa: ANN401 - from JSON
        run, progress = self.run, self.config.stash[PROGRESS]
        if kind == "says":
            speaker(self.config)(f"{name} {said}")
        elif kind == "begins":
            progress.begin(said, name)
        elif kind == "phase":
            progress.host(said[0], said[1], name)
        elif kind == "secret":
            run.protected.append(Protected(said[0], Secret(said[1])))
        elif kind == "facts":
            run.learn(said[0], frozenset(said[1]))
        elif kind == "record":
            self._take(name, from_json(said))
        elif kind == "left behind":
            run.left_behind += said
        else:
            self._leave(name, *said)

    def _take(self, name: str, record: object) -> None:
        if not isinstance(record, CaseFinished):
            return
        self.run.take(record)
        self.config.stash[VIEW].ended(record, name)
        self._look_at_hosts(name, record)
        self._troubles[name] = self._troubles.get(name, 0) + 1 if record.verdict in _TROUBLES else 0
        if self._troubles[name] > MOST_TROUBLES and len(self.queue.nodes) > 1:
            self.queue.leaving.add(name)

    def _look_at_hosts(self, name: str, record: CaseFinished) -> None:
        """Set aside the hosts that were gone in several cases in a row."""
        for host in list(self.queue.lent.get(name, ())):
            said = " ".join((record.reason, record.observed, *record.story))
            gone = record.verdict is Verdict.DEAD and (_names(said, host) or "free Edge host" in said)
            self._losses[host] = self._losses.get(host, 0) + 1 if gone else 0
            if self._losses[host] >= MOST_LOSSES and self.queue.set_aside(host):
                speaker(self.config)(f"Edge host {host} was gone {MOST_LOSSES} times; the others go on without it")

    def _leave(self, name: str, why: str, code: int) -> None:
        self.queue.leaving.add(name)
        self._left = self._left or (why if code != pytest.ExitCode.INTERRUPTED else f"worker {name}: {why}", code)
        self._xdist.shouldstop = self._xdist.shouldstop or why

    # --- hooks of pytest-xdist ---------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self) -> Queue:
        """Hand cases out one at a time."""
        return self.queue

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: WorkerController) -> None:
        """Prepare the process of a worker, give it what it must know, and a way to speak."""
        name, options = node.gateway.id, self.run.options
        self.pids[name] = node.gateway.remote_exec(_BEGIN).receive()
        wire = node.gateway.newchannel()
        wire.setcallback(lambda message: self.hear(name, message))
        chosen = {"cases": self.queue.cases, "level": options.level, "seed": options.seed}
        if self.shared is not None:
            self.wires[name] = wire
            self._slot_of[name] = self._slots.pop(0)
            chosen.update(self.shared.given(self._slot_of[name]))
        node.workerinput[worker.KEY] = {"wire": wire, "folder": str(self.run.folder), **chosen}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: WorkerController) -> None:
        """Keep the port and the virtual IP of a worker that has ended for the one that takes its place."""
        if (slot := self._slot_of.pop(node.gateway.id, None)) is not None:
            self._slots.append(slot)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: pytest.TestReport) -> None:
        """Record a case whose worker is gone as the harness' error, unless it is recorded already."""
        name: str = report.node.gateway.id
        why = WorkerLostError(f"worker {name} ended while it ran this case; the others go on")
        with self._lock:
            if all(known.case != crashitem for known in self.run.cases):
                record = self.run.lose(self.cases[crashitem], why)
                self.config.stash[VIEW].ended(record, name)
                report.longrepr = visible("\n".join(record.story))

    # --- the end -----------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End every worker, and take its reports until it has cleared up."""
        for node in self._live():
            self._signal(node, signal.SIGTERM)
        deadline = time.monotonic() + CLEARING
        while self._live() and time.monotonic() < deadline:
            with suppress(Empty):
                kind, about = self._xdist.queue.get(timeout=0.5)
                if kind == "testreport":
                    self.config.hook.pytest_runtest_logreport(report=about["rep"])
        for node in self._live():
            self._signal(node, signal.SIGKILL)  # the next run clears what it leaves

    def _live(self) -> list[WorkerController]:
        """Return the workers that have not ended; pytest-xdist itself would kill them after 10 seconds."""
        return [node for node in self._xdist._active_nodes if not node._down]  # noqa: SLF001 - nothing public says it

    def _signal(self, node: WorkerController, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pids[node.gateway.id], number)
