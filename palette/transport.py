"""Requests on the wire: one session factory, one way to send, one way to turn an answer into a value or an error."""

from __future__ import annotations

import base64
import ipaddress
import json
import re
import threading
import weakref
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, unquote, urlsplit

import requests
import urllib3

from bounded import LARGEST_ANSWER, AnswerTooLargeError, BoundedAdapter
from bounded.failures import connection_failure
from palette.answers import Answer, decoded, refusal
from palette.clock import Clock
from palette.errors import NeverTouchError, NotFoundError, NotPaletteError, PaletteError, ServerError, UnreachableError
from palette.limits import Limits
from palette.published import oddities
from palette.reading import text
from palette.retry import may_repeat
from palette.waiting import Timeouts
from protected import Secret
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


USER_AGENT = "palette-edge-conformance"
_CHUNK = 65536
_BY_CHANCE = 3
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")
_CENTURY = 100 * 365.25 * 86400


@dataclass(frozen=True)
class Call:
    """One request as its sender means it.

    ``in_project`` says that the resource belongs to a project: only then ``ProjectUid`` is sent. ``repeatable`` says
    that carrying it out twice is the same as once; by default that is so for everything but POST and PATCH.
    """

    method: str
    path: str
    query: Mapping[str, str | int | bool | None] = field(default_factory=dict)
    body: Any = field(default=None, repr=False)
    in_project: bool = True
    repeatable: bool | None = None

    @property
    def may_happen_twice(self) -> bool:
        """Whether a lost answer allows to send the request again."""
        return self.method not in ("POST", "PATCH") if self.repeatable is None else self.repeatable

    @property
    def changes_something(self) -> bool:
        """Whether the request leaves Palette in another state (a search is a POST that does not)."""
        return self.method != "GET" and self.repeatable is not True


def checked_url(url: str) -> str:
    """Return the base URL without a slash at its end, or say what is wrong with it.

    The key travels in a header, so plain HTTP is accepted for this machine's own addresses only.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"Palette URL {url!r}: write https://host[:port], for instance https://api.spectrocloud.com")
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"Palette URL for {parts.hostname}: credentials do not belong into the URL; give an API key")
    if parts.query or parts.fragment or parts.path.rstrip("/"):
        raise ValueError(f"Palette URL {url!r}: leave out everything after the host; /v1/... is added by the client")
    if parts.port == 0:  # asking for the port also refuses one that is no number or too large
        raise ValueError(f"Palette URL {url!r}: port 0 cannot be reached")
    if parts.scheme == "http" and not _is_this_machine(parts.hostname):
        raise ValueError(f"Palette URL {url!r}: the API key would travel in clear; write https://")
    return f"{parts.scheme}://{parts.netloc}"


def check_key(key: Secret) -> None:
    """Refuse a key that cannot be sent as a header, without showing it as the HTTP library would."""
    if not _HEADER_VALUE.fullmatch(key.reveal()):
        raise ValueError(
            f"the API key ({key}) is empty or holds blanks at an end, line breaks or characters outside ASCII;"
            " a trailing newline from a file is the usual cause"
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _Session(requests.Session):
    """A session that takes no redirect, not even apart: the library raises what it likes for a bad ``Location``."""

    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - as in requests
        """Return None: nothing is followed."""
        return


def new_session(authority: Path | None, proxy: str | None) -> requests.Session:
    """Make the only kind of session this package uses.

    ``trust_env`` is off because an environment's ``REQUESTS_CA_BUNDLE`` silently replaces ``verify``.
    """
    session = _Session()
    session.trust_env = False
    session.verify = True if authority is None else str(authority)
    session.proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    for scheme in ("http://", "https://"):
        session.mount(scheme, BoundedAdapter())
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json, application/octet-stream;q=0.9"})
    return session


@dataclass
class Transport:
    """The way to one Palette endpoint, usable by several threads at once."""

    url: str
    api_key: Secret
    authority: Path | None = None
    proxy: str | None = field(default=None, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    limits: Limits = field(default_factory=Limits)
    clock: Clock = field(default_factory=Clock)
    never_change: frozenset[str] = frozenset()
    """Uids of what is somebody else's: a request that would change one of them is refused here and never sent."""

    clock_difference: float | None = None
    """Palette's clock minus this machine's, seconds; known after the first answer, good to about a second."""

    odd: dict[str, None] = field(default_factory=dict)
    """What was not as it is read or published about answers so far, a sentence each."""

    gone: bool = False
    """Whether the last request was given up for good: until there is an answer again each has one attempt only."""

    _local: threading.local = field(default_factory=threading.local, repr=False)
    _sessions: weakref.WeakSet[requests.Session] = field(default_factory=weakref.WeakSet, repr=False)

    def __post_init__(self) -> None:
        """Refuse an unusable URL or authority before anything is sent."""
        self.url = checked_url(self.url)
        check_key(self.api_key)
        if self.authority is not None and not self.authority.exists():
            raise ValueError(
                f"authority {str(self.authority)!r} does not exist; name a PEM file of the authorities to trust"
            )

    def close(self) -> None:
        """Close every connection."""
        for session in list(self._sessions):
            session.close()
        self._local = threading.local()

    def palette_time(self) -> datetime | None:
        """Return Palette's own time as far as it is known from its answers, good to about a second; else None."""
        if self.clock_difference is None:
            return None
        return datetime.fromtimestamp(self.clock.wall() + self.clock_difference, UTC)

    def send(self, call: Call, project_uid: str | None = None) -> Answer:
        """Send until there is an answer or the retry policy is used up, which is waited for once in an outage.

        Raises the PaletteError that says what went wrong last.
        """
        self._refuse_to_change(call)
        began, attempt, maybe_done = self.clock.now(), 1, False
        while True:
            outcome = self._attempt(call, project_uid)
            away = isinstance(outcome, (ServerError, UnreachableError))
            self.gone = self.gone and away
            if isinstance(outcome, Answer):
                return outcome
            if isinstance(outcome, NotFoundError) and call.method == "DELETE" and maybe_done:
                return Answer(204, {}, b"")  # an attempt whose answer was lost has done it
            maybe_done = maybe_done or outcome.outcome_unknown
            elapsed = self.clock.now() - began
            pause = self.retry.pause_after(attempt, elapsed=elapsed, asked=outcome.retry_after)
            may = may_repeat(outcome, repeatable=call.may_happen_twice)
            if pause is None or self.gone or not may:
                self.gone = away and may
                outcome.outcome_unknown = maybe_done and call.changes_something
                raise outcome
            self.clock.sleep(pause)
            attempt += 1

    def _refuse_to_change(self, call: Call) -> None:
        named = self.never_change.intersection(map(unquote, call.path.split("/")))
        if named and call.changes_something:
            uid = ", ".join(sorted(named))
            raise NeverTouchError(method=call.method, path=call.path, message=f"{uid} must never be touched")

    def _attempt(self, call: Call, project_uid: str | None) -> Answer | PaletteError:
        self.limits.take(call.path, self.clock)
        began = self.clock.wall()
        outcome = self._exchange(call, self._headers(call, project_uid))
        if not isinstance(outcome, Answer):
            return outcome
        self._note_clock(outcome, (began + self.clock.wall()) / 2)
        return refusal(call.method, call.path, outcome) or outcome

    def _headers(self, call: Call, project_uid: str | None) -> dict[str, Secret | str]:
        headers: dict[str, Secret | str] = {"ApiKey": self.api_key}
        if call.in_project and project_uid is not None:
            headers["ProjectUid"] = project_uid
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        return headers

    def _exchange(self, call: Call, headers: Mapping[str, Secret | str]) -> Answer | PaletteError:
        try:
            return self._converse(call, headers)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = connection_failure(error)
        # Raised later and elsewhere: the library's exception keeps the request with its headers and body.
        return UnreachableError(
            method=call.method,
            path=call.path,
            message=self._scrub(failure.message),
            code=failure.code,
            outcome_unknown=failure.maybe_done,
        )

    def _converse(self, call: Call, headers: Mapping[str, Secret | str]) -> Answer:
        response = self._session(fresh=not call.may_happen_twice).request(
            call.method,
            self.url + call.path,
            params={key: _query_value(value) for key, value in call.query.items() if value is not None},
            data=None if call.body is None else encoded(call.body),
            headers={name: _revealed(value) for name, value in headers.items()},
            timeout=(self.timeouts.connect, self.timeouts.answer),
            allow_redirects=False,  # the library would carry the ApiKey header to the other host
            stream=True,
        )
        with response:
            content = _content(cast("urllib3.HTTPResponse", response.raw))
            return Answer(response.status_code, dict(response.headers), content, response.reason or "", self._scrub)

    def _session(self, *, fresh: bool) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = new_session(self.authority, self.proxy)
            self._sessions.add(session)
        elif fresh:
            # An idle connection may be closed by the server at the moment of use, and then nobody knows whether the
            # request was read. For what must not happen twice a handshake is cheaper than that doubt.
            session.close()
        return cast("requests.Session", session)

    def _note_clock(self, answer: Answer, middle: float) -> None:
        said = decoded(lambda: parsedate_to_datetime(answer.header("Date")).timestamp())
        if said is not None and abs(said - middle) < _CENTURY:
            # The header has whole seconds, cut off: half a second is the best guess for the rest.
            self.clock_difference = said + 0.5 - middle

    def _scrub(self, text: str) -> str:
        return scrubbed(text, (self.api_key,))


def _content(raw: urllib3.HTTPResponse) -> bytes:
    """Read the rest of an answer; what is packed may not be larger than what is not."""
    content = bytearray()
    while chunk := raw.read1(_CHUNK, decode_content=True):
        content += chunk
        if len(content) > LARGEST_ANSWER:
            raise AnswerTooLargeError
    return bytes(content)


def scrubbed(text: str, protected: Iterable[Secret]) -> str:
    """Replace every protected value in ``text`` by its fingerprint; Palette may quote what it was sent.

    Values of three characters or fewer are left: they occur by chance, and nothing of that length is a secret.
    """
    for secret in sorted(protected, key=lambda secret: -len(secret.reveal())):
        if len(secret.reveal()) > _BY_CHANCE:
            for form in _forms(secret.reveal()):
                text = text.replace(form, str(secret))
    return text


def _forms(value: str) -> list[str]:
    """Return the forms in which a value may be quoted, longest first: as it is, percent-encoded, hex, base64.

    In base64 it may stand behind other bytes, as in the header of a login, so that its first digits vary.
    """
    raw = value.encode()
    found = {value, quote(value, safe=""), json.dumps(value)[1:-1], raw.hex(), raw.hex().upper()}
    for before in range(3):
        whole = base64.b64encode(bytes(before) + raw).decode().rstrip("=")
        steady = whole[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]  # digits that hold no bit of a neighbour
        found |= {steady, steady.translate(str.maketrans("+/", "-_"))}
    return sorted((form for form in found if len(form) > _BY_CHANCE), key=len, reverse=True)


def encoded(body: object) -> bytes:
    """Return the JSON of a body; protected secrets in it are revealed here and nowhere before."""
    return json.dumps(body, default=_revealed, allow_nan=False).encode("ascii")


def _revealed(value: object) -> str:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, str):
        return value
    raise TypeError(f"a request body holds a {type(value).__name__}; only JSON values and Secret can be sent")


def _query_value(value: str | int | bool) -> str:  # noqa: FBT001 - a value of a query, not a switch
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Scope:
    """A transport and the project its project-scoped requests are for; what every noun stands on."""

    transport: Transport
    project_uid: str | None = None

    def send(self, call: Call) -> Answer:
        """Send one request in this scope."""
        return self.transport.send(call, self.project_uid)

    def ask(self, call: Call) -> dict[str, Any]:
        """Send and give the JSON object of the answer.

        Raises NotPaletteError when the answer is no JSON object.
        """
        answer = self.send(call).object(call.method, call.path)
        self.transport.odd.update(dict.fromkeys(oddities(call.method, call.path, answer)))
        return answer

    def make(self, call: Call) -> str:
        """Send a creation and return the uid of what was made. Raises NotPaletteError when the answer has none."""
        answer = self.send(call)
        made = text(answer.object(call.method, call.path), "uid")
        if made.strip(".") == "":
            raise NotPaletteError(
                method=call.method,
                path=call.path,
                status=answer.status,
                message=f"expected the uid of what was made, got {answer.shown()}",
                outcome_unknown=True,
            )
        return made
