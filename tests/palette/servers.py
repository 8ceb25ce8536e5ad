"""Small real HTTP servers that misbehave in one way each; every behaviour is a function of the open request."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from registry.tls import ServerCertificate


@dataclass
class Request:
    """One request as it came, and the means to answer it well or badly."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes
    handler: BaseHTTPRequestHandler = field(repr=False)
    stop: threading.Event = field(repr=False)

    @property
    def path(self) -> str:
        """The path without the query."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The query, decoded."""
        return dict(parse_qsl(urlsplit(self.url).query, keep_blank_values=True))

    @property
    def body(self) -> Any:  # noqa: ANN401 - any JSON value
        """The decoded JSON body, or None."""
        return json.loads(self.content) if self.content else None

    def send(self, status: int, content: bytes = b"", /, **headers: str) -> None:
        """Send a whole answer; underscores in header names stand for hyphens."""
        handler = self.handler
        handler.send_response_only(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("Date", formatdate(usegmt=True))
        if status != 204:
            named.setdefault("Content-Length", str(len(content)))
        for name, value in named.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content if self.method != "HEAD" else b"")
        handler.wfile.flush()


def answer(value: object = None, status: int = 200, **headers: str) -> Callable[[Request], None]:
    """Answer properly with JSON (or without a body for None)."""

    def act(request: Request) -> None:
        if value is None:
            request.send(status if status != 200 else 204, **headers)
        else:
            headers.setdefault("Content_Type", "application/json")
            request.send(status, json.dumps(value).encode(), **headers)

    return act


def refuse(
    status: int, code: str = "SomeCode", message: str = "some words", **headers: str
) -> Callable[[Request], None]:
    """Answer with Palette's error envelope."""
    return answer({"code": code, "message": message, "details": {}, "ref": "ref-1"}, status, **headers)


def page(status: int, content: bytes, kind: str = "text/html") -> Callable[[Request], None]:
    """Answer with something that is not JSON."""
    return lambda request: request.send(status, content, Content_Type=kind)


def reset(request: Request) -> None:
    """Reset the connection after the request was read, without an answer."""
    request.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _end(request)


def hang_up(request: Request) -> None:
    """Close the connection after the request was read, without an answer."""
    _end(request)


def cut_off(request: Request) -> None:
    """Announce more than is sent, and close."""
    request.send(200, b'{"items": [', Content_Length="1000", Content_Type="application/json")
    _end(request)


def half_close(request: Request) -> None:
    """Shut the writing side in the middle of a chunked answer and keep the connection open."""
    request.send(200, b'5\r\n{"ite\r\n', Transfer_Encoding="chunked", Content_Type="application/json")
    request.handler.connection.shutdown(socket.SHUT_WR)
    request.handler.close_connection = True
    request.stop.wait(10)


def silent(request: Request) -> None:
    """Never answer."""
    request.handler.close_connection = True
    request.stop.wait(10)


def _end(request: Request) -> None:
    request.handler.close_connection = True
    request.handler.rfile.close()
    request.handler.wfile.close()
    request.handler.connection.close()


@dataclass
class Server:
    """A running server: its URL and what it was asked."""

    url: str
    requests: list[Request] = field(default_factory=list)

    @property
    def port(self) -> int:
        """The port on which it listens."""
        return int(self.url.rpartition(":")[2])

    @property
    def asked(self) -> list[str]:
        """Method and path of every request, in order."""
        return [f"{request.method} {request.path}" for request in self.requests]


def in_turn(*behaviours: Callable[[Request], None]) -> Callable[[Request], None]:
    """Behave in the given ways one after the other; the last one stays."""
    waiting = list(behaviours)
    guard = threading.Lock()

    def act(request: Request) -> None:
        with guard:
            behaviour = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        behaviour(request)

    return act


@contextmanager
def serving(
    behaviour: Callable[[Request], None], *, certificate: ServerCertificate | None = None, host: str = "127.0.0.1"
) -> Iterator[Server]:
    """Run a server on a free port, with TLS when a certificate is given."""
    stop = threading.Event()
    got: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20
        wbufsize = -1  # one packet for head and body, or delayed acknowledgements cost 40 ms

        def handle_any(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            request = Request(self.command, self.path, dict(self.headers.items()), content, self, stop)
            got.append(request)
            behaviour(request)

        do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815 - http.server names them so

        def log_message(self, *_args: object) -> None:
            """Keep quiet."""

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                return  # a behaviour has closed the connection

    server = _Quiet((host, 0), Handler)
    server.certificate = certificate
    scheme = "http" if certificate is None else "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Server(f"{scheme}://{host}:{server.server_address[1]}", got)
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


class _Quiet(ThreadingHTTPServer):
    """A server that wraps connections in their own thread and says nothing of clients that go away."""

    daemon_threads = True
    block_on_close = False
    certificate: ServerCertificate | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own types
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.certificate.load_into(context)
            request = context.wrap_socket(request, server_side=True)
        try:
            super().finish_request(request, client_address)
        finally:
            request.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - socketserver's own types
        """Print nothing: the client is the one under test."""
