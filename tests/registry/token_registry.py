"""A registry that asks for a token, as hosted ones do: the challenge, the token endpoint, one blob."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from registry.address import RegistryAddress
from registry.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOB = b"behind a token"


@dataclass
class TokenServer:
    """What runs, what it expects, and what was asked of it."""

    address: RegistryAddress
    authority: Authority
    username: str = "edge"
    password: str = "p:ß!"
    realm: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: TokenServer

    def do_GET(self) -> None:
        presented = self.headers.get("Authorization", "")
        self.registry.seen.append((self.path, presented.partition(" ")[0]))
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        if path == "/token":
            pair = f"{self.registry.username}:{self.registry.password}".encode()
            right = presented == f"Basic {base64.b64encode(pair).decode()}"
            token = f"token for {' '.join(query.get('scope', []))}"
            self._answer(200 if right else 401, json.dumps({"access_token": token}).encode())
        elif presented == f"Bearer token for {'repository:a/b:pull' if 'blobs' in path else ''}":
            self._answer(200, BLOB)
        else:
            challenge = f'Bearer realm="{self.registry.realm}",service="test"'
            self._answer(401, b"{}", challenge)

    def _answer(self, status: int, body: bytes, challenge: str = "") -> None:
        self.send_response(status)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@contextlib.contextmanager
def token_registry(directory: Path) -> Iterator[TokenServer]:
    """Run one on a free port."""
    authority = Authority()
    certificate = authority.issue("127.0.0.1")
    (directory / "server.pem").write_text(certificate.chain_pem + certificate.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    registry = TokenServer(RegistryAddress("127.0.0.1", server.server_port), authority)
    registry.realm = f"{registry.address.url}/token"
    server.RequestHandlerClass = type("Bound", (_Handler,), {"registry": registry})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
