"""What tests of several parts stand on."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import DockerException
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# the same examples here as on a build server: what chance finds is for whoever writes a test, not for the next to land
settings.register_profile(
    "own", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("own")


def pytest_collection_finish() -> None:
    """Let what collection made be out of the way: going through it all stops every thread for a fifth of a second."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """Give a Docker engine, if this machine has one."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    with contextlib.closing(client):
        yield client
