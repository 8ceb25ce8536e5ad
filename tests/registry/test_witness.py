from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import secrets
import socket
import ssl
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from typing import TYPE_CHECKING

import pytest
import requests

from registry import front
from registry.client import OCI_MANIFEST, RegistryClient, RegistryError, digest_of
from registry.images import copy, find
from registry.pulls import Pull
from registry.server import Account, PortTaken, PrivateRegistry
from registry.tls import Authority
from registry.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from registry.images import Image
    from tests.registry.samples import ImageMaker

ALPHANUMERIC = "Passw0rdPassw0rd"
MIB = 1 << 20


@pytest.fixture
def witness(private_registry: PrivateRegistry) -> Iterator[Witness]:
    """Stand in front of the registry."""
    with Witness(private_registry, names=("localhost",)) as standing:
        yield standing


def client_of(witness: Witness, account: Account) -> RegistryClient:
    """Give a client that goes through the witness, as a host would."""
    return RegistryClient(witness.address, account.username, account.password, authorities=witness.authority.pem)


def session_of(witness: Witness, tmp_path: Path) -> requests.Session:
    """Give a bare session that trusts the witness."""
    bundle = tmp_path / "authority.pem"
    bundle.write_text(witness.authority.pem)
    session = requests.Session()
    session.trust_env, session.verify = False, str(bundle)
    return session


def basic(username: str, password: bytes | str) -> bytes:
    """Give the value of an Authorization header."""
    secret = password.encode() if isinstance(password, str) else password
    return b"Basic " + base64.b64encode(username.encode() + b":" + secret)


def raw_connection(witness: Witness) -> ssl.SSLSocket:
    """Shake hands and leave the rest to the test."""
    plain = socket.create_connection((witness.address.host, witness.address.port), timeout=20)
    return witness.authority.client_context().wrap_socket(plain, server_hostname=witness.address.host)


def status_of(answer: bytes) -> int:
    """Read the status line of an answer."""
    return int(answer.split()[1])


def eventually(condition: Callable[[], bool], within: float = 10.0) -> bool:
    """Wait until something is so; it usually is at once."""
    deadline = time.monotonic() + within
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


def big_blob(registry: PrivateRegistry, size: int) -> str:
    """Put a blob of random-looking bytes straight into the registry."""
    block = os.urandom(MIB)
    running = hashlib.sha256()
    for _ in range(size // MIB):
        running.update(block)
    digest = f"sha256:{running.hexdigest()}"
    registry.client().push_blob("big/blob", digest, size, (block for _ in range(size // MIB)))
    return digest


# --- it changes nothing ----------------------------------------------------------------------------------------------


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
        location = client._request("POST", "/v2/a/expect/blobs/uploads/").headers["Location"]
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
    """Give a block again and again."""
    for _ in range(size // len(block)):
        look()
        yield block


def resident() -> int:
    """Give the bytes of memory that this process holds now."""
    with open("/proc/self/statm") as statm:  # noqa: PTH123 - read in a loop
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- it says what was presented --------------------------------------------------------------------------------------


def test_an_unchanged_password_is_intact(witness: Witness) -> None:
    """The first request is anonymous, the next presents the account intact; nothing counts as changed."""
    with witness.account(password=ALPHANUMERIC) as account, witness.phase("deploy", cluster="c1"):
        client_of(witness, account).login()

    pulls = witness.pulls("c1", phase="deploy")
    assert [(pull.presented.name, pull.status) for pull in pulls] == [("anonymous", 401), ("intact", 200)]
    assert pulls[1].account == account.username
    assert pulls[1].user_agent.startswith("python-requests/")
    assert witness.changes("c1") == []


def test_a_decoded_password_is_named_with_phase_host_and_status(witness: Witness, tmp_path: Path) -> None:
    """What a host made of the password is named in the phase in which it happened, with the registry's answer to it."""
    witness.know_hosts({"127.0.0.1": "edge-1"})
    session = session_of(witness, tmp_path)
    with witness.account("edge", ALPHANUMERIC):
        with witness.phase("deploy", cluster="c1", case="PW-017"):
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": basic("edge", ALPHANUMERIC)})
        with witness.phase("repave", cluster="c1", case="PW-017", hosts=["edge-1"]):
            wrong = basic("edge", base64.b64decode(ALPHANUMERIC))
            session.get(f"{witness.address.url}/v2/a/b/manifests/v2", headers={"Authorization": wrong})

    (change,) = witness.changes("c1", case="PW-017")
    assert (change.phase, change.host, change.presented.name, change.status) == (
        "repave",
        "edge-1",
        "base64-decoded",
        401,
    )
    assert (change.action, change.repository, change.reference) == ("manifest", "a/b", "v2")
    assert witness.changes("c1", phase="deploy") == []
    assert witness.changes("another cluster") == []


def test_after_a_rotation_the_old_password_is_named(witness: Witness, tmp_path: Path) -> None:
    """A host that still presents the password before the rotation presents the previous one, not an intact account."""
    session = session_of(witness, tmp_path)
    with witness.account("edge", "old password"), witness.account("edge", "new password"):
        for password in ("old password", "new password"):
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": basic("edge", password)})

    assert [pull.presented.name for pull in witness.pulls()] == ["replaced by the previous password", "intact"]


def test_a_password_that_the_registry_refuses_can_be_expected(witness: Witness) -> None:
    """A profile's wrong password counts as intact when it is what the profile says; the registry says 401."""
    profile = Account("edge", "wrong password")
    with (
        witness.account("edge", "right password"),
        witness.expecting(profile),
        pytest.raises(RegistryError, match="401"),
    ):
        client_of(witness, profile).login()

    assert [(pull.presented.name, pull.status) for pull in witness.pulls()] == [("anonymous", 401), ("intact", 401)]


def test_two_accounts_are_told_apart(witness: Witness) -> None:
    """With several accounts in force each pull is compared with the one it means."""
    with witness.account("profile", "from the profile") as one, witness.account("userdata", "from user data") as other:
        client_of(witness, other).login()
        client_of(witness, one).login()

    assert [pull.account for pull in witness.pulls() if pull.has_credential] == ["userdata", "profile"]


def test_pulls_of_an_image_are_found_by_its_reference(witness: Witness, make_image: ImageMaker) -> None:
    """By tag or digest; other images are not counted."""
    image: Image = make_image({"a": "1"}, repository="pulls/image", tag="v7").at(witness.address)
    with witness.account() as account:
        client = client_of(witness, account)
        find(client, "pulls/image", "v7")
        find(client, "pulls/image", image.digest)

    assert len([pull for pull in witness.pulls_of_image(image.reference) if pull.status == 200]) == 1
    assert len(witness.pulls_of_image(image.pinned)) == 1
    assert witness.pulls_of_image(witness.address.reference("pulls/image", "v8")) == []


def test_what_a_client_has_seen_the_witness_tells(witness: Witness) -> None:
    """As soon as an answer has arrived, its status and bytes are in the journal: nobody has to wait."""
    with witness.account() as account:
        client = client_of(witness, account)
        client.push_blob("a/seen", digest_of(b"12345"), 5, [b"12345"])
        for _ in range(20):
            assert b"".join(client.blob("a/seen", digest_of(b"12345"))) == b"12345"
            assert (witness.pulls()[-1].status, witness.pulls()[-1].sent) == (200, 5)
        assert [pull.received for pull in witness.pulls() if pull.method == "PUT"] == [5]


def test_the_harness_own_pushes_are_no_pulls(witness: Witness, make_image: ImageMaker) -> None:
    """What goes past the witness is not recorded."""
    make_image({"a": "1"})
    witness.client().login()

    assert witness.pulls() == []


# --- rubbish ---------------------------------------------------------------------------------------------------------

RUBBISH_HEADERS = {
    "bad base64": b"Basic !!!!",
    "unpadded": b"Basic ZWRnZTpwdw",
    "no colon": b"Basic " + base64.b64encode(b"no-colon-in-here"),
    "no credentials": b"Basic",
    "unknown scheme": b"Blubb abc",
    "20 KiB": b"Basic " + b"QUFB" * 5000,
    "64 KiB": b"Basic " + b"QUFB" * 16384,
    "beyond ASCII": b"Basic \xff\xfe\xfd",
    "NUL": b"Basic a\x00b",
}


@pytest.mark.parametrize("header", RUBBISH_HEADERS.values(), ids=RUBBISH_HEADERS)
def test_a_rubbish_credential_gets_a_clear_refusal_and_is_recorded(witness: Witness, header: bytes) -> None:
    """The client gets a 4xx; the record says malformed; what the header held is not in it."""
    with raw_connection(witness) as connection:
        connection.sendall(
            b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + header + b"\r\n\r\n"
        )
        answer = connection.recv(4096)

    assert 400 <= status_of(answer) < 500
    (pull,) = witness.malformed()
    assert pull in witness.pulls()
    assert isinstance(pull, Pull)
    assert 400 <= pull.status < 500


@pytest.mark.parametrize("count", [2, 3])
def test_several_credentials_are_malformed(witness: Witness, count: int) -> None:
    """More than one Authorization header is nobody's credential."""
    line = b"Authorization: " + basic("a", "b") + b"\r\n"
    with raw_connection(witness) as connection:
        connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + line * count + b"\r\n")
        assert 400 <= status_of(connection.recv(4096)) < 500

    assert len(witness.malformed()) == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\x01\x02\x03\r\n\r\n",
        b"what is this\r\n\r\n",
        b"GET " + b"/" * 40_000 + b" HTTP/1.1\r\n\r\n",
        b"GET #a HTTP/1.1\r\n\r\n",
    ],
    ids=["binary", "prose", "long line", "no path"],
)
def test_a_request_that_is_none_gets_400_and_is_recorded(witness: Witness, sent: bytes) -> None:
    """Bytes that are no HTTP are answered with 400 and recorded as malformed."""
    with raw_connection(witness) as connection:
        connection.sendall(sent)
        answer = connection.recv(4096)

    assert status_of(answer) == 400
    assert [pull.status for pull in witness.pulls()] == [400]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x00" * 64, "not TLS"),
        (secrets.token_bytes(512), "not TLS"),
        (b"GET /v2/ HTTP/1.1\r\nAuthorization: Basic abc\r\n\r\n", "plain HTTP"),
    ],
    ids=["zeros", "noise", "plain HTTP"],
)
def test_what_is_no_tls_is_closed_and_recorded(witness: Witness, sent: bytes, reason: str) -> None:
    """The connection is closed without an answer that could be mistaken for one; the record says why."""
    with socket.create_connection((witness.address.host, witness.address.port), timeout=20) as connection:
        connection.sendall(sent)
        assert b"HTTP/1.1 2" not in drained(connection)

    assert eventually(lambda: len(witness.malformed()) == 1)
    assert reason in witness.failed_connections()[0].reason
    assert witness.pulls() == []


def drained(connection: socket.socket) -> bytes:
    """Read until the other side ends."""
    found = b""
    try:
        while piece := connection.recv(4096):
            found += piece
    except ConnectionError:
        pass
    return found


def test_a_header_that_never_ends_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends its header byte by byte is closed and recorded, and another client does not notice."""
    monkeypatch.setattr(front, "HEADER_SECONDS", 0.2)
    with witness.account() as account, raw_connection(witness) as loris:
        loris.sendall(b"GET /v2/ HTTP/1.1\r\nAuthorization: Bas")
        client_of(witness, account).login()
        assert drained(loris) == b""

    (failure,) = witness.malformed()
    assert "no end of a header" in failure.reason  # type: ignore[union-attr]


def test_a_handshake_that_never_ends_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that connects and says nothing is closed and recorded."""
    monkeypatch.setattr(front, "HANDSHAKE_SECONDS", 0.2)
    with socket.create_connection((witness.address.host, witness.address.port), timeout=20) as silent:
        assert drained(silent) == b""

    assert eventually(lambda: len(witness.malformed()) == 1)


def test_rubbish_never_disturbs_a_pull(witness: Witness, private_registry: PrivateRegistry) -> None:
    """While clients of every kind of rubbish come and go, a large blob arrives whole and unhurried."""
    digest = big_blob(private_registry, 64 * MIB)
    done = threading.Event()

    def make_trouble() -> None:
        while not done.is_set():
            with socket.create_connection((witness.address.host, witness.address.port), timeout=20) as noise:
                noise.sendall(secrets.token_bytes(100))
            with raw_connection(witness) as connection:
                connection.sendall(b"GET /v2/ HTTP/1.1\r\nAuthorization: Basic \x00\r\n\r\n")
            with raw_connection(witness) as connection:
                connection.sendall(b"GET /v2/ HTTP/1.1\r\nHalf: ")

    with witness.account() as account:
        thread = threading.Thread(target=make_trouble)
        thread.start()
        try:
            received = sum(len(piece) for piece in client_of(witness, account).blob("big/blob", digest))
        finally:
            done.set()
            thread.join()

    assert received == 64 * MIB
    assert witness.malformed()


# --- clients and registries that break off ---------------------------------------------------------------------------


def test_a_cancelled_pull_is_recorded_and_harms_nobody(witness: Witness, private_registry: PrivateRegistry) -> None:
    """A client that goes away in the middle of a blob is recorded as such; the next pull of the blob is whole."""
    digest = big_blob(private_registry, 64 * MIB)
    with witness.account() as account:
        header = basic(account.username, account.password)
        with raw_connection(witness) as connection:
            path = f"/v2/big/blob/blobs/{digest}"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: ".encode() + header + b"\r\n\r\n")
            connection.recv(1000)
        assert eventually(lambda: witness.pulls()[0].ended == "the client went away")
        assert witness.pulls()[0].sent < 64 * MIB

        client = client_of(witness, account)
        assert sum(len(piece) for piece in client.blob("big/blob", digest)) == 64 * MIB


def test_an_upload_that_breaks_off_is_recorded(witness: Witness) -> None:
    """A client that goes away while it pushes is recorded, and the registry has no such blob."""
    with witness.account() as account, raw_connection(witness) as connection:
        client = client_of(witness, account)
        client.login()
        location = client._request("POST", "/v2/a/broken/blobs/uploads/").headers["Location"]
        path = location.removeprefix(witness.address.url) + f"&digest={digest_of(b'x' * 100)}"
        head = f"PUT {path} HTTP/1.1\r\nHost: {witness.address}\r\nContent-Length: 100\r\nAuthorization: "
        connection.sendall(head.encode() + basic(account.username, account.password) + b"\r\n\r\n" + b"x" * 50)
        connection.close()

        assert eventually(lambda: witness.pulls()[-1].ended == "the client went away")
        assert not client.has_blob("a/broken", digest_of(b"x" * 100))


def test_half_a_blob_never_looks_whole(carrier: object, tmp_path: Path) -> None:
    """When the registry dies in the middle of a blob, the client's connection breaks; the record says who did."""
    with PrivateRegistry(carrier, parent=tmp_path) as registry, Witness(registry) as witness:  # type: ignore[arg-type]
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


def test_an_outage_through_the_witness_looks_like_one(carrier: object, tmp_path: Path) -> None:
    """Stopped, nobody answers at the address; started again, the same address, accounts and journal are there."""
    with PrivateRegistry(carrier, parent=tmp_path) as registry, Witness(registry) as witness:  # type: ignore[arg-type]
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


# --- certificates ----------------------------------------------------------------------------------------------------


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

    assert eventually(lambda: len(witness.failed_connections()) > 0)
    assert "refused the handshake: unknown ca" in witness.failed_connections()[0].reason
    assert witness.pulls() == witness.malformed() == []


def test_a_probe_of_the_port_is_no_rubbish(witness: Witness) -> None:
    """Somebody who only looks whether the port is open is not accused."""
    socket.create_connection((witness.address.host, witness.address.port)).close()

    assert eventually(lambda: len(witness.failed_connections()) == 1)
    assert witness.malformed() == []


def test_a_taken_port_is_refused_by_name(private_registry: PrivateRegistry) -> None:
    """The witness names the port that it cannot have."""
    with Witness(private_registry) as standing, pytest.raises(PortTaken, match=f"port {standing.address.port}"):
        Witness(private_registry, port=standing.address.port)


# --- many at once, and nothing leaks ---------------------------------------------------------------------------------


def test_many_clients_at_once_are_each_named_rightly(witness: Witness) -> None:
    """Under parallel pulls of several accounts no record is taken for another's."""

    def pull(number: int) -> None:
        account = Account(f"edge-{number % 5}", f"password {number % 5}")
        with client_of(witness, account) as client:
            for _ in range(5):
                client.login()

    with ThreadPoolExecutor(8) as pool:
        accounts = [witness.account(f"edge-{number}", f"password {number}") for number in range(5)]
        for context in accounts:
            context.__enter__()
        try:
            list(pool.map(pull, range(40)))
        finally:
            for context in reversed(accounts):
                context.__exit__(None, None, None)

    pulls = [pull for pull in witness.pulls() if pull.has_credential]
    assert len(pulls) == 200
    assert {pull.presented.name for pull in pulls} == {"intact"}
    assert Counter(pull.account for pull in pulls) == {f"edge-{number}": 40 for number in range(5)}


def test_no_credential_leaves_the_witness(
    witness: Witness,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A planted password is in no log at any level, no output, no record, no text of an object, whatever went wrong."""
    canary = "Canary4711Canary"
    forms = {canary, base64.b64encode(f"edge:{canary}".encode()).decode(), canary[::-1]}
    monkeypatch.setattr(front, "HEADER_SECONDS", 0.2)
    session = session_of(witness, tmp_path)
    headers = [basic("edge", canary), canary.encode(), f"Blubb {canary}".encode(), f"Bearer {canary}".encode()]
    headers += [basic(canary, canary[::-1]), b"Basic " + canary.encode() + b"=", basic("edge", canary.encode()[:9])]
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # the test's own client, which would log its paths
    with caplog.at_level(logging.DEBUG), witness.account("edge", canary) as account, witness.phase("deploy"):
        for header in headers:
            session.get(f"{witness.address.url}/v2/", headers={"Authorization": header, "User-Agent": f"x/{canary}"})
        session.get(f"{witness.address.url}/v2/{canary}/manifests/{canary}?password={canary}")
        for rubbish in (f"Authorization: Basic \x00{canary}", f"{canary}\r\n", f"A: {canary * 5000}"):
            with raw_connection(witness) as connection:
                connection.sendall(f"GET /v2/ HTTP/1.1\r\n{rubbish}\r\n\r\n".encode())
                connection.recv(4096)
        with raw_connection(witness) as connection:
            connection.sendall(f"GET /v2/ HTTP/1.1\r\nAuthorization: {canary}".encode())
            drained(connection)
        shown = [repr(one) for one in (account, witness, witness.journal, witness._accounts, witness._front)]
        shown += [f"{one!r} {one}" for one in (*witness.pulls(), *witness.failed_connections())]
    out, err = capfd.readouterr()
    heard = "\n".join([caplog.text, out, err, *shown])

    assert len(witness.pulls()) >= 11
    assert not [form for form in forms if form in heard]
