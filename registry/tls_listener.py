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
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web

from registry.tls_connection import HEADER_SECONDS, LONGEST_HEADER, MOST_FIELDS, Connection, Handler, RecordingTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from registry.address import RegistryAddress
    from registry.tls import ServerCertificate

HANDSHAKE_SECONDS = 10.0
"""How long a TLS handshake may take."""

IDLE_SECONDS = 60.0
"""How long a kept-alive connection may be idle."""

READ_AHEAD = 1 << 20
"""Bytes that may wait in memory per direction of a connection."""

MOST_CONNECTIONS = 512
"""Connections at a time; fewer where the process may not open eight times as many files."""

_GOODBYE_SECONDS = 0.2
_TICK_SECONDS = 0.002
_PAUSE_SECONDS = 0.05  # after an accept that failed
_SILENCE = logging.Logger("witness")  # noqa: LOG001 - made by hand, it has no parent that could print
_SILENCE.addHandler(logging.NullHandler())


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
    connection = cast("RecordingTransport", request.transport).connection
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
