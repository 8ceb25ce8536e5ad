"""Error events: why a pull fails, and whether the failure stays.

An error event is a hint. A controller may write one for what it tries again and gets right a moment later, and its
text may be cut to its first line. So the state that remains decides, and the witness is asked for the cause as well.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from harness.clusters import Cluster
    from palette.events import Event


class ErrorCause(Enum):
    """Why a pull is expected to fail."""

    LOGIN = "a refused login"
    MISSING = "an image that is not there"
    TLS = "TLS"
    UNREACHABLE = "a registry that does not answer"

    @property
    def expectation(self) -> str:
        """What the case had arranged."""
        return _EXPECTATIONS[self]

    def is_named_in(self, message: str) -> bool:
        """Return whether an event's text gives this cause."""
        told = _ADDRESS.sub("", message.lower())
        return any(re.search(rf"\b{word}\b" if word.isdigit() else re.escape(word), told) for word in _WORDS[self])

    def shows_in(self, statuses: Collection[int]) -> bool:
        """Return whether the answers that a registry gave fit this cause."""
        fitting = _STATUSES[self]
        return not fitting or not fitting.isdisjoint(statuses)


_WORDS = {
    ErrorCause.LOGIN: ("unauthorized", "401", "403", "forbidden", "denied", "authenti", "authoriz", "auth "),
    ErrorCause.MISSING: ("not found", "404", "manifest unknown", "name unknown", "no such"),
    ErrorCause.TLS: ("certificate", "x509", "tls", "http response to https"),
    ErrorCause.UNREACHABLE: ("connect", "refused", "reset", "timeout", "timed out", "unreachable", "no route", "eof"),
}
#: An image or a URL, whose port, name and tag may hold any of these.
_ADDRESS = re.compile(r'[\w-]*(?:\.[\w.-]+|:\d{1,5}|:/)(?::\d{1,5})?/[^\s"]*')
_EXPECTATIONS = {
    ErrorCause.LOGIN: "its login cannot work",
    ErrorCause.MISSING: "that image is not there",
    ErrorCause.TLS: "the registry's certificate is not to be trusted",
    ErrorCause.UNREACHABLE: "no registry answers there",
}
#: What a witness sees of each; of TLS and silence it sees nothing.
_STATUSES: dict[ErrorCause, frozenset[int]] = {
    ErrorCause.LOGIN: frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}),
    ErrorCause.MISSING: frozenset({HTTPStatus.NOT_FOUND}),
    ErrorCause.TLS: frozenset(),
    ErrorCause.UNREACHABLE: frozenset(),
}


_OUT_OF = ("ENOSPC", "EDQUOT", "EIO", "EROFS", "ENOMEM", "EAGAIN", "EMFILE", "ENFILE")
_SHORTAGES = {getattr(errno, name) for name in _OUT_OF}
#: What is said where nothing can be written any more.
DISK = ("No space left", "Disk quota exceeded", "Input/output error", "Read-only file system")
#: What an event says where the node had nothing to pull with, or its machine no room, no memory or no name server.
_NO_RUNTIME = re.compile(
    r"unknown service runtime\.v\w+\.(Image|Runtime)Service|containerd\.sock: connect: "
    r"|failed to create inotify|too many open files|cannot allocate memory|resource temporarily unavailable"
    r"|temporary failure in name resolution"
    r"|lookup \S{1,253}( on \S{1,99})?: (server misbehaving|[^\n]{0,200}i/o timeout)"
    rf"|toomanyrequests|too many requests|{'|'.join(DISK)}",
    re.IGNORECASE,
)


def is_of_the_machine(message: str) -> bool:
    """Return whether an event tells of a node that cannot pull yet, or any more: that is no answer to any pull."""
    return bool(_NO_RUNTIME.search(message))


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an exception says that this machine has run out of disk, memory, processes or files."""
    if isinstance(error, OSError):
        return error.errno in _SHORTAGES
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "start new thread" in str(error))


def causes_of(message: str) -> list[ErrorCause]:
    """Return every cause that an event's text gives; none when it was cut before it came to that."""
    return [cause for cause in ErrorCause if cause.is_named_in(message)]


@dataclass(frozen=True)
class Outcome:
    """One look at a cluster: whether it came right, the error events so far, and whether that is its last word."""

    is_done: bool
    errors: list[Event]
    is_settled: bool

    def __str__(self) -> str:
        return "done" if self.is_done else f"{len(self.errors)} errors" if self.errors else "under way"


#: How much longer an error that is told once only may take to come right: what failed is not tried again as it was.
TOLD_ONCE = 3


class ErrorWatch:
    """Looks at a cluster until it has come right, or an error has stayed.

    It stays when it is told again and ``Timeouts.stale_state`` have passed since the first time. One that is not told
    again has three times as long: something else may have been tried instead. What the registry serves after an error
    is a later try on its way: it may take half of ``within`` to come right. A node that cannot pull yet, such as one
    whose container runtime comes up late on a busy machine, has all the time that there is.
    """

    def __init__(self, cluster: Cluster, is_done: Callable[[], bool], about: str, within: float) -> None:
        self._cluster, self._is_done, self._about = cluster, is_done, about
        self._wait, self._longest = cluster.site.project.clusters.wait, within / 2
        self._first: float | None = None
        self._told = self._served_before = 0

    def look(self) -> Outcome:
        """Look once. Raises PaletteError."""
        is_done = self._is_done()
        told = self._cluster.errors_about(self._about) if self._about else self._cluster.errors()
        errors = [event for event in told if not is_of_the_machine(event.message)]
        served = sum(pull.is_served for pull in self._cluster.site.evidence.pulls_of(self._cluster))
        now = self._wait.clock.now()
        if errors and self._first is None:
            self._first = now
        if len(errors) != self._told:
            self._told, self._served_before = len(errors), served
        patience = self._wait.timeouts.stale_state * (1 if len(errors) > 1 else TOLD_ONCE)
        if served > self._served_before:
            patience = max(patience, self._longest)
        stayed = self._first is not None and now - self._first >= patience
        return Outcome(is_done, errors, is_done or stayed)
