"""What tests of several parts stand on."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
from collections import Counter
from collections.abc import Iterator

import docker
import pytest
from hypothesis import HealthCheck, settings

from engine.reach import EngineUnavailable, connect

# the same examples here as on a build server: what chance finds is for whoever writes a test, not for the next to land
settings.register_profile(
    "own", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("own")

#: What takes minutes begins first, so that no worker is left with it at the end; the longest first.
SLOWEST = (
    "tests/lab/test_workers.py", "tests/site/registries/", "tests/verdicts/", "tests/site/long_runs/test_killed_run.py",
    "tests/detection/test_planted.py", "tests/third_party/", "tests/detection/test_infrastructure.py", "tests/lab/",
    "tests/site/", "tests/detection/test_switching.py", "tests/harness/test_command_line.py",
)  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Make every warning an error: in own tests only, for a dependency's news must not end a user's run."""
    config.addinivalue_line("filterwarnings", "error")
    _prepare_children()


def _prepare_children() -> None:
    """Have the programs that tests start begin quickly, and hear Ctrl-C also where a script started these tests.

    Half of what a pytest takes to begin went into compiling the project, and into a plugin that only we have installed.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTEST_ADDOPTS"] = "-p no:schemathesis -p no:anyio"
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell has it for what runs in its background
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the slowest files first; pytest itself sorts paths that overlap, whatever their order on the command line."""
    items.sort(
        key=lambda item: next((n for n, name in enumerate(SLOWEST) if item.nodeid.startswith(name)), len(SLOWEST))
    )


def pytest_collection_finish() -> None:
    """Freeze what collection made: collecting garbage in it stops every thread for a fifth of a second."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count the tests that were skipped, for each reason."""
    reasons = Counter(
        str(report.longrepr[2]).removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Yield a Docker engine, if this machine has one."""
    try:
        client = connect(lambda _said: None, provision=False)
    except EngineUnavailable as error:
        pytest.skip(str(error))
    with contextlib.closing(client):
        yield client
