"""One lab for all tests that leave it as it was."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from lab.control import RunningLab
from tests.lab.ground import Ground, open_ground, running_lab
from tests.lab.projects import Checkout
from tests.packages import copy_to


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


@pytest.fixture(scope="session")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, once: Python compiles it for the first test, and the others begin sooner."""
    folder = tmp_path_factory.mktemp("copy") / "project"
    copy_to(folder)
    return folder


@pytest.fixture
def project(copied: Path) -> Iterator[Checkout]:
    """Yield a copy of the project without runs; the path for temporary files is short, for sockets are made there."""
    shutil.rmtree(copied / "reports" / "runs", ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    yield Checkout(copied, temporary)
    shutil.rmtree(temporary)
