"""What tests of several parts stand on."""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from engine.reach import EngineUnavailable, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

# the same examples here as on a build server: what chance finds is for whoever writes a test, not for the next to land
settings.register_profile(
    "own", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("own")


def pytest_configure(config: pytest.Config) -> None:
    """Make every warning an error: in own tests only, for a dependency's news must not end a user's run."""
    config.addinivalue_line("filterwarnings", "error")


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
