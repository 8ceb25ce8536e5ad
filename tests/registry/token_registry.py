"""A registry that asks for a token, as hosted ones do: the challenge, the token endpoint, one blob."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from registry.address import RegistryAddress
from registry.tls import Authority
from tests.palette.servers import Request, serving

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

    def answer(self, request: Request) -> None:
        """Answer with a token for the right login, and with the blob for the token."""
        presented = request.handler.headers.get("Authorization", "")
        self.seen.append((request.url, presented.partition(" ")[0]))
        if request.path == "/token":
            pair = f"{self.username}:{self.password}".encode()
            right = presented == f"Basic {base64.b64encode(pair).decode()}"
            token = f"token for {request.query.get('scope', '')}"
            request.send(200 if right else 401, json.dumps({"access_token": token}).encode())
        elif presented == f"Bearer token for {'repository:a/b:pull' if 'blobs' in request.path else ''}":
            request.send(200, BLOB)
        else:
            request.send(401, b"{}", WWW_Authenticate=f'Bearer realm="{self.realm}",service="test"')


@contextlib.contextmanager
def token_registry() -> Iterator[TokenServer]:
    """Run one on a free port."""
    registry = TokenServer(RegistryAddress("127.0.0.1", 1), Authority())
    with serving(registry.answer, certificate=registry.authority.issue("127.0.0.1")) as server:
        registry.address = RegistryAddress("127.0.0.1", server.port)
        registry.realm = f"{registry.address.url}/token"
        yield registry
