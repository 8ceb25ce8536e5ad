"""Clients and registries that break off are recorded, and harm nobody."""

from __future__ import annotations

import socket
import time

import docker
import pytest
import requests

from registry.manifests import RegistryError, digest_of
from registry.server import PrivateRegistry
from registry.witness import Witness
from tests.registry.samples import LABELS
from tests.registry.witnessing import MIB, basic, big_blob, client_of, raw_connection
from tests.settling import settled


def test_a_cancelled_pull_is_recorded_and_harms_nobody(witness: Witness, private_registry: PrivateRegistry) -> None:
    """A client that goes away in the middle of a blob is recorded as such; the next pull of the blob is whole."""
    digest = big_blob(private_registry, 64 * MIB)
    with witness.account() as account:
        header = basic(account.username, account.password)
        with raw_connection(witness) as connection:
            path = f"/v2/big/blob/blobs/{digest}"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ".encode() + header + b"\r\n\r\n")
            connection.recv(1000)
        assert settled(lambda: witness.pulls()[0].ended == "the client went away", 10)
        assert witness.pulls()[0].sent < 64 * MIB

        client = client_of(witness, account)
        assert sum(len(piece) for piece in client.blob("big/blob", digest)) == 64 * MIB


def test_an_upload_that_breaks_off_is_recorded(witness: Witness) -> None:
    """A client that goes away while it pushes is recorded, and the registry has no such blob."""
    with witness.account() as account, raw_connection(witness) as connection:
        client = client_of(witness, account)
        client.login()
        location = client._session.request("POST", "/v2/a/broken/blobs/uploads/").headers["Location"]
        path = location.removeprefix(witness.address.url) + f"&digest={digest_of(b'x' * 100)}"
        head = f"PUT {path} HTTP/1.1\r\nHost: {witness.address}\r\nContent-Length: 100\r\nAuthorization: "
        connection.sendall(head.encode() + basic(account.username, account.password) + b"\r\n\r\n" + b"x" * 50)
        connection.close()

        assert settled(lambda: witness.pulls()[-1].ended == "the client went away", 10)
        assert not client.has_blob("a/broken", digest_of(b"x" * 100))


def test_half_a_blob_never_looks_whole(engine: docker.DockerClient) -> None:
    """When the registry dies in the middle of a blob, the client's connection breaks; the record says who did."""
    with PrivateRegistry(engine, labels=LABELS) as registry, Witness(registry) as witness:
        digest = big_blob(registry, 64 * MIB)
        with witness.account() as account:
            client = client_of(witness, account)
            client.login()
            pieces = client.blob("big/blob", digest)
            next(pieces)
            registry.stop()

            with pytest.raises((requests.RequestException, RegistryError)):
                for _ in pieces:
                    pass
            assert witness.pulls()[-1].ended == "the registry broke off"
            with pytest.raises(RegistryError, match="502 UNAVAILABLE"):
                client.login()
            registry.start()
            client.login()


def test_an_outage_through_the_witness_looks_like_one(engine: docker.DockerClient) -> None:
    """Stopped, nobody answers at the address; started again, the same address, accounts and journal are there."""
    with PrivateRegistry(engine, labels=LABELS) as registry, Witness(registry) as witness:
        with witness.account() as account:
            client = client_of(witness, account)
            client.login()
            witness.stop()
            with pytest.raises(requests.ConnectionError):
                client.login()
            witness.start()
            client.login()
            seen = len(witness.pulls())
            witness.restart()
            client.login()

        assert len(witness.pulls()) == seen + 1
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((witness.address.host, witness.address.port), timeout=1)


def test_leaving_does_not_wait_for_clients(private_registry: PrivateRegistry) -> None:
    """A client that holds a connection, or a pull, does not keep the witness from ending."""
    digest = big_blob(private_registry, 64 * MIB)
    with Witness(private_registry) as witness, witness.account() as account:
        idle, busy = raw_connection(witness), raw_connection(witness)
        header = basic(account.username, account.password)
        busy.sendall(
            f"GET /v2/big/blob/blobs/{digest} HTTP/1.1\r\nHost: x\r\nAuthorization: ".encode() + header + b"\r\n\r\n"
        )
        busy.recv(100)
        before = time.monotonic()
    assert time.monotonic() - before < 5
    idle.close()
    busy.close()
