"""A relay of TCP connections in front of a Palette: it can stop to pass anything on, or reset what it has."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST = 65536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: closing sends a reset


class Relay:
    """Passes connections to its own address and port on to ``target``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server((target[0], 0))
        self._flows, self._resets = threading.Event(), threading.Event()
        self._flows.set()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    @classmethod
    def to(cls, url: str) -> Self:
        """Return a relay to a URL's address, on the same address, so that its certificate fits."""
        parts = urlsplit(url)
        return cls((str(parts.hostname), int(parts.port or 443)))

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._listener.getsockname()[:2]
        return f"https://{host}:{port}"

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Accept connections and pass nothing on, as a stopped process does."""
        self._flows.clear()
        try:
            yield
        finally:
            self._flows.set()

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Reset every connection, old and new."""
        self._resets.set()
        self._reset(*tuple(self._open))
        try:
            yield
        finally:
            self._resets.clear()

    def close(self) -> None:
        """End everything."""
        self._flows.set()
        self._reset(self._listener, *self._open)

    @staticmethod
    def _reset(*sockets: socket.socket) -> None:
        for each in sockets:
            with suppress(OSError):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes who reads it, and closing does not
            each.close()

    def _accept(self) -> None:
        while self._listener.fileno() >= 0:
            with suppress(OSError):  # it was closed, or whoever connected has gone already
                client, _address = self._listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        if self._resets.is_set():
            self._reset(client)
            return
        self._flows.wait()
        try:
            server = socket.create_connection(self._target)
        except OSError:
            self._reset(client)
            return
        self._open |= {client, server}
        for one, other in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(_MOST):
                self._flows.wait()
                other.sendall(data)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
            self._open.discard(each)
