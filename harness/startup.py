"""A pytest plugin of ``./run``: being told to end before a run has begun is heard, and wrong paths are refused."""

from __future__ import annotations

import signal

import pytest

from harness.environment import END_SIGNALS
from harness.interrupts import end_as_by_ctrl_c
from harness.worker import given


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Hear from here on what ``./run`` held back while pytest was loaded, and refuse paths that there are not.

    With workers pytest itself ends with "no tests ran": its controller collects nothing.
    """
    if not hasattr(config, "workerinput") and (wrong := [each for each in config.args if not _is_there(config, each)]):
        raise pytest.UsageError(f"there is no file or directory {', '.join(wrong)}; ./run help lists the arguments")
    if given(config) is None:  # a run's workers are told by their controller, own tests' by whoever tells the group
        end_as_by_ctrl_c(signal.SIGTERM, signal.SIGHUP)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)


def _is_there(config: pytest.Config, argument: str) -> bool:
    return (config.invocation_params.dir / argument.partition("::")[0]).exists()
