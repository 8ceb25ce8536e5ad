"""What the witness passes on of a registry that redirects, and what it keeps to itself when it fails."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator
from http.client import HTTPSConnection

import pytest

from registry.address import RegistryAddress
from registry.pulls import Pull, RequestLog
from registry.reverse_proxy import ReverseProxy
from registry.server import usable_port
from registry.tls import Authority
from registry.tls_listener import TlsListener
from registry.witness import AccountsInForce
from tests.palette.servers import Request, Server, serving

CANARY = "Canary4711Canary"
LOGIN = "Basic " + base64.b64encode(f"edge:{CANARY}".encode()).decode()
ELSEWHERE = "https://blobs.example.com/data?signature=abc%2Fdef&x=%20"


def point_elsewhere(request: Request) -> None:
    """Answer as a registry that keeps its blobs elsewhere: on another server, on itself by URL, or by a path."""
    here = request.handler.connection.getsockname()
    where = {
        "away": ELSEWHERE,
        "itself": f"https://{here[0]}:{here[1]}/v2/there?x=%2F",
        "without-port": f"https://{here[0]}/v2/there",
        "without-tls": f"http://{here[0]}:{here[1]}/v2/there",
        "neither": f"HTTP://{here[0]}/v2/there",
        "beside-it": f"https://{here[0]}/minio/there",
        "no-url": "https://[x/v2/there",
    }
    if request.path.endswith("two-servers"):
        request.handler.send_response_only(307)
        for name, value in (("Server", "Caddy"), ("Server", "registry"), ("Location", "/v2/there")):
            request.handler.send_header(name, value)
        request.handler.send_header("Content-Length", "0")
        request.handler.end_headers()
        return
    request.send(307, Location=where.get(request.path.rpartition("/")[2], "/v2/there"))


class Standing:
    """A witness in front of a redirecting registry."""

    def __init__(self, address: RegistryAddress, authority: Authority, journal: RequestLog, upstream: Server) -> None:
        self.address, self.authority, self.journal, self.upstream = address, authority, journal, upstream
        self.server: list[str] = []

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Return the status and the Location of an answer."""
        connection = HTTPSConnection(
            self.address.host, self.address.port, context=self.authority.client_context(), timeout=20
        )
        try:
            connection.request(method, path, headers={"Authorization": LOGIN})
            answer = connection.getresponse()
            answer.read()
            self.server = answer.headers.get_all("Server") or []
            return answer.status, answer.headers.get("Location", "")
        finally:
            connection.close()


@pytest.fixture
def standing() -> Iterator[Standing]:
    """Stand in front of a registry that redirects."""
    authority, journal, accounts = Authority(), RequestLog(), AccountsInForce()
    with (
        serving(point_elsewhere, certificate=authority.issue("127.0.0.1")) as server,
        accounts.expecting("edge", CANARY),
    ):
        address = RegistryAddress("127.0.0.1", usable_port("127.0.0.1", 0))
        listener = TlsListener(
            address,
            authority.issue("127.0.0.1"),
            ReverseProxy(RegistryAddress("127.0.0.1", server.port), authority.client_context(), journal, accounts),
        )
        listener.start()
        try:
            yield Standing(address, authority, journal, server)
        finally:
            listener.stop()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("kind", "location"),
    [
        ("away", ELSEWHERE),
        ("itself", "/v2/there?x=%2F"),
        ("path", "/v2/there"),
        ("without-port", "/v2/there"),
        ("without-tls", "/v2/there"),
        ("neither", "/v2/there"),
        ("beside-it", "https://127.0.0.1/minio/there"),
        ("no-url", "https://[x/v2/there"),
    ],
)
def test_a_redirect_is_the_clients_to_follow(standing: Standing, method: str, kind: str, location: str) -> None:
    """A redirect is handed back, not followed; one to the registry itself leads the client through the witness."""
    assert standing.ask(method, f"/v2/a/blobs/{kind}") == (307, location)
    assert len(standing.upstream.requests) == 1
    assert [(pull.status, pull.presented.name) for pull in standing.journal.pulls()] == [(307, "intact")]


def test_two_headers_of_one_name_reach_the_client(standing: Standing) -> None:
    """A registry behind Caddy answers with two ``Server`` headers: the client gets both."""
    assert standing.ask("GET", "/v2/a/blobs/two-servers") == (307, "/v2/there")
    assert standing.server == ["Caddy", "registry"]


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
