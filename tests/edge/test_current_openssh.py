"""A host with a current OpenSSH (9.8 and later), which punishes logins that fail: Debian 13's, in a container."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.types import Mount

from edge import EdgeHost, HostUnreachable, SshAccess
from edge.access import PenalisedError
from engine.debian import Recipe, image_from_packages
from engine.ownership import Owner

if TYPE_CHECKING:
    import docker

HOST = Recipe(
    packages=("openssh-server",),
    suite="trixie",
    hooks=('mkdir -p "$1/run/sshd"', 'rm -f "$1"/etc/ssh/ssh_host_*'),
)


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    """Return an image of such a host, built once."""
    return image_from_packages(engine, "palette-edge-conformance/current-openssh", HOST, say=lambda _line: None)


@pytest.fixture
def host(engine: docker.DockerClient, image: str) -> Iterator[EdgeHost]:
    """Run a host that knows nobody's key yet."""
    with tempfile.TemporaryDirectory(prefix="s-") as name, _listening(engine, image, Path(name)) as address:
        folder = Path(name)
        (folder / "known").write_text(f"{address} {(folder / 'host.pub').read_text()}")
        access = SshAccess(address, "root", folder, key=folder / "user", known_hosts=folder / "known", sudo=False)
        yield EdgeHost("edge-1", access, back_within=20.0)
        access.close()


@contextmanager
def _listening(engine: docker.DockerClient, image: str, folder: Path) -> Iterator[str]:
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    options = ("HostKey=/keys/host", "AuthorizedKeysFile=/keys/allowed", "StrictModes=no", "UsePAM=no")
    container = engine.containers.run(
        image,
        ["/usr/sbin/sshd", "-D", "-e", *(word for option in options for word in ("-o", option))],
        mounts=[Mount("/keys", str(folder), "bind", read_only=True)],
        labels=Owner.this_process("openssh").labels,
        detach=True,
    )
    try:
        container.reload()
        yield str(next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"])
    finally:
        container.remove(force=True)


def allow(host: EdgeHost) -> None:
    """Let the host accept the harness' key."""
    folder = host.access.control
    (folder / "allowed").write_text((folder / "user.pub").read_text())


def test_a_host_that_refuses_logins_while_it_boots_does_not_punish_for_waiting(host: EdgeHost) -> None:
    """Tries a second, two and five apart stay below the threshold: the login is taken as soon as it may be."""
    host.access.close()
    with pytest.raises(HostUnreachable, match="Permission denied"):
        EdgeHost("edge-1", host.access, back_within=4).wait_until_reachable()
    allow(host)
    host.wait_until_reachable()

    assert host.run("ssh -V").stderr.startswith("OpenSSH_")


def test_another_run_with_a_wrong_key_is_told_from_a_host_that_is_gone(host: EdgeHost) -> None:
    """Somebody fails to log in from this machine until sshd turns it away: that is what the wait says."""
    allow(host)
    host.wait_until_reachable()
    host.access.close()
    (host.access.control / "allowed").unlink()
    for _ in range(6):
        with suppress(HostUnreachable):
            host.run("true")

    with pytest.raises(PenalisedError, match="Not allowed at this time"):
        EdgeHost("edge-1", host.access, back_within=1).wait_until_reachable()
