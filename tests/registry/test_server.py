from __future__ import annotations

import socket
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import NotFound

from engine.ownership import Owner
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.engine_image import ImageUnavailable
from registry.manifests import RegistryError, digest_of
from registry.runners import RegistryFailed
from registry.server import PortTaken, PrivateRegistry
from registry.tls import Authority
from tests.registry.samples import LABELS

BLOB = b"some bytes"
IPV6 = "::1"


def ours(engine: docker.DockerClient) -> list[str]:
    """Name the containers that carry this test's labels."""
    filters: dict[str, str | list[str] | bool] = {"label": [f"{name}={value}" for name, value in LABELS.items()]}
    return [str(container.name) for container in engine.containers.list(all=True, filters=filters)]


def test_a_registry_serves_its_accounts_over_tls_and_is_gone_afterwards(
    engine: docker.DockerClient, temporary: Path
) -> None:
    """An account pushes and reads, and nothing is left on engine, port or disk."""
    before = ours(engine)
    with PrivateRegistry(engine, labels=LABELS) as registry, registry.account() as account:
        client = registry.client(account)
        client.push_blob("a/b", digest_of(BLOB), len(BLOB), [BLOB])

        assert b"".join(client.blob("a/b", digest_of(BLOB))) == BLOB

    assert ours(engine) == before
    assert list(temporary.iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((registry.address.host, registry.address.port), timeout=1)


def test_an_outage_ends_where_it_began(engine: docker.DockerClient) -> None:
    """A stopped registry refuses connections; started again it has its address, content and accounts."""
    with PrivateRegistry(engine, labels=LABELS) as registry, registry.account() as account:
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


def test_a_registry_listens_where_it_is_told(engine: docker.DockerClient) -> None:
    """Bind address and port are honoured, and the certificate is for the address and the further names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = int(probe.getsockname()[1])
    with PrivateRegistry(engine, bind="127.0.0.2", port=port, names=("localhost",), labels=LABELS) as registry:
        assert registry.address == RegistryAddress("127.0.0.2", port)
        assert f"https://127.0.0.2:{port}" == registry.address.url
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_a_registry_listens_on_ipv6(engine: docker.DockerClient) -> None:
    """An IPv6 bind address works like any other."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind((IPV6, 0))
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with PrivateRegistry(engine, bind=IPV6, labels=LABELS) as registry:
        registry.client().login()

        assert str(registry.address).startswith("[::1]:")


def test_a_taken_port_is_refused_by_name(engine: docker.DockerClient) -> None:
    """A port in use is refused before anything is started, with its number."""
    with socket.socket() as occupant:
        occupant.bind(("127.0.0.1", 0))
        occupant.listen()
        port = occupant.getsockname()[1]

        with pytest.raises(PortTaken, match=f"port {port}"):
            PrivateRegistry(engine, port=port)


def test_an_address_of_another_machine_is_refused(engine: docker.DockerClient) -> None:
    """A bind address that this machine does not have is refused, naming it."""
    with pytest.raises(PortTaken, match=r"192\.0\.2\.1"):
        PrivateRegistry(engine, bind="192.0.2.1")


def test_a_registry_that_dies_says_why(engine: docker.DockerClient, temporary: Path) -> None:
    """When the program ends while starting, the error has its last words, and nothing is left."""
    before = ours(engine)
    registry = PrivateRegistry(engine, labels=LABELS)
    with socket.socket() as occupant:  # somebody takes the port after it was chosen
        occupant.bind((registry.address.host, registry.address.port))

        with pytest.raises(RegistryFailed, match="address already in use"), registry:
            pass

    assert ours(engine) == before
    assert list(temporary.iterdir()) == []


def test_an_interrupt_during_the_start_leaves_nothing(
    engine: docker.DockerClient, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while the harness waits for the registry removes container and files."""

    def interrupted(_: PrivateRegistry) -> bool:
        raise KeyboardInterrupt

    before = ours(engine)
    monkeypatch.setattr(PrivateRegistry, "is_answering", interrupted)
    with pytest.raises(KeyboardInterrupt), PrivateRegistry(engine, labels=LABELS):
        pass

    assert ours(engine) == before
    assert list(temporary.iterdir()) == []


def test_an_error_inside_is_not_hidden_by_a_container_that_is_gone(engine: docker.DockerClient) -> None:
    """Somebody else removing the container does not make leaving fail."""
    with PrivateRegistry(engine, labels=LABELS) as registry:
        container = engine.containers.get(registry.container)
        container.remove(force=True)

    with pytest.raises(NotFound):
        engine.containers.get(str(container.name))


def test_a_container_without_labels_of_its_own_belongs_to_this_process(engine: docker.DockerClient) -> None:
    """A registry started without labels carries those by which a later run clears what a killed one left."""
    with PrivateRegistry(engine) as registry:
        container = engine.containers.get(registry.container)

        assert Owner.this_process("private-registry").labels.items() <= container.labels.items()


def test_another_image_that_cannot_be_had_is_named(engine: docker.DockerClient) -> None:
    """An image asked for by option is never replaced by another one in silence."""
    with (
        pytest.raises(ImageUnavailable, match="no-such-registry:9"),
        PrivateRegistry(engine, image="localhost:1/no-such-registry:9", say=lambda _: None),
    ):
        pass


def test_a_registry_used_before_it_runs_says_so(engine: docker.DockerClient) -> None:
    """Methods that need the running registry refuse outside of the context."""
    with pytest.raises(RuntimeError, match="with PrivateRegistry"):
        PrivateRegistry(engine).restart()


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
