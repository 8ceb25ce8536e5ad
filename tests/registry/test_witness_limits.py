"""The witness answers as the registry does, bounds what clients take, and names what a parser refused."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from registry import reverse_proxy, tls_connection, tls_listener
from registry.address import RegistryAddress
from registry.manifests import digest_of
from registry.refusals import refusal
from registry.server import PrivateRegistry
from registry.witness import Witness
from tests.registry.witnessing import basic, client_of, drained, raw_connection, session_of, status_of
from tests.settling import settled

LONG = 1000
FILES = Path("/proc/self/fd")


def answer_of(registry: PrivateRegistry | Witness, request: bytes) -> bytes:
    """Send bytes to a registry or its witness; return the answer."""
    address: RegistryAddress = registry.address
    with socket.create_connection((address.host, address.port), timeout=20) as plain:
        context = registry.authority.client_context()
        with context.wrap_socket(plain, server_hostname=address.host) as connection:
            connection.sendall(request)
            return drained(connection)


def head(*lines: bytes, first: bytes = b"GET /v2/ HTTP/1.1") -> bytes:
    """Return a request without a body, to be answered on a connection that then ends."""
    return b"\r\n".join((first, b"Host: x", b"Connection: close", *lines, b"", b""))


def test_a_range_that_cannot_be_had_is_416_as_the_registry_says(witness: Witness, tmp_path: Path) -> None:
    """The registry announces a body with its 416 and sends none; the status is passed on, in the record too."""
    with witness.account() as account:
        witness.client().push_blob("a/blob", digest_of(b"four"), 4, [b"four"])
        answer = session_of(witness, tmp_path).get(
            f"{witness.address.url}/v2/a/blob/blobs/{digest_of(b'four')}",
            auth=(account.username, account.password),
            headers={"Range": "bytes=90000-"},
            stream=True,
        )
    assert answer.status_code == 416
    assert witness.pulls()[-1].status == 416


def test_the_witness_adds_no_server_header(witness: Witness, tmp_path: Path) -> None:
    """The registry names no software in its answers; neither does the witness."""
    answer = session_of(witness, tmp_path).get(f"{witness.address.url}/v2/")
    assert answer.status_code == 401
    assert "Server" not in answer.headers


ODDITIES = {
    "connection names the credential": (b"Connection: authorization, close",),
    "two credentials": (b"AUTHORIZATION: Basic d3Jvbmc6d3Jvbmc=",),
    "a 33 KB header": (b"X-Long: " + b"x" * 33_000,),
    "200 headers": tuple(b"X-%d: y" % number for number in range(200)),
}


@pytest.mark.parametrize("lines", ODDITIES.values(), ids=ODDITIES)
def test_an_odd_request_is_answered_as_the_registry_answers_it(
    witness: Witness, private_registry: PrivateRegistry, lines: tuple[bytes, ...]
) -> None:
    """A right login in odd company gets the same status through the witness and without it, before it and behind."""
    with witness.account() as account:
        right = b"Authorization: " + basic(account.username, account.password)
        for request in (head(right, *lines), head(*lines, right)):
            assert status_of(answer_of(witness, request)) == status_of(answer_of(private_registry, request))


@pytest.mark.parametrize("path", [b"/v2/#a", b"https://x/v2/", b"/v2/?a=%20", b"/v2/%zz", b"/v2/ab?c#d"])
def test_an_odd_path_is_answered_as_the_registry_answers_it(
    witness: Witness, private_registry: PrivateRegistry, path: bytes
) -> None:
    """Fragments, broken escapes and the absolute form reach the registry."""
    request = head(first=b"GET " + path + b" HTTP/1.1")
    assert status_of(answer_of(witness, request)) == status_of(answer_of(private_registry, request))


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        (head(b"Host: y"), "refused by the parser: doubled Host"),
        (head(first=b"get /v2/ HTTP/1.1"), "refused by the parser: a method in lower case"),
        (head(b"X: a\x01b"), "refused by the parser: a control character in a header field"),
        (head(*(b"X-%d: y" % number for number in range(5000))), "refused by the parser: more than 4096 header fields"),
        (head(first=b"GET /v2/\xc3\xa9 HTTP/1.1"), "refused by the parser: a byte beyond ASCII in the path"),
        (head(b"no colon"), "refused by the parser: a header field without a proper name"),
        (b"\x00\x01\r\n\r\n", "not HTTP"),
    ],
)
def test_what_the_parser_refused_is_told_as_that(witness: Witness, request_: bytes, why: str) -> None:
    """The record names the kind of the refusal; only what has no request line is called no HTTP."""
    assert status_of(answer_of(witness, request_)) == 400
    assert [pull.presented.name for pull in witness.pulls()] == [f"malformed: {why}"]


def test_a_refusal_repeats_nothing_that_came() -> None:
    """Whatever a header says, the reason has none of it."""
    line = b"Canary4711\x01: Canary4711"
    assert b"Canary" not in refusal(head(line, first=b"Canary4711 /Canary4711 HTTP/1.1"), LONG, LONG).encode()


def test_silent_clients_never_crowd_out_a_login(
    private_registry: PrivateRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty clients that never speak hold a bounded number of files, and another one logs in at once."""
    monkeypatch.setattr(tls_listener, "MOST_CONNECTIONS", 8)
    with Witness(private_registry) as witness, witness.account() as account, contextlib.ExitStack() as silent:
        before = len(list(FILES.iterdir()))
        for _ in range(40):
            target = (witness.address.host, witness.address.port)
            silent.enter_context(socket.create_connection(target, timeout=20))
        client_of(witness, account).login()
        assert settled(lambda: len(list(FILES.iterdir())) - before - 40 <= 2 * 8 + 2, 10)
        assert any("crowded out" in failure.reason for failure in witness.failed_connections())


def test_a_client_that_never_asks_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a first byte ends; it is no rubbish."""
    monkeypatch.setattr(tls_connection, "HEADER_SECONDS", 0.2)
    with raw_connection(witness) as silent:
        assert drained(silent) == b""
    (failure,) = witness.failed_connections()
    assert "no request in" in failure.reason
    assert not failure.malformed


def test_a_body_that_stalls_is_cut_off(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops in the middle of a body holds its connection for a while only."""
    monkeypatch.setattr(reverse_proxy, "STALL_SECONDS", 0.2)
    with witness.account() as account, raw_connection(witness) as stalling:
        line = b"Authorization: " + basic(account.username, account.password)
        first = b"POST /v2/a/b/blobs/uploads/ HTTP/1.1"
        stalling.sendall(head(line, b"Content-Length: 100", first=first) + b"x" * 50)
        drained(stalling)
        assert settled(lambda: witness.pulls()[0].ended == "the client went away", 10)
