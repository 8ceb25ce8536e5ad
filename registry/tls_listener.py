"""A TLS listener for the witness, on an event loop and thread of its own, in front of an aiohttp application.

Connections are accepted here and not by aiohttp: a handshake that fails, a request that the parser refuses and a client
that says nothing are recorded, and their number is limited. Only documented interfaces of asyncio and aiohttp are used.
No logger hears of anything here; a parser's complaint may quote the line with the password.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
import socket
import ssl
import threading
import time
import weakref
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, cast

from aiohttp import web

from registry.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry.address import RegistryAddress
    from registry.tls import ServerCertificate

HANDSHAKE_SECONDS = 10.0
"""How long a TLS handshake may take."""

HEADER_SECONDS = 10.0
"""How long a request's header may take: the first one from the handshake, later ones from their first byte."""

IDLE_SECONDS = 60.0
"""How long a kept-alive connection may be idle."""

LONGEST_HEADER = 1 << 20
"""Bytes of one header field, as in Go's HTTP server."""

MOST_FIELDS = 4096
"""Header fields of a request."""

READ_AHEAD = 1 << 20
"""Bytes that may wait in memory per direction of a connection."""

MOST_CONNECTIONS = 512
"""Connections at a time; fewer where the process may not open eight times as many files."""

_GOODBYE_SECONDS = 0.2
_TICK_SECONDS = 0.002
_PAUSE_SECONDS = 0.05  # after an accept that failed
_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_CONTINUE = b"HTTP/1.1 100 "
_SILENCE = logging.Logger("witness")  # noqa: LOG001 - made by hand, it has no parent that could print
_SILENCE.addHandler(logging.NullHandler())


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


class TlsListener:
    """Listens on ``address`` while it is started."""

    def __init__(self, address: RegistryAddress, certificate: ServerCertificate, handler: Handler) -> None:
        self._address, self._handler = address, handler
        self._context = server_context(certificate)
        self._connections: set[Connection] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen; raises :exc:`OSError` when the address cannot be had."""
        listener, started = _listening_socket(self._address), Future[None]()
        self._thread = threading.Thread(target=self._run, args=(listener, started), name="witness", daemon=True)
        self._thread.start()
        started.result()

    def stop(self) -> None:
        """Stop listening and break off what is under way; fine when it is not started."""
        if self._thread is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
        self._thread = self._loop = None

    def present(self, certificate: ServerCertificate) -> None:
        """Present another certificate from the next connection on; open connections end with their request."""
        self._context = server_context(certificate)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._retire)

    def _retire(self) -> None:
        for connection in list(self._connections):
            connection.retire()

    def _run(self, listener: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, started), debug=False)  # debug mode would log what waits to be sent
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    async def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(lambda *_: None)  # what matters is recorded; the rest is clients going away
        await self._handler.open()
        runner = _runner()
        await runner.setup()
        assert runner.server is not None
        acceptor = _Acceptor(listener, self._handler, runner.server, self._connections, lambda: self._context)
        started.set_result(None)
        await self._ending.wait()
        await acceptor.close()
        await runner.cleanup()
        await acceptor.sockets.closed()
        await self._handler.close()


def _runner() -> web.AppRunner:
    """Return aiohttp's HTTP server for an application whose middleware answers everything.

    The route answers nothing that the middleware would not; aiohttp is faster where a path has one.
    """
    application = web.Application(middlewares=[_answer])
    application.router.add_route("*", "/{path:.*}", _never)
    application.on_response_prepare.append(_without_server)
    return web.AppRunner(
        application,
        handler_cancellation=True,
        shutdown_timeout=_GOODBYE_SECONDS,
        access_log=None,
        logger=_SILENCE,
        keepalive_timeout=IDLE_SECONDS,
        lingering_time=HEADER_SECONDS / 2,
        max_line_size=LONGEST_HEADER,
        max_field_size=LONGEST_HEADER,
        max_headers=MOST_FIELDS,
        read_bufsize=READ_AHEAD,
        auto_decompress=False,
    )


async def _never(_: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@web.middleware
async def _answer(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    del handler  # it would answer 404
    connection = cast("_Transport", request.transport).connection
    return await connection.answer(request)


async def _without_server(_: web.Request, response: web.StreamResponse) -> None:
    """Remove what aiohttp adds about itself; the registry's own header, if it has one, stays."""
    if "Server" in response.headers and "aiohttp" in response.headers["Server"]:
        del response.headers["Server"]


class Sockets:
    """Sockets that were opened, so that none outlives the event loop that would have closed it."""

    def __init__(self) -> None:
        self._all: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def add(self, opened: socket.socket) -> socket.socket:
        """Remember one more."""
        self._all.add(opened)
        return opened

    async def closed(self) -> None:
        """Break off what is still open, wait a moment for its owner, and close what nobody owns any more."""
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


class _Acceptor:
    """Accepts connections and shakes hands, many at a time."""

    def __init__(
        self,
        listener: socket.socket,
        handler: Handler,
        http: web.Server,
        connections: set[Connection],
        context: Callable[[], ssl.SSLContext],
    ) -> None:
        self._listener, self._handler, self._http = listener, handler, http
        self._connections, self._context = connections, context
        self._loop = asyncio.get_running_loop()
        self._handshakes: dict[asyncio.Task[None] | None, tuple[socket.socket, str]] = {}  # in order of their beginning
        self._most = most_connections()
        self.sockets = Sockets()
        self._accepting = self._loop.create_task(self._accept())

    async def close(self) -> None:
        """Accept no more and break off what is under way."""
        tasks = (self._accepting, *(task for task in self._handshakes if task is not None))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # before its number is used for another socket
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, peer = await self._loop.sock_accept(self._listener)
            except OSError:  # out of file descriptors, or the client was gone at once
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            if len(self._connections) + len(self._handshakes) >= self._most:
                self._make_way()
                await asyncio.sleep(0)  # else nothing closes while clients keep coming
            self.sockets.add(accepted)
            client = address_of(peer)
            task = self._loop.create_task(self._shake_hands(accepted, client))
            self._handshakes[task] = accepted, client
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    def _make_way(self) -> None:
        """End the connection that has gone longest without a request; where there is none, an idle or any one."""
        if self._handshakes:
            oldest, client = self._handshakes.pop(next(iter(self._handshakes)))
            with contextlib.suppress(OSError):
                oldest.shutdown(socket.SHUT_RDWR)  # its handshake fails and closes it
            self._handler.failed_connection(client, "crowded out before its handshake", malformed=True)
        elif self._connections:
            min(self._connections, key=lambda one: (one.has_asked, one.is_busy, one.began)).crowd_out()

    async def _shake_hands(self, accepted: socket.socket, client: str) -> None:
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.connect_accepted_socket(
                lambda: Connection(client, self._handler, self._http(), self._connections),
                accepted,
                ssl=self._context(),
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
            )
        except (OSError, TimeoutError) as error:
            if asyncio.current_task() in self._handshakes:  # it is not, where it was crowded out
                why, malformed = _why_no_tls(error)
                self._handler.failed_connection(client, why, malformed=malformed)


def most_connections() -> int:
    """Return how many connections are held at a time: each needs two files, and the run needs most of them."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else max(8, min(MOST_CONNECTIONS, soft // 8))


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
        self._http.connection_made(_Transport(self, self._transport))

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


class _Transport(asyncio.Transport):
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


def _listening_socket(address: RegistryAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.create_server((address.host, address.port), family=family, backlog=256)
    listener.settimeout(0)
    return listener
