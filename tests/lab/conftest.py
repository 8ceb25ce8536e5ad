"""One lab for all tests that leave it as it was."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import docker
import pytest
from docker.errors import DockerException

from tests.lab.ground import open_ground, running_lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.control import RunningLab
    from tests.lab.ground import Ground


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


@pytest.fixture(scope="session")
def lab(engine: docker.DockerClient) -> Iterator[RunningLab]:
    """Run a lab of two Edge hosts for the session."""
    _ = engine
    with running_lab(2) as lab:
        yield lab


@pytest.fixture(scope="session")
def ground(lab: RunningLab, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Give the lab as a site, with a private registry."""
    with open_ground(lab, engine, tmp_path_factory.mktemp("evidence")) as ground:
        yield ground
