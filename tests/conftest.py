"""What tests of several parts stand on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import DockerException

if TYPE_CHECKING:
    from collections.abc import Iterator


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
