from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
from docker.errors import NotFound

from engine.debian import ProgramMissing
from engine.ownership import Owner, process_identity
from registry.address import RegistryAddress
from registry.client import RegistryClient, RegistryError, digest_of
from registry.engine_image import ImageUnavailable
from registry.room import clear_abandoned
from registry.runners import RegistryFailed
from registry.server import PortTaken, PrivateRegistry
from registry.tls import Authority
from tests.registry.samples import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    import docker

BLOB = b"some bytes"
IPV6 = "::1"


def ours(engine: docker.DockerClient | None) -> list[str]:
    """Name the containers that carry this test's labels."""
    if engine is None:
        return []
    filters: dict[str, str | list[str] | bool] = {"label": [f"{name}={value}" for name, value in LABELS.items()]}
    return [str(container.name) for container in engine.containers.list(all=True, filters=filters)]


def test_a_registry_serves_its_accounts_over_tls_and_is_gone_afterwards(
    carrier: docker.DockerClient | None, tmp_path: Path
) -> None:
    """In a container or as a process: an account pushes and reads, and nothing is left on engine, port or disk."""
    before = ours(carrier)
    with PrivateRegistry(carrier, labels=LABELS, parent=tmp_path) as registry, registry.account() as account:
        client = registry.client(account)
        client.push_blob("a/b", digest_of(BLOB), len(BLOB), [BLOB])

        assert b"".join(client.blob("a/b", digest_of(BLOB))) == BLOB

    assert ours(carrier) == before
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((registry.address.host, registry.address.port), timeout=1)


def test_an_outage_ends_where_it_began(carrier: docker.DockerClient | None) -> None:
    """A stopped registry refuses connections; started again it has its address, content and accounts."""
    with PrivateRegistry(carrier, labels=LABELS) as registry, registry.account() as account:
        client = registry.client(account)
        client.push_blob("a/b", digest_of(BLOB), len(BLOB), [BLOB])
        registry.stop()
        assert not registry.is_answering()
        with pytest.raises(requests.ConnectionError):
            client.login()
        registry.start()

        assert b"".join(client.blob("a/b", digest_of(BLOB))) == BLOB
        registry.restart()
        client.login()


def test_the_container_can_do_no_more_than_it_must(
    private_registry: PrivateRegistry, engine: docker.DockerClient
) -> None:
    """No capabilities, no new privileges, an unchangeable root, the run's labels, no secret among its arguments."""
    container = next(c for c in engine.containers.list() if c.name in ours(engine))
    config = container.attrs["HostConfig"]

    assert config["CapDrop"] == ["ALL"]
    assert not config["CapAdd"]
    assert not config["Privileged"]
    assert config["ReadonlyRootfs"]
    assert "no-new-privileges" in config["SecurityOpt"]
    assert LABELS.items() <= container.labels.items()
    with private_registry.account(password="in-no-argument") as account:
        assert account.password not in str(container.attrs) + private_registry.log()


def test_a_registry_listens_where_it_is_told(carrier: docker.DockerClient | None) -> None:
    """Bind address and port are honoured, and the certificate is for the address and the further names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = int(probe.getsockname()[1])
    with PrivateRegistry(carrier, bind="127.0.0.2", port=port, names=("localhost",), labels=LABELS) as registry:
        assert registry.address == RegistryAddress("127.0.0.2", port)
        assert f"https://127.0.0.2:{port}" == registry.address.url
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_registry_listens_on_ipv6(carrier: docker.DockerClient | None) -> None:
    """An IPv6 bind address works like any other."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((IPV6, 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with PrivateRegistry(carrier, bind=IPV6, labels=LABELS) as registry:
        registry.client().login()

        assert str(registry.address).startswith("[::1]:")


def test_a_taken_port_is_refused_by_name(carrier: docker.DockerClient | None) -> None:
    """A port in use is refused before anything is started, with its number."""
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        port = occupant.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port}"):
            PrivateRegistry(carrier, port=port)


def test_an_address_of_another_machine_is_refused() -> None:
    """A bind address that this machine does not have is refused, naming it."""
    with pytest.raises(PortTaken, match=r"192\.0\.2\.1"):
        PrivateRegistry(None, bind="192.0.2.1")


def test_a_registry_that_dies_says_why(carrier: docker.DockerClient | None, tmp_path: Path) -> None:
    """When the program ends while starting, the error has its last words, and nothing is left."""
    before = ours(carrier)
    registry = PrivateRegistry(carrier, labels=LABELS, parent=tmp_path)
    with socket.socket() as occupant:  # somebody takes the port after it was chosen
        occupant.bind((registry.address.host, registry.address.port))

        with pytest.raises(RegistryFailed, match="address already in use"), registry:
            pass

    assert ours(carrier) == before
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_during_the_start_leaves_nothing(
    carrier: docker.DockerClient | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the harness waits for the registry removes container or process, and files."""

    def interrupted(_: PrivateRegistry) -> bool:
        raise KeyboardInterrupt

    before = ours(carrier)
    monkeypatch.setattr(PrivateRegistry, "is_answering", interrupted)
    with pytest.raises(KeyboardInterrupt), PrivateRegistry(carrier, labels=LABELS, parent=tmp_path):
        pass

    assert ours(carrier) == before
    assert list(tmp_path.iterdir()) == []


def test_an_error_inside_is_not_hidden_by_a_container_that_is_gone(engine: docker.DockerClient) -> None:
    """Somebody else removing the container does not make leaving fail."""
    with PrivateRegistry(engine, labels=LABELS) as registry:
        container = engine.containers.get(registry._runner.name)  # type: ignore[union-attr]
        container.remove(force=True)

    with pytest.raises(NotFound):
        engine.containers.get(str(container.name))


KILLED = """
import sys, time, docker, pathlib
from registry.server import PrivateRegistry
with PrivateRegistry(None, parent=pathlib.Path(sys.argv[1])) as registry:
    print(registry._runner._process.pid, registry.address.port, flush=True)
    time.sleep(60)
"""


@pytest.mark.usefixtures("registry_program")
def test_the_next_start_clears_what_a_killed_run_left(tmp_path: Path) -> None:
    """After SIGKILL a registry process and its directory remain; the next registry of the same place clears them."""
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert run.stdout is not None
        pid, port = map(int, run.stdout.readline().split())
        with PrivateRegistry(None, parent=tmp_path):  # the other run lives: nothing of it may be touched
            os.kill(pid, 0)
    finally:
        run.kill()
        run.communicate()
    assert len(list(tmp_path.iterdir())) == 1

    cleared = clear_abandoned(tmp_path)

    assert len(cleared) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()


def test_a_container_without_labels_of_its_own_belongs_to_this_process(engine: docker.DockerClient) -> None:
    """A registry started without labels carries those by which a later run clears what a killed one left."""
    with PrivateRegistry(engine) as registry:
        container = engine.containers.get(registry._runner.name)  # type: ignore[union-attr]

        assert Owner.this_process("private-registry").labels.items() <= container.labels.items()


def test_a_number_used_again_is_not_killed(tmp_path: Path) -> None:
    """A process that has the number of a former registry, and is not it, is left alone."""
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        _, tick, *place = process_identity(bystander.pid).split("@")
        former = "@".join([str(bystander.pid), f"{tick}0", *place])  # same number, started at another time
        room = tmp_path / f"palette-edge-registry-{former}-x"
        room.mkdir()
        (room / "registry.pid").write_text(former)
        clear_abandoned(tmp_path)

        assert bystander.poll() is None
        assert not room.exists()
    finally:
        bystander.send_signal(signal.SIGKILL)
        bystander.wait()


@pytest.mark.usefixtures("registry_program")
def test_variables_of_the_caller_do_not_change_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """``REGISTRY_…`` variables would override the configuration file; a registry process does not get them."""
    monkeypatch.setenv("REGISTRY_AUTH_HTPASSWD_PATH", "/nonexistent/htpasswd")
    with PrivateRegistry(None) as registry:
        registry.client().login()


def test_without_engine_and_program_the_message_has_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with neither an engine nor a registry program is told what to install."""
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(ProgramMissing, match="apt-get install docker-registry"), PrivateRegistry(None):
        pass


def test_another_image_that_cannot_be_had_is_named(engine: docker.DockerClient) -> None:
    """An image asked for by option is never replaced by another one in silence."""
    with (
        pytest.raises(ImageUnavailable, match="no-such-registry:9"),
        PrivateRegistry(engine, image="localhost:1/no-such-registry:9", say=lambda _: None),
    ):
        pass


def test_a_registry_used_before_it_runs_says_so() -> None:
    """Methods that need the running registry refuse outside of the context."""
    with pytest.raises(RuntimeError, match="with PrivateRegistry"):
        PrivateRegistry(None).restart()


def test_an_authority_can_be_shared(engine: docker.DockerClient) -> None:
    """Two registries of one run can have certificates of one authority, and keep their accounts apart."""
    authority = Authority()
    with (
        PrivateRegistry(engine, authority=authority, labels=LABELS) as first,
        PrivateRegistry(engine, authority=authority, labels=LABELS) as second,
        first.account() as account,
    ):
        first.client(account).login()
        with pytest.raises(RegistryError, match="401"):
            second.client(account).login()


def test_environment_bundles_do_not_replace_what_is_trusted(
    private_registry: PrivateRegistry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """REQUESTS_CA_BUNDLE neither breaks the client's trust in the run's authority nor adds to what it trusts."""
    bundle = tmp_path / "bundle.pem"
    foreign = Authority()
    bundle.write_text(foreign.pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    private_registry.client().login()

    bundle.write_text(private_registry.authority.pem)
    with pytest.raises(requests.exceptions.SSLError):
        RegistryClient(private_registry.address, "a", "b", authorities=foreign.pem).login()
