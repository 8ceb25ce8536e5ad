"""A registry that asks for tokens, as hosted ones do: ``registry:2``'s own token authentication, and a token service.

The service gives tokens for a user name and a password, as Docker Hub does, or for none, as services do that want a
token of their own cloud. It can stand beside the registry, on another host, or on plain HTTP; what it was presented
with is kept in memory.
"""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import ssl
import threading
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import jwt

from registry.htpasswd import replace_file
from registry.server import Account, PrivateRegistry, usable_port
from registry.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from docker import DockerClient

    from registry.tls import ServerCertificate

SERVICE = "private registry"
ISSUER = "token realm"
LIFETIME = dt.timedelta(minutes=5)
"""How long a token is good."""

LARGEST_FORM = 1 << 16
"""Bytes of a form that are read."""

_POLL_SECONDS = 0.01  # how often the service looks whether it shall end


@dataclass
class TokenRealm:
    """A token service that listens on ``bind`` and is told to clients as ``host`` (default: the same).

    ``certificate`` is what it presents; without one it speaks plain HTTP. ``takes_passwords`` says whether it gives a
    token for a right user name and password; if not, it wants something that a registry login is not.
    """

    bind: str
    certificate: ServerCertificate | None
    host: str = ""
    takes_passwords: bool = True
    signer: Authority = field(default_factory=lambda: Authority(ISSUER))
    presented: list[str] = field(default_factory=list, repr=False)
    accounts: dict[str, str] = field(default_factory=dict, repr=False)
    port: int = 0

    @property
    def url(self) -> str:
        """The realm as a challenge names it."""
        return f"{'https' if self.certificate else 'http'}://{self.host or self.bind}:{self.port}/token"

    def was_sent(self, account: Account) -> bool:
        """Return whether this account's credentials were sent here."""
        return _basic(account.username, account.password) in self.presented

    def answer(self, authorization: str, scopes: list[str]) -> tuple[HTTPStatus, dict[str, str]]:
        """Return a token for what was presented, or refuse."""
        if authorization:
            self.presented.append(authorization)
        known = (name for name, password in self.accounts.items() if _basic(name, password) == authorization)
        username = next(known, None)
        if username is None or not self.takes_passwords:
            return HTTPStatus.UNAUTHORIZED, {"details": "this realm takes no such login"}
        return HTTPStatus.OK, {"token": self._token(username, scopes)}

    def _token(self, username: str, scopes: list[str]) -> str:
        now = dt.datetime.now(dt.UTC)
        claims = {
            "iss": ISSUER,
            "sub": username,
            "aud": SERVICE,
            "iat": now,
            "nbf": now - LIFETIME,
            "exp": now + LIFETIME,
            "jti": uuid.uuid4().hex,
            "access": [_access(scope) for scope in scopes],
        }
        der = base64.b64encode(ssl.PEM_cert_to_DER_cert(self.signer.pem)).decode()
        return jwt.encode(claims, self.signer.signer.key, algorithm="ES256", headers={"x5c": [der]})


class TokenRegistry(PrivateRegistry):
    """A private registry that sends whoever has no token to ``realm``.

    Its accounts are the realm's. Otherwise it is used as :class:`PrivateRegistry`, within :func:`token_registry`.
    """

    def __init__(self, client: DockerClient, realm: TokenRealm, **options: Any) -> None:  # noqa: ANN401 - its own
        super().__init__(client, **options)
        self.realm = realm
        self.realm.accounts[self._harness.username] = self._harness.password

    @contextlib.contextmanager
    def account(self, username: str | None = None, password: str | None = None) -> Iterator[Account]:
        """Yield an account that gets tokens while the context lasts."""
        with super().account(username, password) as account:
            self.realm.accounts[account.username] = account.password
            try:
                yield account
            finally:
                self.realm.accounts.pop(account.username, None)

    def _authentication(self, directory: Path) -> dict[str, Any]:
        bundle = directory / "issuers.crt"
        replace_file(bundle, self.realm.signer.pem.encode(), mode=0o600)
        named = {"realm": self.realm.url, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(bundle)}
        return {"token": named}


@contextlib.contextmanager
def serving(realm: TokenRealm) -> Iterator[TokenRealm]:
    """Run a token service on a free port while the context lasts. Raises what binding raises."""
    realm.port = realm.port or usable_port(realm.bind, 0)
    with listening(type("Bound", (_Handler,), {"realm": realm}), realm.bind, realm.port, realm.certificate):
        yield realm


@contextlib.contextmanager
def listening(
    handler: type[BaseHTTPRequestHandler], bind: str, port: int, certificate: ServerCertificate | None
) -> Iterator[int]:
    """Answer with ``handler`` on a port (0: a free one) while the context lasts, over TLS with a certificate.

    Yields the port. Raises OSError.
    """
    server = _Server((bind, port), handler)
    if certificate is not None:
        context = _context(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    name = handler.__name__
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name=name, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        super().__init__(address, handler)

    def handle_error(self, *_: object) -> None:
        """Write nothing: a client that goes away, or refuses the certificate, is what some cases want."""


class _Handler(BaseHTTPRequestHandler):
    realm: TokenRealm

    def do_GET(self) -> None:
        """Answer ``GET /token?scope=…``, as the distribution's token specification has it."""
        scopes = parse_qs(urlsplit(self.path).query).get("scope", [])
        status, body = self.realm.answer(self.headers.get("Authorization", ""), scopes)
        self._reply(status, body)

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body: some pullers ask so first."""
        self.do_GET()

    def do_POST(self) -> None:
        """Refuse the OAuth form of the request; what it would present is noted all the same."""
        announced = self.headers.get("Content-Length", "")
        size = min(int(announced), LARGEST_FORM) if announced.isdecimal() else 0
        fields = parse_qs(self.rfile.read(size).decode(errors="replace"))
        if "password" in fields:
            self.realm.presented.append(_basic(fields.get("username", [""])[0], fields["password"][0]))
        self._reply(HTTPStatus.NOT_FOUND, {})

    def _reply(self, status: HTTPStatus, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        if status == HTTPStatus.UNAUTHORIZED:  # who asks without a login is asked for one
            self.send_header("WWW-Authenticate", f'Basic realm="{SERVICE}"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Write nothing: a log line would have the request."""


def _context(certificate: ServerCertificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.load_into(context)
    return context


def _access(scope: str) -> dict[str, Any]:
    kind, _, rest = scope.partition(":")
    name, _, actions = rest.rpartition(":")
    return {"type": kind, "name": name, "actions": actions.split(",")}


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"
