"""The witness changes nothing: what passes it is what the registry and its clients sent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import requests

from registry.client import RegistryClient
from registry.images import copy
from registry.manifests import OCI_MANIFEST, digest_of
from registry.server import PortTaken, PrivateRegistry
from registry.tls import Authority
from registry.witness import Witness
from tests.registry.samples import ImageMaker
from tests.registry.witnessing import MIB, basic, big_blob, client_of, raw_connection, session_of
from tests.settling import settled


def test_an_image_pushed_and_pulled_through_the_witness_is_the_same(
    witness: Witness, private_registry: PrivateRegistry, make_image: ImageMaker
) -> None:
    """Manifest, configuration and layers are byte-identical in both directions."""
    image = make_image({"etc/f": "x" * 100_000})
    direct = private_registry.client()
    with witness.account() as account:
        through = client_of(witness, account)
        copied = copy(direct, image, through, repository="through/witness", tag="v1")

        assert copied.digest == image.digest
        assert through.manifest("through/witness", "v1") == direct.manifest(image.repository, image.digest)
        for blob in direct.manifest(image.repository, image.digest).content["layers"]:
            both = [b"".join(client.blob("through/witness", blob["digest"])) for client in (through, direct)]
            assert both[0] == both[1]


def test_headers_of_an_answer_are_the_registrys(
    witness: Witness, private_registry: PrivateRegistry, tmp_path: Path, make_image: ImageMaker
) -> None:
    """For a manifest by GET and HEAD, status, API headers and body are equal with and without the witness."""
    image = make_image({"etc/f": "1"})
    told = ("Content-Length", "Content-Type", "Docker-Content-Digest", "Docker-Distribution-Api-Version", "Etag")
    with witness.account() as account:
        session = session_of(witness, tmp_path)
        session.headers["Authorization"] = basic(account.username, account.password)
        session.headers["Accept"] = OCI_MANIFEST
        for method in ("GET", "HEAD"):
            path = f"/v2/{image.repository}/manifests/{image.digest}"
            through, direct = (
                session.request(method, address.url + path) for address in (witness.address, private_registry.address)
            )
            assert through.status_code == direct.status_code == 200
            assert [through.headers.get(name) for name in told] == [direct.headers.get(name) for name in told]
            assert through.content == direct.content


def test_a_refusal_is_the_registrys_own(witness: Witness, private_registry: PrivateRegistry, tmp_path: Path) -> None:
    """401 comes with the registry's challenge and its words."""
    session = session_of(witness, tmp_path)
    through, direct = (session.get(f"{one.address.url}/v2/") for one in (witness, private_registry))

    assert through.status_code == direct.status_code == 401
    assert through.headers["WWW-Authenticate"] == direct.headers["WWW-Authenticate"]
    assert through.json() == direct.json()


def test_a_range_is_a_range(witness: Witness, private_registry: PrivateRegistry, tmp_path: Path) -> None:
    """A client that resumes gets 206 and exactly the bytes it asked for."""
    content = bytes(range(256)) * 40
    private_registry.client().push_blob("a/range", digest_of(content), len(content), [content])
    with witness.account() as account:
        answer = session_of(witness, tmp_path).get(
            f"{witness.address.url}/v2/a/range/blobs/{digest_of(content)}",
            headers={"Authorization": basic(account.username, account.password), "Range": "bytes=1000-1999"},
        )

    assert answer.status_code == 206
    assert answer.content == content[1000:2000]
    assert answer.headers["Content-Range"] == f"bytes 1000-1999/{len(content)}"


def test_a_chunked_upload_arrives(witness: Witness, private_registry: PrivateRegistry, tmp_path: Path) -> None:
    """An upload of unknown length, begun by POST, continued by PATCH and ended by PUT, is the same blob afterwards."""
    content = secrets.token_bytes(300_000)
    session = session_of(witness, tmp_path)
    with witness.account() as account:
        session.headers["Authorization"] = basic(account.username, account.password)
        begun = session.post(f"{witness.address.url}/v2/a/chunked/blobs/uploads/")
        patched = session.patch(begun.headers["Location"], data=iter([content[:100_000], content[100_000:]]))
        where = patched.headers["Location"]
        ended = session.put(f"{where}&digest={digest_of(content)}")

        assert (begun.status_code, patched.status_code, ended.status_code) == (202, 202, 201)
        assert begun.headers["Location"].startswith(witness.address.url)
        assert patched.headers["Range"] == f"0-{len(content) - 1}"
    assert b"".join(private_registry.client().blob("a/chunked", digest_of(content))) == content


def test_a_client_that_waits_for_the_go_ahead_gets_it(witness: Witness, private_registry: PrivateRegistry) -> None:
    """`Expect: 100-continue` is answered before the body is sent."""
    content = b"after the go-ahead"
    with witness.account() as account, raw_connection(witness) as connection:
        client = client_of(witness, account)
        client.login()
        location = client._session.request("POST", "/v2/a/expect/blobs/uploads/").headers["Location"]
        path = location.removeprefix(witness.address.url) + f"&digest={digest_of(content)}"
        head = (
            f"PUT {path} HTTP/1.1\r\nHost: {witness.address}\r\nContent-Length: {len(content)}\r\n"
            f"Expect: 100-continue\r\nConnection: close\r\nAuthorization: "
        )
        connection.sendall(head.encode() + basic(account.username, account.password) + b"\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 ")
        connection.sendall(content)

        assert connection.recv(4096).startswith(b"HTTP/1.1 201 ")
    assert b"".join(private_registry.client().blob("a/expect", digest_of(content))) == content


def test_one_connection_serves_many_requests(witness: Witness) -> None:
    """HTTP/1.1 connections are kept: a hundred requests take one handshake."""
    context = witness.authority.client_context()
    connection = HTTPSConnection(witness.address.host, witness.address.port, context=context, timeout=20)
    with witness.account() as account, contextlib.closing(connection):
        connection.connect()
        socket_used = connection.sock
        for _ in range(100):
            connection.request("GET", "/v2/", headers={"Authorization": basic(account.username, account.password)})
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"{}")

        assert connection.sock is socket_used
    assert len(witness.pulls()) == 100


def test_memory_stays_flat_while_a_large_blob_streams(witness: Witness, private_registry: PrivateRegistry) -> None:
    """A blob of 192 MiB passes in both directions while the process grows by less than 64 MiB."""
    size = 192 * MIB
    digest = big_blob(private_registry, size)
    block = os.urandom(MIB)
    running = hashlib.sha256()
    for _ in range(size // MIB):
        running.update(block)
    with witness.account() as account:
        client = client_of(witness, account)
        client.login()
        before = resident()
        peak = before
        received = 0
        for piece in client.blob("big/blob", digest):
            received += len(piece)
            peak = max(peak, resident())
        client.push_blob("big/up", f"sha256:{running.hexdigest()}", size, watched(block, size, lambda: None))
        peak = max(peak, resident())

    assert received == size
    assert peak - before < 64 * MIB


def watched(block: bytes, size: int, look: Callable[[], None]) -> Iterator[bytes]:
    """Yield a block again and again."""
    for _ in range(size // len(block)):
        look()
        yield block


def resident() -> int:
    """Return the bytes of memory that this process holds now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - read in a loop
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_another_certificate_can_be_presented_for_a_while(witness: Witness) -> None:
    """From the next connection on clients see it, and afterwards the first one again, on the same port."""
    other = Authority("another authority")
    with witness.account() as account:
        with witness.presenting(other.issue(witness.address.host)):
            with pytest.raises(requests.exceptions.SSLError):
                client_of(witness, account).login()
            RegistryClient(witness.address, account.username, account.password, authorities=other.pem).login()
        client_of(witness, account).login()


def test_a_client_that_refuses_the_certificate_is_no_pull_and_no_rubbish(witness: Witness) -> None:
    """It is recorded as what it is: a client that had its reasons."""
    with pytest.raises(requests.exceptions.SSLError):
        RegistryClient(witness.address, "a", "b", authorities=Authority().pem).login()

    assert settled(lambda: len(witness.failed_connections()) > 0, 10)
    assert "refused the handshake: unknown ca" in witness.failed_connections()[0].reason
    assert witness.pulls() == witness.malformed() == []


def test_a_probe_of_the_port_is_no_rubbish(witness: Witness) -> None:
    """Somebody who only looks whether the port is open is not accused."""
    socket.create_connection((witness.address.host, witness.address.port)).close()

    assert settled(lambda: len(witness.failed_connections()) == 1, 10)
    assert witness.malformed() == []


def test_a_taken_port_is_refused_by_name(private_registry: PrivateRegistry) -> None:
    """The witness names the port that it cannot have."""
    with Witness(private_registry) as standing, pytest.raises(PortTaken, match=f"port {standing.address.port}"):
        Witness(private_registry, port=standing.address.port)
