"""One connection of the witness' TLS listener: the bytes on their way to aiohttp's protocol and back.

What the parser refuses is answered and recorded here: aiohttp's own answer would quote the line with the password.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol, cast

from aiohttp import web

from registry.refusals import refusal

HEADER_SECONDS = 10.0
"""How long a request's header may take: the first one from the handshake, later ones from their first byte."""

LONGEST_HEADER = 1 << 20
"""Bytes of one header field, as in Go's HTTP server."""

MOST_FIELDS = 4096
"""Header fields of a request."""

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 "


class Handler(Protocol):
    """What answers requests; it is called on the listener's event loop."""

    async def open(self) -> None:
        """Prepare for requests."""

    async def close(self) -> None:
        """Release what :meth:`open` made."""

    async def handle(self, request: web.Request, client: str) -> web.StreamResponse:
        """Answer a request of the client with this address."""

    def refused_request(self, client: str, why: str) -> None:
        """Record a request that the parser refused; it is answered with 400."""

    def failed_connection(self, client: str, why: str, *, malformed: bool) -> None:
        """Record a connection that ended before there was a request."""


class Connection(asyncio.Protocol):
    """One client's connection: watches the bytes on their way to aiohttp's protocol and back."""

    def __init__(self, client: str, handler: Handler, http: Any, connections: set[Connection]) -> None:  # noqa: ANN401 - an asyncio protocol
        self._client, self._handler, self._http, self._connections = client, handler, http, connections
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._head = bytearray()
        self._retired = self._refused = False
        self.has_asked = self.is_busy = False
        self.began = time.monotonic()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._expect_header()
        self._http.connection_made(RecordingTransport(self, self._transport))

    def data_received(self, data: bytes) -> None:
        """Pass bytes on; those of a header are kept until the parser has read it."""
        if not self.is_busy:
            self._head += data
            if self._deadline is None:
                self._expect_header()
        self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass on."""
        ended: bool | None = self._http.eof_received()
        return ended

    def pause_writing(self) -> None:
        """Pass on."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._http.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Record it, if there was no request or only half of one."""
        self._connections.discard(self)
        if self._forget_deadline() and self._head:
            self._fail("the connection ended inside a header")
        self._http.connection_lost(exc)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request whose header has come."""
        self._forget_deadline()
        self.has_asked = self.is_busy = True
        self._head.clear()
        try:
            response = await self._handled(request)
            if self._retired:
                response.force_close()
            await response.prepare(request)
            await response.write_eof()  # here, so that whatever is written later is no answer to this request
            return response
        finally:
            self.is_busy = False

    async def _handled(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._handler.handle(request, self._client)
        except ConnectionResetError:  # an answer had begun
            raise
        except Exception:  # noqa: BLE001 - whatever it is, its text may have a password, and the client waits
            response = web.Response(status=500)
            response.force_close()
            return response

    def refuse(self) -> None:
        """Answer what aiohttp's parser refused, in our own words: its own would quote what came."""
        if not self._refused and self._transport is not None:
            self._refused = True
            self._forget_deadline()
            self._handler.refused_request(self._client, refusal(bytes(self._head), LONGEST_HEADER, MOST_FIELDS))
            self._transport.write(_BAD_REQUEST)

    def may_write(self, data: bytes) -> bool:
        """Return whether bytes are part of an answer of ours, and not what aiohttp says of a bad request."""
        return self.is_busy or data.startswith(_CONTINUE)

    def retire(self) -> None:
        """End the connection after the request that is under way, or now."""
        self._retired = True
        if not self.is_busy and self._transport is not None:
            self._transport.close()

    def crowd_out(self) -> None:
        """End the connection now, to make way for another."""
        if self._forget_deadline():
            self._fail("crowded out before a request")
        self._connections.discard(self)
        self.abort()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _expect_header(self) -> None:
        self._deadline = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._lose_patience)

    def _lose_patience(self) -> None:
        self._deadline = None
        what = "no end of a header" if self._head else "no request"
        self._fail(f"{what} in {HEADER_SECONDS:.0f} s", malformed=bool(self._head))
        self.abort()

    def _forget_deadline(self) -> bool:
        """Stop waiting for the end of a header; returns whether one was awaited."""
        waiting, self._deadline = self._deadline, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None

    def _fail(self, why: str, *, malformed: bool = True) -> None:
        self._handler.failed_connection(self._client, why, malformed=malformed)


class RecordingTransport(asyncio.Transport):
    """The way back to the client, with the connection that a request belongs to."""

    def __init__(self, connection: Connection, transport: asyncio.Transport) -> None:
        super().__init__()
        self.connection, self._transport = connection, transport
        # looked up once: these are called for every piece
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.is_closing = transport.is_closing  # type: ignore[method-assign]
        self.pause_reading = transport.pause_reading  # type: ignore[method-assign]
        self.resume_reading = transport.resume_reading  # type: ignore[method-assign]
        self.is_reading = transport.is_reading  # type: ignore[method-assign]
        self.get_write_buffer_size = transport.get_write_buffer_size  # type: ignore[method-assign]
        self.set_write_buffer_limits = transport.set_write_buffer_limits  # type: ignore[method-assign]
        self.close = transport.close  # type: ignore[method-assign]
        self.abort = transport.abort  # type: ignore[method-assign]

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Write an answer; what answers no request of ours is the parser's refusal."""
        if self.connection.may_write(bytes(data[: len(_CONTINUE)])):
            self._transport.write(data)
        else:
            self.connection.refuse()

    def writelines(self, list_of_data: Any) -> None:  # noqa: ANN401 - asyncio's own
        """Write several pieces."""
        self.write(b"".join(list_of_data))
