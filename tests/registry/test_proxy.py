"""What the witness passes on of a registry that redirects, and what it keeps to itself when it fails."""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from registry.address import RegistryAddress
from registry.pulls import Pull, RequestLog
from registry.reverse_proxy import ReverseProxy
from registry.server import usable_port
from registry.tls import Authority
from registry.tls_listener import TlsListener, server_context
from registry.witness import AccountsInForce

CANARY = "Canary4711Canary"
LOGIN = "Basic " + base64.b64encode(f"edge:{CANARY}".encode()).decode()
ELSEWHERE = "https://blobs.example.com/data?signature=abc%2Fdef&x=%20"


class Redirecting(BaseHTTPRequestHandler):
    """A registry that keeps its blobs elsewhere, as those of the great clouds do."""

    protocol_version = "HTTP/1.1"
    requests: int = 0

    def do_GET(self) -> None:
        """Point elsewhere: by the last part of the path to another server, to itself, or to a path."""
        type(self).requests += 1
        here = self.connection.getsockname()
        where = {"away": ELSEWHERE, "itself": f"https://{here[0]}:{here[1]}/v2/there"}
        self.send_response(307)
        self.send_header("Location", where.get(self.path.rpartition("/")[2], "/v2/there"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        """Answer as to GET, which has no body either."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


class Standing:
    """A witness in front of a redirecting registry."""

    def __init__(self, address: RegistryAddress, authority: Authority, journal: RequestLog) -> None:
        self.address, self.authority, self.journal = address, authority, journal

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Return the status and the Location of an answer."""
        connection = HTTPSConnection(
            self.address.host, self.address.port, context=self.authority.client_context(), timeout=20
        )
        try:
            connection.request(method, path, headers={"Authorization": LOGIN})
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.headers.get("Location", "")
        finally:
            connection.close()


@contextmanager
def upstream(authority: Authority) -> Iterator[RegistryAddress]:
    """Run the redirecting registry."""
    Redirecting.requests = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Redirecting)
    server.daemon_threads = True
    server.socket = server_context(authority.issue("127.0.0.1")).wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield RegistryAddress("127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def standing() -> Iterator[Standing]:
    """Stand in front of a registry that redirects."""
    authority, journal, accounts = Authority(), RequestLog(), AccountsInForce()
    with upstream(authority) as registry, accounts.expecting("edge", CANARY):
        address = RegistryAddress("127.0.0.1", usable_port("127.0.0.1", 0))
        listener = TlsListener(
            address,
            authority.issue("127.0.0.1"),
            ReverseProxy(registry, authority.client_context(), journal, accounts),
        )
        listener.start()
        try:
            yield Standing(address, authority, journal)
        finally:
            listener.stop()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("kind", "location"), [("away", ELSEWHERE), ("itself", "/v2/there"), ("path", "/v2/there")])
def test_a_redirect_is_the_clients_to_follow(standing: Standing, method: str, kind: str, location: str) -> None:
    """A redirect is handed back, not followed; one to the registry itself leads the client through the witness."""
    assert standing.ask(method, f"/v2/a/blobs/{kind}") == (307, location)
    assert Redirecting.requests == 1
    assert [(pull.status, pull.presented.name) for pull in standing.journal.pulls()] == [(307, "intact")]


def test_a_failure_of_the_witness_itself_shows_no_credential(
    standing: Standing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """When it breaks with a credential in its hands, the client gets 500, and no log or traceback shows it."""

    def broken(_journal: RequestLog, known: Pull) -> None:
        raise RuntimeError(f"broken while {LOGIN} was in hand, at {known.method}")

    monkeypatch.setattr(RequestLog, "open", broken)
    with caplog.at_level(logging.DEBUG):
        status, _ = standing.ask("GET", "/v2/a/blobs/away")
    out, err = capfd.readouterr()
    heard = caplog.text + out + err

    assert status == 500
    assert [form for form in (CANARY, LOGIN, LOGIN[6:]) if form in heard] == []
