"""A TLS front on an event loop of its own, in a thread of its own: accepts, shakes hands, hands requests over.

Connections are accepted by hand, so that a handshake that fails can be told apart and noted: rubbish, or a client that
refused the certificate. No logger hears of anything here; a parser's complaint may quote the line with the password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
import time
import weakref
from concurrent.futures import Future
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http_parser import RawRequestMessage
    from aiohttp.streams import StreamReader

    from registry.address import RegistryAddress
    from registry.tls import ServerCertificate

HANDSHAKE_SECONDS = 10.0
"""How long a TLS handshake may take."""

HEADER_SECONDS = 10.0
"""How long a request's header may take, from its first byte to its end."""

IDLE_SECONDS = 60.0
"""How long a kept-alive connection may be idle."""

LONGEST_HEADER = 32 * 1024
"""Bytes of one header field; twice the longest that is compared with credentials."""

READ_AHEAD = 1 << 20
"""Bytes that may wait in memory per direction of a connection."""

_GOODBYE_SECONDS = 0.2
_TICK_SECONDS = 0.002
_PAUSE_SECONDS = 0.05  # after an accept that failed
_SILENCE = logging.Logger("witness")  # noqa: LOG001 - made by hand, it has no parent that could print
_SILENCE.addHandler(logging.NullHandler())


class Handler(Protocol):
    """What the front hands over to; called on the front's event loop."""

    async def open(self) -> None:
        """Get ready."""

    async def close(self) -> None:
        """Close it."""

    async def handle(self, request: web.BaseRequest, client: str) -> web.StreamResponse:
        """Answer a request of the client with this address."""

    def rubbish_request(self, client: str, why: str) -> None:
        """Hear of something on a connection that is no HTTP request; it is answered with 400."""

    def failed_connection(self, client: str, why: str, *, malformed: bool) -> None:
        """Hear of a connection that ended before there was a request."""


class Front:
    """Listens on ``address`` while it is started."""

    def __init__(self, address: RegistryAddress, certificate: ServerCertificate, handler: Handler) -> None:
        self._address, self._handler = address, handler
        self._context = server_context(certificate)
        self._server: _Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; raises :exc:`OSError` when the address cannot be had."""
        listener, started = _listener(self._address), Future[None]()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="witness", daemon=True)
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """Stop listening and break off what is under way; fine when it is not started."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
        self._thread = self._loop = self._server = None

    def present(self, certificate: ServerCertificate) -> None:
        """Present another certificate from the next connection on; open connections end with their request."""
        self._context = server_context(certificate)
        if self._loop is not None and self._server is not None:
            self._loop.call_soon_threadsafe(self._server.pre_shutdown)

    def _run(self, listener: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, started), debug=False)  # debug mode would log what waits to be sent
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    async def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)  # what matters is noted; the rest is clients going away
        await self._handler.open()
        self._server = server = _Server(self._handler)
        async with contextlib.aclosing(_Welcome(self, server, listener)):
            started.set_result(None)
            await self._ending.wait()
        await self._handler.close()

    @property
    def context(self) -> ssl.SSLContext:
        """What the next connection gets."""
        return self._context

    def failed(self, client: str, why: str, *, malformed: bool) -> None:
        """Pass on."""
        self._handler.failed_connection(client, why, malformed=malformed)


class Sockets:
    """Knows sockets that were opened, so that none outlives the event loop that would have closed it."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def add(self, opened: socket.socket) -> socket.socket:
        """Know one more."""
        self._all.add(opened)
        return opened

    async def closed(self) -> None:
        """Break off what is still open, give its owner a moment to notice, and close what nobody owns any more."""
        for opened in self._open():
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while self._open() and time.monotonic() < deadline:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(_TICK_SECONDS)
        for opened in self._open():
            opened.close()

    def _open(self) -> list[socket.socket]:
        return [known for known in self._all if known.fileno() >= 0]


class _Welcome:
    """Accepts connections and shakes hands, many at a time."""

    def __init__(self, front: Front, server: _Server, listener: socket.socket) -> None:
        self._front, self._server, self._listener = front, server, listener
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets = Sockets()
        self._accepting = self._loop.create_task(self._accept())

    async def aclose(self) -> None:
        """Accept no more, break off what is under way, and see every connection closed."""
        tasks = (self._accepting, *self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # before its number is used for another socket
        self._listener.close()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
        await self._server.shutdown(_GOODBYE_SECONDS)
        await self._sockets.closed()

    async def _accept(self) -> None:
        while True:
            try:
                connection, peer = await self._loop.sock_accept(self._listener)
            except OSError:  # out of file descriptors, or the client was gone at once
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._sockets.add(connection)
            task = self._loop.create_task(self._shake_hands(connection, address_of(peer)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _shake_hands(self, connection: socket.socket, client: str) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.connect_accepted_socket(
                self._server, connection, ssl=self._front.context, ssl_handshake_timeout=HANDSHAKE_SECONDS
            )
        except (OSError, TimeoutError) as error:
            why, malformed = _why_no_tls(error)
            self._front.failed(client, why, malformed=malformed)


def _why_no_tls(error: OSError) -> tuple[str, bool]:
    """Return why a handshake failed, and whether what came was rubbish."""
    reason = (getattr(error, "reason", None) or "").lower().replace("_", " ")
    if "alert" in reason:  # the client's own word, such as `tlsv1 alert unknown ca`
        return f"the client refused the handshake: {reason.partition('alert ')[2]}", False
    if reason == "http request":
        return "not TLS: plain HTTP", True
    if isinstance(error, ConnectionAbortedError):
        return f"no TLS handshake in {HANDSHAKE_SECONDS:.0f} s", True
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return f"not TLS: {reason or 'unreadable'}", True
    return "the client went away before the handshake", False


class _Connection(web.RequestHandler):
    """One client's connection; notices headers that never end and bytes that are no request."""

    def __init__(self, server: _Server, handler: Handler, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._handler = handler
        self._patience: asyncio.TimerHandle | None = None
        self._busy = False
        self.client = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.client = address_of(transport.get_extra_info("peername"))

    def data_received(self, data: bytes) -> None:
        if self._patience is None and not self._busy:
            self._patience = asyncio.get_running_loop().call_later(HEADER_SECONDS, self._lose_patience)
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._calm_down():
            self._handler.failed_connection(self.client, "the connection ended inside a header", malformed=True)
        super().connection_lost(exc)

    def begin(self) -> None:
        """Hear that a whole header has come."""
        self._calm_down()
        self._busy = True

    def end(self) -> None:
        """Hear that the request is answered."""
        self._busy = False

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no request, in our own words: aiohttp's would quote what came."""
        del message
        if request.writer is not None and request.writer.output_size > 0:
            raise ConnectionError("the answer has begun and cannot be taken back")
        if status == HTTPStatus.BAD_REQUEST:
            long = isinstance(exc, LineTooLong)
            why = f"a line of more than {LONGEST_HEADER} bytes" if long else "not HTTP"
            self._handler.rubbish_request(self.client, why)
        answer = web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}\n")
        answer.force_close()
        return answer

    def _lose_patience(self) -> None:
        self._patience = None
        self._handler.failed_connection(self.client, f"no end of a header in {HEADER_SECONDS:.0f} s", malformed=True)
        self.force_close()

    def _calm_down(self) -> bool:
        """Stop waiting for the end of a header; tells whether one was under way."""
        waiting, self._patience = self._patience, None
        if waiting is not None:
            waiting.cancel()
        return waiting is not None


class _Server(web.Server):
    """Makes connections of our kind, and tells them when a header has come and when its request is answered."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(self._handle, request_factory=self._begun, handler_cancellation=True)
        self._handler = handler

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            self._handler,
            access_log=None,
            logger=_SILENCE,
            keepalive_timeout=IDLE_SECONDS,
            lingering_time=HEADER_SECONDS / 2,
            max_line_size=LONGEST_HEADER,
            max_field_size=LONGEST_HEADER,
            read_bufsize=READ_AHEAD,
            auto_decompress=False,
        )

    def _begun(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, _Connection)
        protocol.begin()
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, _Connection)
        try:
            return await self._handler.handle(request, connection.client)
        finally:
            connection.end()


def server_context(certificate: ServerCertificate) -> ssl.SSLContext:
    """Return a context that presents the certificate, as the registry itself would: TLS 1.2 or later, HTTP/1.1."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    certificate.load_into(context)
    return context


def address_of(peer: Any) -> str:  # noqa: ANN401 - a socket's peer name, of whatever family
    """Return a peer's IP address as text: without a zone, IPv4 as IPv4."""
    text = str(peer[0]).partition("%")[0] if peer else ""
    return text.removeprefix("::ffff:")


def _listener(address: RegistryAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.create_server((address.host, address.port), family=family, backlog=256)
    listener.settimeout(0)
    return listener
