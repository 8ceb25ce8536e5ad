"""What a connection that failed is called: a code for programs, a sentence for people, and what it leaves open.

The sentences are ours: those of the libraries hold whole URLs and the addresses of objects in memory.
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, NamedTuple

import requests
import urllib3

from bounded import LARGEST_ANSWER, AnswerTooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator


class ConnectionFailure(NamedTuple):
    """Why a request got no answer, and whether it may have been carried out."""

    code: str
    message: str
    maybe_done: bool


def connection_failure(error: Exception) -> ConnectionFailure:
    """Return what the exception of a library means."""
    causes = list(_causes(error))
    for kinds, failure in _FAILURES:
        for cause in causes:
            if isinstance(cause, kinds):
                return failure._replace(message=failure.message + _detail(cause))
    return ConnectionFailure("Connection", f"the connection failed ({type(error).__name__})", maybe_done=True)


_FAILURES: tuple[tuple[tuple[type[BaseException], ...], ConnectionFailure], ...] = tuple(
    (kinds, ConnectionFailure(code, message, maybe_done))
    for kinds, code, message, maybe_done in (
        ((ssl.SSLCertVerificationError,), "TLS", "the server's certificate is not accepted", False),
        ((socket.gaierror,), "Name", "the host name cannot be resolved", False),
        ((ConnectionRefusedError,), "Refused", "nothing listens at this address and port", False),
        ((urllib3.exceptions.ProxyError,), "Proxy", "the proxy did not let the connection through", False),
        ((urllib3.exceptions.ConnectTimeoutError,), "ConnectTimeout", "no connection within the time-out", False),
        ((urllib3.exceptions.NewConnectionError,), "Connection", "no connection could be made", False),
        # An end without a farewell can come in the handshake and long after the request was sent alike.
        ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError), "Reset", "the connection ended", True),
        ((ssl.SSLError, requests.exceptions.SSLError), "TLS", "the TLS handshake failed", False),
        (
            (urllib3.exceptions.ReadTimeoutError, requests.exceptions.ReadTimeout, TimeoutError),
            "Timeout",
            "no complete answer within the time-out",
            True,
        ),
        ((AnswerTooLargeError,), "TooLarge", f"the answer is larger than {LARGEST_ANSWER >> 20} MiB", True),
        ((urllib3.exceptions.DecodeError,), "Encoding", "the answer is not packed as its headers say", True),
        ((urllib3.exceptions.IncompleteRead,), "CutOff", "the connection ended in the middle of the answer", True),
        ((ConnectionError, urllib3.exceptions.ProtocolError), "Reset", "the connection ended before an answer", True),
    )
)


def _detail(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f": {cause.verify_message}"
    return f": {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Walk from the innermost cause outwards; the libraries keep causes in arguments as well as in the chain."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        item = waiting.pop()
        if isinstance(item, BaseException) and item not in seen:
            seen.append(item)
            waiting += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
    yield from reversed(seen)
