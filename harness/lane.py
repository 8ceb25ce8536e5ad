"""A lane beside the first: the same pytest session in another process, silent, with a lab of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from harness.interrupts import end_as_by_ctrl_c
from harness.long_runs import PROGRESS
from harness.plugin import RUN
from reports.records import CaseFinished, Record, to_json

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Loop = Callable[[pytest.Session], None]


def live(session: pytest.Session, loop: Loop, wire: Connection, number: int) -> None:
    """Run cases, clear up, and tell the first lane what could not be done."""
    run = session.config.stash[RUN]
    _leave_the_terminal(session.config)
    _tell(session.config, wire, number)
    try:
        loop(session)
        if session.shouldstop:
            wire.send(("trouble", f"lane {number} ended early: {session.shouldstop}"))
    except (KeyboardInterrupt, pytest.exit.Exception, Exception) as ended:  # noqa: BLE001 - told where it is seen
        wire.send(("trouble", f"lane {number} ended early: {ended or type(ended).__name__}"))
    finally:
        _plugin(session.config, "runner").pytest_sessionfinish(session)  # takes the fixtures down
        for protected in run.protected:
            wire.send(("secret", (protected.name, protected.secret.reveal())))
        wire.send(("left behind", run.left_behind))


def _leave_the_terminal(config: pytest.Config) -> None:
    """Leave terminal, Ctrl-C and captured output to the first lane."""
    end_as_by_ctrl_c(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    manager = config.pluginmanager
    manager.unregister(_plugin(config, "terminalreporter"))
    del config.stash[PROGRESS]
    capture = _plugin(config, "capturemanager")
    capture.stop_global_capturing()  # the file behind it would be shared
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    capture.start_global_capturing()


def _plugin(config: pytest.Config, name: str) -> Any:  # noqa: ANN401 - pytest's own
    return config.pluginmanager.get_plugin(name)


def _tell(config: pytest.Config, wire: Connection, number: int) -> None:
    """Send all that pytest and the run have to say to the first lane."""
    config.stash[RUN].go_beside(number, _Records(wire))
    config.pluginmanager.register(_Reports(config, wire))


class _Records:
    """The journal of a lane: the first one writes what comes from here."""

    def __init__(self, wire: Connection) -> None:
        self._wire = wire

    def write(self, record: Record) -> None:
        """Send a case's record; that the run began is said by the first lane."""
        if isinstance(record, CaseFinished):
            self._wire.send(("record", to_json(record)))

    def close(self) -> None:
        """Do nothing: the wire is closed with the process."""


class _Reports:
    def __init__(self, config: pytest.Config, wire: Connection) -> None:
        self._config, self._wire = config, wire

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._wire.send(("begins", (nodeid, location)))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        plain = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self._wire.send(("report", plain))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._wire.send(("ends", (nodeid, location)))
