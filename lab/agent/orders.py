"""Orders from Palette: one thread takes them in, the working one does the newest, and a long step can be overtaken."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Order = dict[str, Any]

#: Seconds between two looks at whether a running step has been overtaken.
LOOK = 0.1


class Overtaken(Exception):  # noqa: N818 - it names what happened
    """A newer order asks for something else: what is being done has no purpose any more."""


class StepTookTooLong(Exception):  # noqa: N818 - it names what happened
    """A step did not end in its time and was ended."""


class Inbox:
    """Holds the newest order until it is taken; an older one that nobody took is dropped."""

    def __init__(self) -> None:
        self._arrival = threading.Condition()
        self._newest: Order | None = None
        self._taken: Order | None = None

    def put(self, order: Order) -> None:
        """Take an order in."""
        with self._arrival:
            self._newest = order
            self._arrival.notify_all()

    def take(self, patience: float | None) -> Order | None:
        """Return the newest order that was not taken yet; None when none arrives in ``patience`` seconds."""
        with self._arrival:
            self._arrival.wait_for(lambda: self._newest is not None, patience)
            order, self._newest = self._newest, None
            self._taken = order or self._taken
            return order

    def is_overtaken(self) -> bool:
        """Return whether an order waits that asks for something else than the one taken last."""
        with self._arrival:
            return self._newest is not None and meaning(self._newest) != meaning(self._taken or {})


def meaning(order: Mapping[str, Any]) -> tuple[object, ...]:
    """Return what two orders must have in common for the work on one to serve the other."""
    cluster = order.get("cluster") or {}
    return order.get("reset"), *(cluster.get(key) for key in ("uid", "generation", "image", "credential", "turn"))


def run_step(
    command: Sequence[str], overtaken: Callable[[], bool], *, within: float, stderr: int | IO[str] = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    """Run a program that may take long; end it, with its children, when a newer order arrives.

    Raises:
        Overtaken: a newer order asks for something else.
        StepTookTooLong: it did not end ``within`` seconds.

    """
    deadline = time.monotonic() + within
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True) as process:
        while True:
            try:
                output, errors = process.communicate(timeout=LOOK)
            except subprocess.TimeoutExpired:
                if overtaken():
                    _end(process)
                    raise Overtaken(command[0]) from None
                if time.monotonic() > deadline:
                    _end(process)
                    raise StepTookTooLong(f"{command[0]} did not finish within {within:g} s") from None
            else:
                return subprocess.CompletedProcess(command, process.returncode, output, errors)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
