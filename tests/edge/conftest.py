"""A real Edge host, one of a lab, and a server of SSH that behaves as a test wants."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from edge import EdgeHost, SshAccess
from harness.sites.site_file import read_site_file
from lab.control import RunningLab
from tests.edge.ssh_server import SshServer, serving
from tests.lab.ground import running_lab

Reach = Callable[..., EdgeHost]


@pytest.fixture(scope="session")
def lab(engine: docker.DockerClient) -> Iterator[RunningLab]:
    """Run a lab with one Edge host."""
    _ = engine
    with running_lab(1) as lab:
        yield lab


@pytest.fixture
def reach(lab: RunningLab) -> Iterator[Reach]:
    """Yield a way to reach the host; what is given by name differs from the right access."""
    site = read_site_file(lab.site_file)
    target = site.edge_hosts["edge-1"]
    hosts: list[EdgeHost] = []
    with tempfile.TemporaryDirectory(prefix="ssh-") as control:

        def reached(**different: object) -> EdgeHost:
            right: dict[str, object] = {
                "address": target.address, "user": target.user, "control": Path(control), "key": site.ssh_key,
                "known_hosts": site.known_hosts,
            }  # fmt: skip
            access = SshAccess(**{**right, **different})  # type: ignore[arg-type] # as the test names them
            hosts.append(EdgeHost("edge-1", access, back_within=30))
            return hosts[-1]

        yield reached
        for host in hosts:
            host.close()


@pytest.fixture
def server() -> Iterator[SshServer]:
    """Yield an SSH server."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder, serving(Path(folder)) as serves:
        yield serves
