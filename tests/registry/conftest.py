"""What the tests of the registry stand on: a real registry, and small images made on the spot."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import docker
import pytest

from registry.images import Image, push_layout
from registry.layout import write_layout
from registry.server import PrivateRegistry
from registry.witness import Witness
from tests.registry.samples import LABELS, ImageMaker, tar_of


@pytest.fixture(scope="session")
def private_registry(engine: docker.DockerClient) -> Iterator[PrivateRegistry]:
    """One registry for all tests that do not stop it."""
    with PrivateRegistry(engine, labels=LABELS) as registry:
        yield registry


@pytest.fixture
def witness(private_registry: PrivateRegistry) -> Iterator[Witness]:
    """Stand in front of the registry."""
    with Witness(private_registry, names=("localhost",)) as standing:
        yield standing


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make temporary directories where only this test does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def make_image(private_registry: PrivateRegistry, tmp_path: Path) -> ImageMaker:
    """Push an image made of layers, given as dictionaries of files from the lowest to the top one."""
    client = private_registry.client()

    def make(*layers: Mapping[str, str], repository: str = "provider/ubuntu", tag: str = "v1") -> Image:
        tars = [tar_of(tmp_path / f"{number}.tar", files) for number, files in enumerate(layers)]
        write_layout(tmp_path / tag, tars, tag=tag, config={"Env": ["A=b"]})
        return push_layout(client, tmp_path / tag, repository, tag)

    return make
