"""A pytest plugin of ``./run``: being told to end before a run has begun is heard, and ends as after Ctrl-C."""

from __future__ import annotations

import signal

import pytest

from harness.environment import TOLD
from harness.interrupts import end_as_by_ctrl_c
from harness.worker import given


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hear from here on what ``./run`` held back while pytest was loaded."""
    if given(config) is None:  # a run's workers are told by their controller, own tests' by whoever tells the group
        end_as_by_ctrl_c(signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
