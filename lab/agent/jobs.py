"""Upgrade jobs: processes of their own, forked from one that has imported already what a job needs.

An interpreter that is started for each job takes 0.4 s of processor time until it can begin, more than the job itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import signal
import socket
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from lab.agent.orders import LOOK, Overtaken, StepTookTooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MESSAGE = 4096  # bytes; a path, a process id or an exit status


class Jobs:
    """Runs ``work(plan)`` in a process of its own, one at a time.

    To be made before there is any thread: of the process that is forked only the thread that forks lives on. ``needs``
    are modules that are imported once there is a first job; what jobs write to standard error goes to ``log``.
    """

    def __init__(self, work: Callable[[Path], None], log: Path, needs: Sequence[str] = ()) -> None:
        self._server, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if os.fork() == 0:
            self._server.close()
            _serve(theirs, work, log, needs)
        theirs.close()

    def run(self, plan: Path, overtaken: Callable[[], bool], *, within: float) -> int:
        """Run a job to its end and return its exit status.

        Raises:
            Overtaken: a newer order asks for something else; the job and its children were ended.
            StepTookTooLong: it did not end ``within`` seconds.

        """
        deadline = time.monotonic() + within
        with contextlib.suppress(BrokenPipeError):  # which the missing answer says as well
            self._server.send(os.fsencode(plan))
        job = self._answer()
        while not select.select([self._server], [], [], LOOK)[0]:
            if overtaken():
                self._end(job)
                raise Overtaken(str(plan))
            if time.monotonic() > deadline:
                self._end(job)
                raise StepTookTooLong(f"the upgrade job did not finish within {within:g} s")
        return self._answer()

    def _end(self, job: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)
        self._answer()

    def _answer(self) -> int:
        """Read a number from the process that starts jobs; without that process the agent ends, to be started anew."""
        answer = self._server.recv(_MESSAGE)
        if not answer:
            raise SystemExit("the process that starts upgrade jobs is gone")
        return int(answer)


def _serve(orders: socket.socket, work: Callable[[Path], None], log: Path, needs: Sequence[str]) -> NoReturn:
    """Start jobs for as long as the agent lives."""
    while plan := orders.recv(_MESSAGE):
        for module in needs:
            importlib.import_module(module)
        job = os.fork()
        if job == 0:
            _do(work, Path(os.fsdecode(plan)), log)
        with contextlib.suppress(OSError):  # it is over already
            os.setpgid(job, job)  # here too: whoever is told of a job may end it
        orders.send(str(job).encode())
        orders.send(str(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])).encode())
    os._exit(0)


def _do(work: Callable[[Path], None], plan: Path, log: Path) -> NoReturn:
    status = 1
    try:
        os.setpgid(0, 0)
        with log.open("a") as errors:
            os.dup2(errors.fileno(), 2)
        work(plan)
        status = 0
    except BaseException:  # noqa: BLE001 - whatever it is, it ends here
        traceback.print_exc()
    finally:
        os._exit(status)
