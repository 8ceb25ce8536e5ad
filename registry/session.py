"""How a registry is asked: over one TLS session, with the login that it wants, with patience and within bounds.

A login is given by Basic or, where the registry asks for it, by a token that its token endpoint gives for it.
Every answer has a deadline and a largest size, and whatever a decoder raises becomes :exc:`RegistryError`.
"""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from bounded import BoundedAdapter, trusting
from registry.address import HTTPS_PORT, RegistryAddress, is_of_one_family
from registry.manifests import LARGEST_DOCUMENT, LoginRefused, RegistryError, json_object
from waiting.retry import RetryPolicy, asked_pause

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from protected import Secret

T = TypeVar("T")

CONNECT_SECONDS = 10.0
"""How long a connection may take."""

READ_SECONDS = 120.0
"""How long an answer may take, its header and a document included: a registry hashes a pushed blob before it."""

BLOB_SECONDS = 3600.0
"""How long a blob may take."""

LARGEST_BLOB = 64 << 30
"""Bytes of a blob."""

_CHUNK = 1 << 18
_CUT_UPLOAD = "the connection ended in the middle of an upload; a proxy there may allow smaller ones only"
_MOST_REDIRECTS = 5
_NOT_ATTEMPTED = frozenset({429, 503})
_PLAIN_FAILURE = 500
_NO_TOKEN = frozenset({400, 401, 403})
_REFUSED_ANSWERS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ValueError,  # also of Unicode and JSON
)


class RegistrySession:
    """Asks one registry as one account; without a user name anonymously.

    ``authorities`` are the certificates to trust, PEM, and no others; without them the machine's are trusted.
    """

    def __init__(
        self,
        address: RegistryAddress,
        username: str | None,
        password: Secret,
        authorities: str | None,
        proxy: str | None,
        retry: RetryPolicy,
    ) -> None:
        self._address, self._username, self._password, self._retry = address, username, password, retry
        self._session = _session(authorities)
        self._session.proxies = {} if proxy is None else {"https": proxy}
        self._place = (urlsplit(address.url).hostname, address.port)
        self._basic = False
        self._tokens: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    @property
    def has_token(self) -> bool:
        """Whether a token was given: the password is right, whatever else is refused."""
        return bool(self._tokens)

    def is_here(self, url: str) -> bool:
        """Return whether a URL is the registry's own."""
        target = urlsplit(url)
        place = target.scheme, target.hostname, target.port or HTTPS_PORT
        return "@" not in target.netloc and place == ("https", *self._place)  # a login in a URL would replace ours

    def request(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        **more: Any,  # noqa: ANN401 - requests' own
    ) -> requests.Response:
        """Ask until there is an answer: a login that is asked for is given, and what may be repeated is."""
        url = joined(self._address.url, path, method)
        call = _Call(method, url, scope, dict(headers or {}), stream, more)
        tried = set[str]()

        def ask() -> requests.Response:
            while (response := self._logging_in(call, tried)) is None:
                pass
            return response

        return self.patiently(ask, repeats=call.may_repeat, is_safe=call.is_safe)

    def patiently(self, act: Callable[[], T], *, repeats: bool, is_safe: bool = True) -> T:
        """Do something until it succeeds. ``is_safe`` says whether it may be done again after it was begun."""
        began, attempt = time.monotonic(), 1
        while True:
            try:
                return act()
            except RegistryError as error:
                again = error.status in _NOT_ATTEMPTED or (is_safe and error.status > _PLAIN_FAILURE)
                pause = self._retry.pause_after(attempt, elapsed=time.monotonic() - began, asked=error.retry_after)
                if pause is None or not (again and repeats):
                    raise
            except (requests.ConnectionError, requests.Timeout) as error:
                # requests keeps the whole request, with its login; the first attempt tells what is away
                error.request = None
                pause = self._retry.pause_after(attempt, elapsed=time.monotonic() - began)
                if pause is None or not (is_safe and repeats and _broke_off(error)):
                    raise
            time.sleep(pause)
            attempt += 1

    def _logging_in(self, call: _Call, tried: set[str]) -> requests.Response | None:
        """Ask once; return None after a refusal that told how to log in."""
        try:
            return self._follow(call)
        except RegistryError as error:
            if error.status == HTTPStatus.UNAUTHORIZED and call.may_repeat and self._learn(error, call, tried):
                return None
            raise

    def _follow(self, call: _Call) -> requests.Response:
        """Ask once, and follow redirects of what is read: over TLS, and with the login only where it belongs."""
        url = call.url
        for _ in range(_MOST_REDIRECTS):
            response = self._ask(call, url)
            if not response.is_redirect:
                return response
            if call.method == "HEAD":  # storage behind it is often signed for GET only; the registry has said enough
                return response
            location = response.headers["Location"]
            response.close()
            url = joined(url, location, call.line)
            if call.method != "GET" or urlsplit(url).scheme != "https":
                where = url.partition("?")[0]
                raise RegistryError(
                    call.line, response.status_code, f"redirects to {where}; the harness does not follow"
                )
        raise RegistryError(call.line, 0, f"more than {_MOST_REDIRECTS} redirects")

    def _ask(self, call: _Call, url: str) -> requests.Response:
        told = {"Accept-Encoding": "identity", **call.headers, **self._authorization(url, call.scope)}
        seconds = BLOB_SECONDS if call.stream else READ_SECONDS
        try:
            response = self._session.request(
                call.method,
                url,
                headers=told,
                timeout=(CONNECT_SECONDS, seconds),
                allow_redirects=False,
                stream=True,
                **call.more,
            )
            if not (call.stream and response.ok):
                _load(response, call.line)
        except (requests.ConnectionError, requests.Timeout) as error:
            if call.may_repeat or "EOF occurred" not in str(error):
                raise
            # TLS calls it an error of its own, which in a handshake is another trouble
            raise requests.ConnectionError(urllib3.exceptions.ProtocolError(_CUT_UPLOAD)) from None
        except _REFUSED_ANSWERS as error:
            raise RegistryError(call.line, 0, f"an answer that cannot be read ({type(error).__name__})") from None
        if response.ok:
            return response
        headers = response.headers
        raise RegistryError(
            call.line,
            response.status_code,
            _what_it_said(response),
            headers.get("WWW-Authenticate", ""),
            asked_pause(headers.get("Retry-After", ""), headers.get("Date", "")),
        )

    def _authorization(self, url: str, scope: str) -> dict[str, str]:
        if not self.is_here(url):
            return {}  # what was asked for may be elsewhere; the credential does not go there
        if scope in self._tokens:
            return {"Authorization": f"Bearer {self._tokens[scope]}"}
        return {"Authorization": self._basic_value()} if self._basic else {}

    def _basic_value(self) -> str:
        # by hand: requests would encode it as Latin-1, registries compare UTF-8
        pair = f"{self._username}:{self._password.reveal()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _learn(self, error: RegistryError, call: _Call, tried: set[str]) -> bool:
        """Learn from a refusal how to log in; returns whether that is something new to try. Tokens go before Basic."""
        if self._username is None:
            return False
        offered = {challenge.scheme: challenge for challenge in reversed(error.challenges)}
        if "bearer" in offered and "bearer" not in tried:
            self._tokens[call.scope] = self._token(offered["bearer"].parameters, call.scope, call.line)
            tried.add("bearer")
            return True
        if "basic" in offered and "basic" not in tried and (not self._basic or call.scope in self._tokens):
            tried.add("basic")
            self._tokens.pop(call.scope, None)
            self._basic = True
            return True
        return False

    def _token(self, challenge: Mapping[str, str], scope: str, line: str) -> str:
        if not challenge.get("realm"):
            raise RegistryError(line, 0, "asks for a token and names no realm where to get it")
        realm = joined(self._address.url, challenge["realm"], line)
        if urlsplit(realm).scheme != "https":
            raise RegistryError(line, 0, f"token realm {realm!r} is not https; the password is not sent there")
        if not is_of_one_family(str(urlsplit(realm).hostname), str(self._place[0])):
            raise RegistryError(line, 0, f"token realm {realm!r} is of another domain; the password is not sent there")
        scopes = scope.split() or challenge.get("scope", "").split()
        named = [("service", challenge["service"])] if challenge.get("service") else []
        what = f"GET {realm.partition('?')[0]}"
        try:
            response = self._session.get(
                realm,
                params=[*named, *(("scope", one) for one in scopes)],
                headers={"Authorization": self._basic_value(), "Accept-Encoding": "identity"},
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            _load(response, what)
        except (requests.ConnectionError, requests.Timeout):
            raise
        except _REFUSED_ANSWERS as error:
            raise RegistryError(what, 0, f"an answer that cannot be read ({type(error).__name__})") from None
        if response.is_redirect:
            where = joined(realm, response.headers["Location"], what).partition("?")[0]
            raise RegistryError(what, response.status_code, f"redirects to {where}; the password is not sent there")
        if not response.ok:
            kind = LoginRefused if response.status_code in _NO_TOKEN else RegistryError
            asked = asked_pause(response.headers.get("Retry-After", ""), response.headers.get("Date", ""))
            raise kind(what, response.status_code, _what_it_said(response), retry_after=asked)
        document = json_object(response.content, what)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(what, 0, "gave no token; a JSON object with 'token' or 'access_token' is right")
        return token

    def pieces(self, path: str, scope: str) -> Iterator[bytes]:
        """Yield the pieces of what is large; a connection that breaks off is made again, and goes on where it was."""
        had, began, attempt = 0, time.monotonic(), 1
        while True:
            rest = {"Range": f"bytes={had}-"} if had else {}
            with self.request("GET", path, scope=scope, headers=rest, stream=True) as response:
                again = had if response.status_code != HTTPStatus.PARTIAL_CONTENT else 0
                try:
                    for piece in _decoded_chunks(response, f"GET {path}"):
                        new, again = piece[again:], max(0, again - len(piece))
                        had += len(new)
                        yield new
                except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                    pause = self._retry.pause_after(attempt, elapsed=time.monotonic() - began)
                    if pause is None:
                        raise RegistryError(f"GET {path}", 0, f"the blob broke off after {had} bytes") from None
                else:
                    return
            time.sleep(pause)
            attempt += 1


@dataclass(frozen=True)
class _Call:
    """One request as its sender means it."""

    method: str
    url: str
    scope: str
    headers: Mapping[str, str]
    stream: bool
    more: dict[str, Any] = field(repr=False)

    @property
    def line(self) -> str:
        """What stands in messages."""
        return f"{self.method} {urlsplit(self.url).path}"

    @property
    def may_repeat(self) -> bool:
        """Whether there is something to send again: a streamed body is used up."""
        return not isinstance(self.more.get("data"), Body)

    @property
    def is_safe(self) -> bool:
        """Whether doing it twice is the same as once."""
        return self.method != "POST"


class Body:
    """A request body of known length that comes in pieces."""

    def __init__(self, pieces: Iterable[bytes], size: int) -> None:
        self._pieces, self._size = pieces, size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return self._size


class _Trusting(BoundedAdapter):
    """Verifies servers by the given context alone; requests would add its own bundle to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:  # noqa: ANN401 - requests' own
        """Trust the same certificates behind a proxy."""
        return super().proxy_manager_for(proxy, **options, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401 - requests' own
        """Leave the connection to the context."""


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:  # noqa: ARG002 - as in requests
        """Return None: the library raises what it likes for a bad ``Location``."""
        return


def _session(authorities: str | None) -> requests.Session:
    session = _Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE would replace what we trust
    session.mount("https://", _Trusting(trusting(authorities)))
    return session


def _load(response: requests.Response, what: str) -> None:
    """Read the whole of an answer, up to the largest size."""
    content = bytearray()
    with response:
        for chunk in response.iter_content(_CHUNK):
            content += chunk
            if len(content) > LARGEST_DOCUMENT:
                raise RegistryError(what, 0, f"an answer of more than {LARGEST_DOCUMENT} bytes")
    response._content = bytes(content)  # noqa: SLF001 - requests has no other way to bound a body


def _decoded_chunks(response: requests.Response, what: str) -> Iterator[bytes]:
    size = 0
    try:
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > LARGEST_BLOB:
                raise RegistryError(what, 0, f"a blob of more than {LARGEST_BLOB} bytes")
            yield chunk
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
        raise
    except requests.RequestException as error:
        raise RegistryError(what, 0, f"a blob that cannot be read ({type(error).__name__})") from None


def _broke_off(error: requests.RequestException) -> bool:
    """Return whether a connection ended in the middle, and not whether it could not be made."""
    return bool(error.args) and isinstance(error.args[0], urllib3.exceptions.ProtocolError)


def joined(base: str, reference: str, what: str) -> str:
    """Resolve a reference that a registry gave."""
    try:
        url = urljoin(base, reference)
        _ = urlsplit(url).port, urlsplit(url).hostname
    except ValueError:
        raise RegistryError(what, 0, "names a URL that cannot be read") from None
    return url


def _what_it_said(response: requests.Response) -> str:
    try:
        first = response.json()["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return response.reason or "(no reason given)"
    return f"{code}: {message}"
