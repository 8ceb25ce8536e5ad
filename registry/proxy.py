"""Pass a request on to the registry and the answer back, in pieces, and note what was presented."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from registry.classify import Presented
from registry.front import READ_AHEAD
from registry.pulls import Journal, Pull, Running, Target, now, printable

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence

    from registry.address import RegistryAddress

CONNECT_SECONDS = 10.0
"""How long the registry may take to accept a connection."""

SILENCE_SECONDS = 300.0
"""How long the registry may be silent in the middle of an exchange: it hashes large blobs before it answers."""

# RFC 9110 §7.6.1: they belong to one connection, and are not passed on
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Judge(Protocol):
    """Knows the accounts in force."""

    def judge(self, headers: Sequence[bytes]) -> tuple[str, Presented]:
        """Say which account the ``Authorization`` headers of a request mean, and what they present."""

    def without_secrets(self, text: str) -> str:
        """Give text in which no secret of an account in force stands any more."""


class Proxy:
    """The handler behind the front."""

    def __init__(self, upstream: RegistryAddress, context: ssl.SSLContext, journal: Journal, judge: Judge) -> None:
        self._upstream, self._context = upstream, context
        self._journal, self._judge = journal, judge
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session with the registry."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0),
            timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            skip_auto_headers=_ADDED_BY_AIOHTTP,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_AHEAD,
        )

    async def close(self) -> None:
        """Close it."""
        if self._session is not None:
            await self._session.close()

    def rubbish_request(self, client: str, why: str) -> None:
        """Note it as a malformed pull."""
        running = self._note(client, "", "", "", Presented("malformed", f"malformed: {why}"))
        running.status = HTTPStatus.BAD_REQUEST
        running.finish()

    def failed_connection(self, client: str, why: str, *, malformed: bool) -> None:
        """Note it."""
        self._journal.note_failure(client, why, malformed=malformed)

    async def handle(self, request: web.BaseRequest, client: str) -> web.StreamResponse:
        """Note the request, pass it on, and note how it ended."""
        headers = [value for name, value in request.raw_headers if name.lower() == b"authorization"]
        account, presented = self._judge.judge(headers)
        running = self._note(client, request.method, request.raw_path, request.headers.get("User-Agent", ""), presented, account)
        try:
            return await self._pass_on(request, running)
        except aiohttp.ClientConnectorError:
            return _refuse(running, HTTPStatus.BAD_GATEWAY, "the registry cannot be reached")
        except (aiohttp.ClientError, TimeoutError):
            running.ended = "the registry broke off"
            return _break_off(request, running)
        except BaseException:  # cancellation, too: the client is gone
            running.ended = running.ended or "the client went away"
            raise
        finally:
            running.finish()
