"""What is no credential, no request or no TLS is refused, recorded, and disturbs nobody."""

from __future__ import annotations

import base64
import secrets
import socket
import threading

import pytest

from registry import tls_connection, tls_listener
from registry.pulls import Pull
from registry.server import PrivateRegistry
from registry.witness import Witness
from tests.registry.witnessing import MIB, basic, big_blob, client_of, drained, raw_connection, status_of
from tests.settling import settled

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
        (b"\x7f" + bytes(range(255, 0, -1)) * 2, "not TLS"),  # no beginning of a record, as chance now and then has it
        (b"GET /v2/ HTTP/1.1\r\nAuthorization: Basic abc\r\n\r\n", "plain HTTP"),
    ],
    ids=["zeros", "noise", "plain HTTP"],
)
def test_what_is_no_tls_is_closed_and_recorded(witness: Witness, sent: bytes, reason: str) -> None:
    """The connection is closed without an answer that could be mistaken for one; the record says why."""
    with socket.create_connection((witness.address.host, witness.address.port), timeout=20) as connection:
        connection.sendall(sent)
        assert b"HTTP/1.1 2" not in drained(connection)

    assert settled(lambda: len(witness.malformed()) == 1, 10)
    assert reason in witness.failed_connections()[0].reason
    assert witness.pulls() == []


def test_a_header_that_never_ends_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that sends its header byte by byte is closed and recorded, and another client does not notice."""
    monkeypatch.setattr(tls_connection, "HEADER_SECONDS", 0.2)
    with witness.account() as account, raw_connection(witness) as loris:
        loris.sendall(b"GET /v2/ HTTP/1.1\r\nAuthorization: Bas")
        client_of(witness, account).login()
        assert drained(loris) == b""

    (failure,) = witness.malformed()
    assert "no end of a header" in failure.reason  # type: ignore[union-attr]


def test_a_handshake_that_never_ends_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that connects and says nothing is closed and recorded."""
    monkeypatch.setattr(tls_listener, "HANDSHAKE_SECONDS", 0.2)
    with socket.create_connection((witness.address.host, witness.address.port), timeout=20) as silent:
        assert drained(silent) == b""

    assert settled(lambda: len(witness.malformed()) == 1, 10)


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
