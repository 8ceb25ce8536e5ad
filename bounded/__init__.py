"""Connections whose answers end: a deadline for the whole of an answer, headers included, and a largest size.

The libraries bound one operation of a socket, so a header that drips, or ``100 Continue`` for ever, has no end.
Everything in the house may import this module.
The size is checked where a body is unpacked, by :func:`whole` or where its pieces are put together.
``http.client`` itself bounds headers.
"""

from __future__ import annotations

import errno
import io
import ssl
import time
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import urllib3
from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from typing_extensions import Buffer

_LONGEST_LINE = 1 << 16
#: Bytes of an answer at most. The largest on record is a log bundle of a cluster, of a few MiB; lists come in pages.
LARGEST_ANSWER = 32 << 20


class AnswerTooLargeError(OSError):
    """An answer went on after the largest size."""


def file_content(path: Path, most: int = 1 << 20) -> bytes:
    """Return what a file has that a user named. Raises OSError, also when it is larger: a device has no end."""
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 10} KiB", str(path))
    return content


class _BoundedReader(io.RawIOBase):
    """Reads one answer from a socket. The socket's time-out is that of the whole answer."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._seconds = sock, sock.gettimeout()
        self._raw = sock.makefile("rb", buffering=0)
        self._end = time.monotonic() + self._seconds if self._seconds else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        if self._end is not None:
            left = self._end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        with suppress(OSError):  # the next request of a kept connection has all the time again
            self._sock.settimeout(self._seconds)
        self._raw.close()
        super().close()


class _BoundedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:  # noqa: ANN401 - http.client's own
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_BoundedReader(sock))

    def _read_status(self) -> tuple[str, int, str]:
        """Pass over interim answers such as 103 (Early Hints); ``http.client`` itself knows 100 only."""
        line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # there is no public way
        while HTTPStatus.SWITCHING_PROTOCOLS < line[1] < HTTPStatus.OK:
            while self.fp.readline(_LONGEST_LINE).strip():
                pass
            line = super()._read_status()  # type: ignore[misc]
        return line


class _Connection(urllib3.connection.HTTPConnection):
    response_class = _BoundedResponse


class _TlsConnection(urllib3.connection.HTTPSConnection):
    response_class = _BoundedResponse


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def bound(manager: urllib3.PoolManager) -> None:
    """Make a pool manager use connections that end."""
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


class BoundedAdapter(HTTPAdapter):
    """The transport adapter of ``requests`` over such connections, directly or by a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - as in requests
        """Use connections that end, and certificates as Go does."""
        super().init_poolmanager(*args, **{"ssl_context": lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), **options})
        bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - as in requests
        """Use connections that end, and certificates as Go does."""
        options = {"ssl_context": lenient(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)), **options}
        manager = super().proxy_manager_for(proxy, **options)
        bound(manager)
        return manager


def lenient(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a context as strict as Go's, which pulls images: an intermediate authority may be trusted by itself."""
    flags = context.verify_flags | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags = flags & ~getattr(ssl, "VERIFY_X509_STRICT", 0)  # Python 3.13 has set it
    return context


def trusting(authorities: str | None) -> ssl.SSLContext:
    """Return a context that trusts these certificates (PEM) and no others; None: those of the machine."""
    if authorities is None:
        return lenient(ssl.create_default_context())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authorities)
    return lenient(context)


def whole(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Return the unpacked body of an answer. Raises AnswerTooLargeError."""
    found = answer.read(LARGEST_ANSWER + 1)
    if len(found) > LARGEST_ANSWER:
        raise AnswerTooLargeError
    return found
