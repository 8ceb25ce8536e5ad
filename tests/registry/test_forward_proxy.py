"""A registry that is reached through a proxy: only there, and its certificate is checked as it is without one."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import requests

from doctor.listener import listening
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.tls import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """Run a proxy that tunnels one connection after the other; yields its URL and what it was asked."""
    asked: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_tunnel, args=(server, asked), daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", asked


def _tunnel(server: socket.socket, asked: list[str]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:  # the test is over
            return
        asked.append(client.recv(4096).decode().partition("\r\n")[0])
        host, _, port = asked[-1].split()[1].rpartition(":")
        there = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        for source, target in ((client, there), (there, client)):
            threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with source, target, suppress(OSError):  # either side may have closed both
        while piece := source.recv(4096):
            target.sendall(piece)


def test_a_registry_behind_a_proxy_is_asked_through_it_and_its_authority_is_checked() -> None:
    """The tunnel leads to the registry, and a certificate of another authority is refused there as well."""
    with listening("127.0.0.1", 0, ()) as registry, proxy() as (url, asked):
        address = RegistryAddress("127.0.0.1", registry.port)
        with RegistryClient(address, authorities=registry.trusted, proxy=url) as client:
            client.login()
        with (
            RegistryClient(address, authorities=Authority().pem, proxy=url) as client,
            pytest.raises(requests.exceptions.SSLError),
        ):
            client.login()

    assert set(asked) == {f"CONNECT {address} HTTP/1.0"} or set(asked) == {f"CONNECT {address} HTTP/1.1"}
