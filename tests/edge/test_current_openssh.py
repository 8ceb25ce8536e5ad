"""A host with a current OpenSSH (9.8 and later), which punishes logins that fail: Debian 13's, in a container."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.types import Mount

from edge import EdgeHost, HostUnreachable, SshAccess
from edge.access import PenalisedError
from engine.debian import BuildFailed, ProgramMissing, Recipe, image_from_packages
from engine.ownership import Owner
from tests.settling import settled

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

REFUSED = 3
HOST = Recipe(packages=("openssh-server",), suite="trixie")


@pytest.fixture(scope="module")
def image(engine: docker.DockerClient) -> str:
    """Return an image of such a host, built once."""
    try:
        return image_from_packages(engine, "palette-edge-conformance/current-openssh", HOST, say=lambda _line: None)
    except (BuildFailed, ProgramMissing) as error:
        pytest.skip(f"a host with a current OpenSSH cannot be built: {error}")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder with a short path, for keys and a socket."""
    with tempfile.TemporaryDirectory(prefix="s-") as name:
        yield Path(name)


@pytest.fixture
def host(sshd: Container, folder: Path) -> Iterator[EdgeHost]:
    """Yield a host that knows nobody's key yet."""
    networks = sshd.attrs["NetworkSettings"]["Networks"]
    address = str(next(iter(networks.values()))["IPAddress"])
    (folder / "known").write_text(f"{address} {(folder / 'host.pub').read_text()}")
    access = SshAccess(address, "root", folder, key=folder / "user", known_hosts=folder / "known", sudo=False)
    yield EdgeHost("edge-1", access, back_within=20.0)
    access.close()


@pytest.fixture
def sshd(engine: docker.DockerClient, image: str, folder: Path) -> Iterator[Container]:
    """Run its sshd."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    options = ("HostKey=/keys/host", "AuthorizedKeysFile=/keys/allowed", "StrictModes=no", "UsePAM=no")
    container = engine.containers.run(
        image,
        ["sh", "-c", f"mkdir -p /run/sshd && exec /usr/sbin/sshd -D -e -o {' -o '.join(options)}"],
        mounts=[Mount("/keys", str(folder), "bind", read_only=True)],
        labels=Owner.this_process("openssh").labels,
        detach=True,
    )
    try:
        container.reload()
        yield container
    finally:
        container.remove(force=True)


def allow(host: EdgeHost) -> None:
    """Make the host accept the harness' key."""
    folder = host.access.control
    (folder / "allowed").write_text((folder / "user.pub").read_text())


def test_a_host_that_refuses_logins_while_it_boots_does_not_punish_for_waiting(host: EdgeHost, sshd: Container) -> None:
    """Three refused logins, and looks at the port, stay below the threshold: the fourth is taken."""

    def allow_the_fourth() -> None:
        if settled(lambda: sshd.logs().count(b"Connection closed by authenticating user") >= REFUSED, 60):
            allow(host)

    watching = threading.Thread(target=allow_the_fourth, daemon=True)
    watching.start()
    EdgeHost("edge-1", host.access, back_within=60).wait_until_reachable()
    watching.join()

    assert b"penalty" not in sshd.logs()


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
