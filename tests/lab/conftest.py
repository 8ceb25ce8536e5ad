"""One lab for all tests that leave it as it was."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import docker
import pytest

from tests.lab.ground import open_ground, running_lab
from tests.lab.projects import Checkout, copy_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.control import RunningLab
    from tests.lab.ground import Ground


@pytest.fixture(scope="session")
def lab(engine: docker.DockerClient) -> Iterator[RunningLab]:
    """Run a lab of two Edge hosts for the session."""
    _ = engine
    with running_lab(2) as lab:
        yield lab


@pytest.fixture(scope="session")
def ground(lab: RunningLab, engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Yield the lab as a site, with a private registry."""
    with open_ground(lab, engine, tmp_path_factory.mktemp("evidence")) as ground:
        yield ground


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Checkout]:
    """Copy the project; the path for temporary files is short, because sockets are made there."""
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield copy_project(tmp_path / "project", temporary)
    shutil.rmtree(temporary)
