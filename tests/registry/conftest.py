"""What the tests of the registry stand on: a real registry, and small images made on the spot."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from registry.images import Image, push_layout
from registry.layout import write_layout
from registry.server import PrivateRegistry

RELEASE = 'KAIROS_NAME="kairos"\nKAIROS_VERSION="v1"\nKAIROS_IMAGE_LABEL="base"\n'
LABELS = {"palette-edge-conformance.test": "registry"}


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A Docker engine, if this machine has one."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    with contextlib.closing(client):
        yield client


@pytest.fixture(scope="session")
def private_registry(engine: docker.DockerClient) -> Iterator[PrivateRegistry]:
    """One registry for all tests that do not stop it."""
    with PrivateRegistry(engine, labels=LABELS) as registry:
        yield registry


@pytest.fixture(params=["container", "process"])
def carrier(request: pytest.FixtureRequest) -> docker.DockerClient | None:
    """What carries a registry: an engine, or (None) this machine itself."""
    if request.param == "process":
        if not (shutil.which("docker-registry") or shutil.which("registry")):
            pytest.skip("no registry program on this machine: apt-get install docker-registry")
        return None
    client: docker.DockerClient = request.getfixturevalue("engine")
    return client


def tar_of(path: Path, files: Mapping[str, str]) -> Path:
    """Write a tar with the given files; a value that begins with ``->`` is a symbolic link."""
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            if content.startswith("->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:]
                tar.addfile(member)
            else:
                member.size = len(content.encode())
                tar.addfile(member, io.BytesIO(content.encode()))
    return path


ImageMaker = Callable[..., Image]


@pytest.fixture
def make_image(private_registry: PrivateRegistry, tmp_path: Path) -> ImageMaker:
    """Push an image made of layers, given as dictionaries of files from the lowest to the top one."""
    client = private_registry.client()

    def make(*layers: Mapping[str, str], repository: str = "provider/ubuntu", tag: str = "v1") -> Image:
        tars = [tar_of(tmp_path / f"{number}.tar", files) for number, files in enumerate(layers)]
        write_layout(tmp_path / "layout", tars, tag=tag, config={"Env": ["A=b"]})
        return push_layout(client, tmp_path / "layout", repository, tag, image=tag)

    return make


def blob_of(registry: PrivateRegistry, image: Image, digest: str) -> bytes:
    """Read a blob through the harness' account."""
    return b"".join(registry.client().blob(image.repository, digest))


def document(raw: bytes) -> dict[str, object]:
    """Parse JSON."""
    parsed: dict[str, object] = json.loads(raw)
    return parsed
