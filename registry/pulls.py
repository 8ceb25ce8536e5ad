"""What the witness remembers: every request that reached the registry, and every connection that did not become one.

Nothing in here holds a credential. A pull says how what was presented compares with what was configured, by name.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, TypedDict

from foreign import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from registry.classify import Presented

Action = Literal["check", "manifest", "blob", "upload", "tags", "token", "other"]

SESSION_GAP_SECONDS = 1.0
"""Requests of one host that are no further apart belong to one pull of an image."""

_LONGEST_TEXT = 256
_PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|tags|blobs)/(?P<reference>uploads/.*|uploads|[^/]*)")
_ACTIONS: Mapping[str, Action] = {"manifests": "manifest", "blobs": "blob", "tags": "tags"}


@dataclass(frozen=True, slots=True)
class Mark:
    """What was going on: set by the harness before it lets a site do something."""

    phase: str = ""
    cluster: str = ""
    case: str = ""


@dataclass(frozen=True, slots=True)
class Pull:
    """One request as it reached the registry.

    ``client`` is the network address and ``host`` the Edge host known to have it. ``reference`` is a tag or digest.
    A request for a token (``action``) has the path of the token endpoint as its ``repository``; a request with a token
    is told by what that was got with.
    ``status`` is 0 when no answer was given. ``sent`` and ``received`` count bytes of bodies, to and from the client.
    ``account`` is the user name *configured* for the account that was meant; empty when none was recognised.
    ``ended`` says why the exchange did not come to its proper end; it is empty when it did.
    """

    at: dt.datetime
    client: str
    host: str
    user_agent: str
    method: str
    action: Action
    repository: str
    reference: str
    presented: Presented
    account: str = ""
    mark: Mark = field(default_factory=Mark)
    status: int = 0
    sent: int = 0
    received: int = 0
    seconds: float = field(default=0.0, compare=False)  # it runs on until the exchange has ended
    ended: str = ""

    @property
    def phase(self) -> str:
        """The phase in which it came."""
        return self.mark.phase

    @property
    def cluster(self) -> str:
        """The cluster for which it came."""
        return self.mark.cluster

    @property
    def has_credential(self) -> bool:
        """Return whether anything was presented; the first request of many pullers is anonymous by habit."""
        return self.presented.kind != "anonymous"

    @property
    def place(self) -> str:
        """The host, or the address of a client that is no known host."""
        return self.host or self.client

    def __str__(self) -> str:
        what = f"{self.method} {self.repository or '/v2/'} {self.reference}".strip()
        return (
            f"{self.phase or '-'}  {self.place}  {self.user_agent or '-'}  {what}  {self.presented.name}  {self.status}"
        )


@dataclass(frozen=True, slots=True)
class FailedConnection:
    """A connection that ended before there was a request.

    ``malformed`` tells rubbish (no TLS, a request that never ended) from a client that had its reasons, such as
    refusing the certificate.
    """

    at: dt.datetime
    client: str
    host: str
    reason: str
    malformed: bool
    mark: Mark = field(default_factory=Mark)


class OpenRequest:
    """A request under way: the witness writes here as it goes, so that no reader sees less than the client has seen."""

    __slots__ = ("_began", "_told", "ended", "finished", "known", "received", "sent", "status")

    def __init__(self, known: Pull) -> None:
        self.known, self._began = known, time.monotonic()
        self.status = self.sent = self.received = 0
        self.ended = ""
        self.finished: float | None = None
        self._told: Pull | None = None

    def finish(self) -> None:
        """Stop the clock."""
        self.finished = time.monotonic()

    def pull(self) -> Pull:
        """Return what is known by now; of a request that is over it is made once, for runs ask again and again."""
        if self._told is not None:
            return self._told
        finished = self.finished  # first: nothing is written after it
        told = replace(
            self.known,
            status=self.status,
            sent=self.sent,
            received=self.received,
            seconds=(finished or time.monotonic()) - self._began,
            ended=self.ended,
        )
        if finished is not None:
            self._told = told
        return told


@dataclass(frozen=True, slots=True)
class Target:
    """What a request asks for, read from its path."""

    action: Action
    repository: str = ""
    reference: str = ""

    @classmethod
    def of(cls, path: str, *, is_token: bool = False) -> Target:
        """Read the path of the registry API (OCI distribution specification, endpoints), or of its token endpoint."""
        path = path.partition("?")[0]
        if is_token:
            return cls("token", cut(path, _LONGEST_TEXT))
        found = _PATH.fullmatch(path)
        if found is None:
            return cls("check" if path in {"/v2", "/v2/"} else "other")
        reference = found["reference"]
        if found["kind"] == "blobs" and reference.startswith("uploads"):
            return cls("upload", cut(found["repository"], _LONGEST_TEXT))
        return cls(_ACTIONS[found["kind"]], cut(found["repository"], _LONGEST_TEXT), cut(reference, _LONGEST_TEXT))


def printable(text: str) -> str:
    """Return text that can stand in any report: what is not printable ASCII becomes a question mark."""
    return cut("".join(character if " " <= character <= "~" else "?" for character in text), _LONGEST_TEXT)


class RequestLog:
    """All pulls of a run in the order in which they came; safe to read while the witness writes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: list[OpenRequest] = []
        self._failures: list[FailedConnection] = []
        self._hosts: dict[str, str] = {}
        self._marks: dict[str | None, Mark] = {None: Mark()}

    def know_hosts(self, hosts: Mapping[str, str]) -> None:
        """Learn which Edge host has which network address; later knowledge wins, also for later pulls only."""
        with self._lock:
            self._hosts.update(hosts)

    def host_at(self, client: str) -> str:
        """Return the Edge host with this address; empty when none is known."""
        with self._lock:
            return self._hosts.get(client, "")

    def begin(self, mark: Mark, hosts: Iterable[str] | None = None) -> None:
        """From now on requests of these hosts (of all that have no mark of their own) belong to ``mark``."""
        with self._lock:
            self._marks.update(dict.fromkeys(hosts, mark) if hosts is not None else {None: mark})

    @contextlib.contextmanager
    def marked(self, mark: Mark, hosts: Iterable[str] | None = None) -> Iterator[None]:
        """Do so while the context lasts."""
        keys: list[str | None] = [None] if hosts is None else list(hosts)
        with self._lock:
            before = {key: self._marks.get(key) for key in keys}
            self._marks.update(dict.fromkeys(keys, mark))
        try:
            yield
        finally:
            with self._lock:
                for key, former in before.items():
                    if former is None:
                        self._marks.pop(key, None)
                    else:
                        self._marks[key] = former

    def mark_of(self, host: str) -> Mark:
        """Return what is going on for a host."""
        with self._lock:
            return self._marks.get(host, self._marks[None])

    def open(self, known: Pull) -> OpenRequest:
        """Note a request that has just come."""
        running = OpenRequest(known)
        with self._lock:
            self._requests.append(running)
        return running

    def note_failure(self, client: str, reason: str, *, malformed: bool) -> None:
        """Note a connection that did not become a request."""
        host = self.host_at(client)
        failure = FailedConnection(now(), client, host, reason, malformed, self.mark_of(host))
        with self._lock:
            self._failures.append(failure)

    def pulls(self) -> list[Pull]:
        """Return all requests."""
        with self._lock:
            return [running.pull() for running in self._requests]

    def failures(self) -> list[FailedConnection]:
        """Return all connections that did not become a request."""
        with self._lock:
            return list(self._failures)


class Which(TypedDict, total=False):
    """What narrows a question to the journal; what is not given does not."""

    host: str
    phase: str
    case: str
    since: dt.datetime


def matches(record: Pull | FailedConnection, cluster: str | None, which: Which) -> bool:
    """Return whether a record is of this cluster (None: of any) and as narrow as asked for."""
    mark = record.mark
    return (
        cluster in (None, mark.cluster)
        and which.get("host", record.host) in (record.host, record.client)
        and which.get("phase", mark.phase) == mark.phase
        and which.get("case", mark.case) == mark.case
        and ("since" not in which or record.at >= which["since"])
    )


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


def changes(pulls: Iterable[Pull]) -> list[Pull]:
    """Return the pulls that presented something else than what was configured.

    A first request without a credential is how many pullers ask what is wanted; it counts as a change only where the
    same client, in the same phase, never followed it with a credential.
    """
    pulls = list(pulls)
    answered = {(pull.client, pull.mark) for pull in pulls if pull.has_credential}
    changed, silent = [], set()
    for pull in pulls:
        key = (pull.client, pull.mark)
        if pull.has_credential and not pull.presented.intact:
            changed.append(pull)
        elif key not in answered and key not in silent:
            silent.add(key)
            changed.append(pull)
    return changed


@dataclass(frozen=True, slots=True)
class _Session:
    begins: float
    ends: float
    first: Pull


def overlapping(pulls: Iterable[Pull]) -> list[tuple[Pull, Pull]]:
    """Return pairs of pulls (the first request of each) during which two different clients pulled at the same time."""
    sessions = [session for group in _by_client(pulls).values() for session in _sessions(group)]
    sessions.sort(key=lambda session: session.begins)
    return [
        (one.first, other.first)
        for position, one in enumerate(sessions)
        for other in sessions[position + 1 :]
        if one.first.place != other.first.place and other.begins < one.ends
    ]


def _by_client(pulls: Iterable[Pull]) -> dict[str, list[Pull]]:
    groups: dict[str, list[Pull]] = {}
    for pull in pulls:
        groups.setdefault(pull.place, []).append(pull)
    return groups


def _sessions(pulls: list[Pull]) -> Iterator[_Session]:
    session: _Session | None = None
    for pull in sorted(pulls, key=lambda pull: pull.at):
        begins = pull.at.timestamp()
        ends = begins + pull.seconds
        if session is not None and begins <= session.ends + SESSION_GAP_SECONDS:
            session = replace(session, ends=max(session.ends, ends))
            continue
        if session is not None:
            yield session
        session = _Session(begins, ends, pull)
    if session is not None:
        yield session
