"""A reverse proxy: passes requests on to the registry and answers back, and records what was presented."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
from aiohttp import hdrs, web
from multidict import CIMultiDict
from yarl import URL

from registry.address import HTTPS_PORT
from registry.classify import Presented
from registry.pulls import OpenRequest, Pull, RequestLog, Target, now, printable
from registry.tls_listener import READ_AHEAD, Sockets
from registry.token_endpoints import LARGEST_ANSWER, TokenEndpoints, login_in

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Sequence

    from aiohappyeyeballs import AddrInfoType

    from registry.address import RegistryAddress

CONNECT_SECONDS = 10.0
"""How long the registry may take to accept a connection."""

SILENCE_SECONDS = 300.0
"""How long the registry may be silent in the middle of an exchange: it hashes large blobs before it answers."""

BODY_SECONDS = 3600.0
"""How long a client may take to send a body."""

STALL_SECONDS = 60.0
"""How long a client may send nothing of a body, or take nothing of an answer."""

SMALL = 32 * 1024
"""Bytes; a shorter answer is passed on in one piece with its header, which saves a packet each way."""

# RFC 9110 §7.6.1: they belong to one connection, and are not passed on
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_ADDED_BY_AIOHTTP = ("Accept", "Accept-Encoding", "User-Agent", "Content-Type")
_WRITTEN_AS_IS = "!$%&'()*+,/:;=?@[]~\"<>\\^`{|}-._"  # all of printable ASCII but the fragment's sign


class Judge(Protocol):
    """Knows the accounts in force."""

    def judge(self, headers: Sequence[bytes], host: str = "") -> tuple[str, Presented]:
        """Return which account the ``Authorization`` headers of a host's request mean, and what they present."""

    def occurs_in(self, text: str) -> bool:
        """Return whether the login of an account in force stands in a text."""

    def without_secrets(self, text: str) -> str:
        """Return text in which no secret of an account in force stands any more."""


class ReverseProxy:
    """Answers the listener's requests with the registry's answers."""

    def __init__(
        self,
        upstream: RegistryAddress,
        context: ssl.SSLContext,
        journal: RequestLog,
        judge: Judge,
        *,
        renamed: bool = False,
    ) -> None:
        """Pass on to ``upstream``; ``renamed`` tells it its own name instead of the one that clients know us by."""
        self.upstream, self._context, self._renamed = upstream, context, renamed
        self._journal, self._judge = journal, judge
        self._session: aiohttp.ClientSession | None = None
        self._sockets = Sockets()
        self._tokens = TokenEndpoints(upstream)

    async def open(self) -> None:
        """Make the session with the registry."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._context, limit=0, socket_factory=self._socket),
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
        await self._sockets.closed()

    def refused_request(self, client: str, why: str) -> None:
        """Record it as a malformed pull."""
        running = self._note(client, Presented("malformed", f"malformed: {why}"))
        running.status = HTTPStatus.BAD_REQUEST
        running.finish()

    def failed_connection(self, client: str, why: str, *, malformed: bool) -> None:
        """Note it."""
        self._journal.note_failure(client, why, malformed=malformed)

    async def handle(self, request: web.Request, client: str) -> web.StreamResponse:
        """Record the request, pass it on, and record how it ended."""
        headers = [value for name, value in request.raw_headers if name.lower() == b"authorization"]
        origin = self._tokens.origin_at(request.raw_path)
        form = await self._form(request, client) if origin else None
        headers = headers or login_in(form or b"")
        known = self._tokens.presented_for(headers)
        account, presented = known or self._judge.judge(headers, self._journal.host_at(client))
        others = (value for name, value in request.raw_headers if name.lower() != b"authorization")
        if self._judge.occurs_in(b"\n".join(others).decode(errors="replace")):
            presented = Presented("malformed", "malformed: the login in another header than Authorization")
        running = self._note(
            client,
            presented,
            method=request.method,
            path=request.raw_path,
            agent=request.headers.get("User-Agent", ""),
            account=account,
            is_token=bool(origin),
        )
        try:
            return await self._pass_on(request, running, origin, form)
        except aiohttp.ClientConnectorError:
            return _refuse(running, HTTPStatus.BAD_GATEWAY, "the registry cannot be reached")
        except (aiohttp.ClientError, TimeoutError, ValueError):  # ValueError: what the client library refuses to send
            running.ended = running.ended or "the registry broke off"
            if not running.status:
                return _refuse(running, HTTPStatus.BAD_GATEWAY, "the registry broke off")
            if request.transport is not None:
                request.transport.abort()  # an orderly end would make half a blob look whole
            raise ConnectionResetError from None
        except BaseException:  # cancellation
            running.ended = running.ended or "the client went away"
            raise
        finally:
            running.finish()

    async def _form(self, request: web.Request, client: str) -> bytes:
        """Return the form of a request for a token, which is small."""
        try:
            async with asyncio.timeout(STALL_SECONDS):
                return await request.read()
        except TimeoutError:
            self.refused_request(client, "a token request without an end")
            raise ConnectionResetError from None

    def _note(
        self,
        client: str,
        presented: Presented,
        *,
        method: str = "",
        path: str = "",
        agent: str = "",
        account: str = "",
        is_token: bool = False,
    ) -> OpenRequest:
        host = self._journal.host_at(client)
        target = Target.of(printable(self._judge.without_secrets(path)), is_token=is_token)
        return self._journal.open(
            Pull(
                at=now(),
                client=client,
                host=host,
                user_agent=printable(self._judge.without_secrets(agent)),
                method=method,
                action=target.action,
                repository=target.repository,
                reference=target.reference,
                presented=presented,
                account=account,
                mark=self._journal.mark_of(host),
            )
        )

    async def _pass_on(
        self, request: web.Request, running: OpenRequest, origin: str, form: bytes | None
    ) -> web.StreamResponse:
        try:
            url, headers = self._url(request.raw_path, origin or self.upstream.url), _passed_on(request)
            if self._renamed or origin:  # several names may be served at one address, and ours is none of them
                headers.popall(hdrs.HOST, None)
            if origin:  # the answer is read here
                headers[hdrs.ACCEPT_ENCODING] = "identity"
        except ValueError:
            return _refuse(running, HTTPStatus.BAD_REQUEST, "the path or a header cannot be read")
        assert self._session is not None
        running.received = len(form or b"")
        body = form or (_chunks(request, running) if form is None and request.body_exists else None)
        async with self._session.request(
            request.method, url, headers=headers, data=body, allow_redirects=False
        ) as answer:
            return await self._hand_back(answer, request, running)

    async def _hand_back(
        self, answer: aiohttp.ClientResponse, request: web.Request, running: OpenRequest
    ) -> web.StreamResponse:
        headers = CIMultiDict((name, value) for name, value in answer.headers.items() if _is_passed_on(name))
        if location := headers.get(hdrs.LOCATION):
            headers[hdrs.LOCATION] = self._below(location)
        if asked := headers.popall(hdrs.WWW_AUTHENTICATE, None):
            host = request.headers.get(hdrs.HOST, "")
            headers.extend((hdrs.WWW_AUTHENTICATE, self._tokens.led_through(one, host)) for one in asked)
        running.status = answer.status
        if running.known.action == "token" and answer.status == HTTPStatus.OK:
            return await self._hand_token_back(answer, headers, running)
        begun = b""
        if answer.method != hdrs.METH_HEAD and (answer.content_length or READ_AHEAD) < SMALL:
            begun, whole = await _small_body(answer)
            running.sent = len(begun)
            if whole:
                return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=begun)
        response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
        async with _to_client(running):
            await response.prepare(request)
            await response.write(begun)
        async for (
            chunk
        ) in answer.content.iter_any():  # raises where a small body was cut short, with its header passed on
            running.sent += len(chunk)
            async with _to_client(running):
                await response.write(chunk)
        async with _to_client(running):
            await response.write_eof()
        return response

    async def _hand_token_back(
        self, answer: aiohttp.ClientResponse, headers: CIMultiDict[str], running: OpenRequest
    ) -> web.StreamResponse:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > LARGEST_ANSWER:
                raise ValueError("an answer of a token endpoint that is too long")
        self._tokens.remember(bytes(content), running.known.account, running.known.presented)
        running.sent = len(content)
        headers.popall(hdrs.CONTENT_LENGTH, None)
        return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=bytes(content))

    def _below(self, location: str) -> str:
        """Return a location without the registry's address, however it is written: never past us to the registry."""
        try:
            url, own = urlsplit(location), urlsplit(self.upstream.url)
            is_there = (url.port or HTTPS_PORT) == (own.port or HTTPS_PORT)
            is_own = url.hostname == own.hostname and (is_there or (url.port is None and url.path.startswith("/v2/")))
        except ValueError:  # the client's to refuse
            return location
        return urlunsplit(("", "", url.path or "/", url.query, "")) if is_own else location

    def _socket(self, address: AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        return self._sockets.add(socket.socket(family, kind, protocol))

    def _url(self, path: str, origin: str) -> URL:
        if "://" in path.partition("/")[0] + path[:8]:  # the absolute form of a target (RFC 9112 §3.2.2)
            whole = urlsplit(path)
            path = f"{whole.path or '/'}{f'?{whole.query}' if whole.query else ''}"
        if not path.startswith("/"):
            raise ValueError("a path begins with a slash")
        return URL(f"{origin}{quote(path, safe=_WRITTEN_AS_IS, errors='surrogateescape')}", encoded=True)


async def _small_body(answer: aiohttp.ClientResponse) -> tuple[bytes, bool]:
    """Return a body that fits into memory, and whether it came whole: registry:2 announces one with 416, sends none."""
    body = bytearray()
    try:
        async for chunk in answer.content.iter_any():
            body += chunk
    except aiohttp.ClientPayloadError:
        return bytes(body), False
    return bytes(body), True


@contextlib.asynccontextmanager
async def _to_client(running: OpenRequest) -> AsyncIterator[None]:
    """Record a client that went away, or takes nothing, as that: aiohttp raises the same for a registry."""
    try:
        async with asyncio.timeout(STALL_SECONDS):
            yield
    except (aiohttp.ClientError, TimeoutError):
        running.ended = "the client went away"
        raise


async def _chunks(request: web.Request, running: OpenRequest) -> AsyncIterator[bytes]:
    ends = asyncio.get_running_loop().time() + BODY_SECONDS
    chunks = request.content.iter_any()
    try:
        while True:
            now = asyncio.get_running_loop().time()
            async with asyncio.timeout(min(STALL_SECONDS, ends - now)):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            running.received += len(chunk)
            yield chunk
    except Exception:
        running.ended = "the client went away"
        raise


def _is_passed_on(name: str) -> bool:
    return name.lower() not in _HOP_BY_HOP


def _passed_on(request: web.Request) -> CIMultiDict[str]:
    """Return the headers for the registry. Raises :exc:`ValueError` for one that is no UTF-8.

    A header that ``Connection`` names is passed on: the registry itself would read it. Headers of one name get one
    spelling: the client library keeps the last of those that differ in case only.
    """
    spelling: dict[str, str] = {}
    return CIMultiDict(
        (spelling.setdefault(name.lower(), name), value.decode())
        for name, value in ((name.decode(), value) for name, value in request.raw_headers)
        if _is_passed_on(name)
    )


def _refuse(running: OpenRequest, status: HTTPStatus, why: str) -> web.Response:
    """Answer in the registry's own form (OCI distribution specification, error codes)."""
    running.status, running.ended = status, running.ended or why
    answer = web.json_response({"errors": [{"code": "UNAVAILABLE", "message": why}]}, status=status)
    answer.force_close()
    return answer
