"""A small forward proxy on loopback, which tunnels and may ask for a login."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class ForwardProxy:
    """A proxy: its port, the ``login`` it asks for, names that only it knows, and the places it was asked for."""

    port: int
    login: str
    names: Mapping[str, str]
    asked: list[str] = field(default_factory=list)
    refused: int = 0

    @property
    def url(self) -> str:
        """Its URL, without a login."""
        return f"http://127.0.0.1:{self.port}"

    def serve(self, server: socket.socket) -> None:
        """Serve each connection in a thread, until the socket is closed."""
        with suppress(OSError):
            while True:
                client, _ = server.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            if not (piece := client.recv(4096)):
                return client.close()
            request += piece
        first, *headers = request.decode("latin-1").split("\r\n")
        wanted = f"Proxy-Authorization: Basic {base64.b64encode(self.login.encode('latin-1')).decode()}"
        if self.login and wanted not in headers:
            self.refused += 1
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return client.close()
        self.asked.append(first.split()[1])
        host, _, port = self.asked[-1].rpartition(":")
        there = socket.create_connection((self.names.get(host, host), int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((client, there), (there, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()
        return None


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # either side may have closed both
        while piece := source.recv(65536):
            target.sendall(piece)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def forward_proxy(login: str = "", names: Mapping[str, str] | None = None) -> Iterator[ForwardProxy]:
    """Run a proxy."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = ForwardProxy(server.getsockname()[1], login, names or {})
        threading.Thread(target=proxy.serve, args=(server,), daemon=True).start()
        yield proxy
        server.shutdown(socket.SHUT_RDWR)
