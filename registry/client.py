"""A client of the registry HTTP API: manifests and blobs, streamed and verified, over one TLS session.

It needs no engine, and logs in by Basic or, where the registry asks for it, by a token that it gets with Basic from
the registry's token endpoint. Everything that is read is checked against its digest. Every answer has a deadline and a
largest size, and whatever a decoder raises becomes :exc:`RegistryError`. oras-py was tried for this: it logs in by the
first challenge only, and writes blobs to files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
import urllib3

from bounded import BoundedAdapter
from protected import Secret
from registry.address import HTTPS_PORT, RegistryAddress, is_of_one_family
from registry.challenges import Challenge, challenges
from waiting.retry import RetryPolicy, asked_pause

CONNECT_SECONDS = 10.0
"""How long a connection may take."""

READ_SECONDS = 120.0
"""How long an answer may take, its header and a document included: a registry hashes a pushed blob before it."""

BLOB_SECONDS = 3600.0
"""How long a blob may take."""

LARGEST_DOCUMENT = 4 << 20
"""Bytes of a manifest or another document, as the OCI distribution specification bounds manifests."""

LARGEST_BLOB = 64 << 30
"""Bytes of a blob."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})

_MANIFESTS = f"{OCI_INDEX}, {DOCKER_INDEX}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
_CHUNK = 1 << 18
_MOST_REDIRECTS = 5
_NOT_ATTEMPTED = frozenset({429, 503})
_PLAIN_FAILURE = 500
_NO_TOKEN = frozenset({400, 401, 403})
_REFUSED_ANSWERS = (
    requests.RequestException,
    urllib3.exceptions.HTTPError,
    ValueError,  # also of Unicode and JSON
)

Progress = Callable[[str, int, int], object]
"""Told while blobs move: digest, bytes so far, bytes in all."""


class RegistryError(RuntimeError):
    """A registry refused or failed: the request, the status, and the registry's own code and words.

    ``status`` is 0 where no answer came or what came is not what was asked for; ``challenge`` is how a login is asked
    for (``WWW-Authenticate``).
    """

    def __init__(
        self, request: str, status: int, said: str, challenge: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{request}: {f'{status} ' if status else ''}{said}")
        self.request, self.status, self.challenge, self.retry_after = request, status, challenge, retry_after

    @property
    def challenges(self) -> list[Challenge]:
        """The ways to log in that are offered."""
        return challenges(self.challenge)


class LoginRefused(RegistryError):  # noqa: N818 - it says what happened
    """The token endpoint refused user name and password: 401, at some registries 403 or 400."""


@dataclass(frozen=True)
class Manifest:
    """A manifest or index as the registry keeps it: the exact bytes, their type and digest."""

    raw: bytes
    media_type: str

    @property
    def digest(self) -> str:
        """``sha256:`` and the hash of the bytes."""
        return digest_of(self.raw)

    @property
    def content(self) -> dict[str, Any]:
        """The JSON document."""
        what = f"manifest {self.digest}"
        document = _object(self.raw, what)
        parts = document.get("manifests") if self.is_index else [document.get("config"), *_list(document.get("layers"))]
        if not all(isinstance(part, dict) and isinstance(part.get("digest"), str) for part in _list(parts)):
            raise RegistryError(what, 0, "has parts without a digest; right are manifests, or config and layers")
        return document

    @property
    def is_index(self) -> bool:
        """Whether it is an index of images for several platforms, not the manifest of one image."""
        return self.media_type in INDEXES


class RegistryClient:
    """Speaks to one registry as one account (or, without a user name, anonymously).

    ``authorities`` are the certificates to trust, PEM, and no others; without them the machine's are trusted.
    Every method raises :exc:`RegistryError` when the registry refuses, and what requests raises when it is away.
    """

    def __init__(
        self,
        address: RegistryAddress,
        username: str | None = None,
        password: str | Secret = "",
        *,
        authorities: str | None = None,
        proxy: str | None = None,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.address = address
        self._username, self._password = username, Secret(password) if isinstance(password, str) else password
        self._session = _session(authorities)
        self._session.proxies = {} if proxy is None else {"https": proxy}
        self._place = (urlsplit(address.url).hostname, address.port)
        self._retry = retry or RetryPolicy()
        self._basic = False
        self._tokens: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def login(self) -> None:
        """Ask whether the registry accepts the credential; raises with status 401 if it does not."""
        self._request("GET", "/v2/")

    def refusal(self, repository: str = "conformance/login") -> RegistryError | None:
        """Return why the registry refuses the credential, or None where it accepts it.

        A base path that answers everybody proves nothing: a manifest that does not exist is asked for, too.
        """
        try:
            self.login()
            self._request("GET", f"/v2/{repository}/manifests/none", scope=_pull(repository))
        except RegistryError as error:
            if isinstance(error, LoginRefused) or error.status == HTTPStatus.UNAUTHORIZED:
                return error
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                raise
        return None

    @property
    def has_token(self) -> bool:
        """Whether a token was given: the password is right, whatever else is refused."""
        return bool(self._tokens)

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none when it does not exist."""
        path = f"/v2/{repository}/tags/list"
        try:
            document = _object(self._request("GET", path, scope=_pull(repository)).content, f"GET {path}")
        except RegistryError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise
        tags = _list(document.get("tags") or [])
        if not all(isinstance(tag, str) for tag in tags):
            raise RegistryError(f"GET {path}", 0, "has tags that are no text")
        return sorted(tags)

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest or index behind a tag or digest; one asked for by digest is checked against it."""
        path = f"/v2/{repository}/manifests/{reference}"
        response = self._request("GET", path, scope=_pull(repository), headers={"Accept": _MANIFESTS})
        media_type = _media_type(response.headers.get("Content-Type", ""), response.content, f"GET {path}")
        manifest = Manifest(response.content, media_type)
        promised = reference if ":" in reference else response.headers.get("Docker-Content-Digest") or manifest.digest
        if promised.startswith("sha256:") and manifest.digest != promised:
            raise RegistryError(f"GET {path}", 0, f"the content is {manifest.digest}; {promised} was promised")
        return manifest

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        """Put a manifest or index under a tag or its digest; gives its digest."""
        headers = {"Content-Type": manifest.media_type}
        path = f"/v2/{repository}/manifests/{reference}"
        self._request("PUT", path, scope=_push(repository), headers=headers, data=manifest.raw)
        return manifest.digest

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest and with it every tag that points there; a missing one is no error."""
        try:
            self._request("DELETE", f"/v2/{repository}/manifests/{digest}", scope=_delete(repository))
        except RegistryError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def has_blob(self, repository: str, digest: str) -> bool:
        """Return whether the repository has a blob."""
        try:
            self._request("HEAD", f"/v2/{repository}/blobs/{digest}", scope=_push(repository))
        except RegistryError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob; the last piece is followed by :exc:`RegistryError` when the whole has another digest.

        A connection that breaks off in the middle is made again, and the blob goes on where it was.
        """
        path = f"/v2/{repository}/blobs/{digest}"
        yield from verified(self._pieces(path, _pull(repository)), digest, f"GET {path}")

    def _pieces(self, path: str, scope: str) -> Iterator[bytes]:
        had, began, attempt = 0, time.monotonic(), 1
        while True:
            rest = {"Range": f"bytes={had}-"} if had else {}
            with self._request("GET", path, scope=scope, headers=rest, stream=True) as response:
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

    def push_blob(
        self, repository: str, digest: str, size: int, content: Iterable[bytes], *, mount_from: str | None = None
    ) -> bool:
        """Put a blob of ``size`` bytes, unless the registry has it; tells whether bytes were sent.

        With ``mount_from`` the registry is asked to take it over from that repository of its own.
        """
        if self.has_blob(repository, digest):
            return False
        wish = {"mount": digest, "from": mount_from} if mount_from else {}
        scope = f"{_push(repository)} {_pull(mount_from)}" if mount_from else _push(repository)
        response = self._request("POST", f"/v2/{repository}/blobs/uploads/", scope=scope, params=wish)
        if response.status_code == HTTPStatus.CREATED:
            return False
        where = self._upload_location(response.headers.get("Location", ""))
        # added to whatever query the location has: it carries the registry's own state
        where += f"{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._request("PUT", where, scope=scope, headers=headers, data=_Body(content, size))
        return True

    def _upload_location(self, location: str) -> str:
        where = _joined(self.address.url, location, "upload")
        if location and self._is_here(where):
            return where
        found = f"to {where.partition('?')[0]}" if location else "to no location"
        raise RegistryError(
            "upload", 0, f"the registry sends uploads {found}; set its public URL (http.host, X-Forwarded-Proto)"
        )

    def _is_here(self, url: str) -> bool:
        target = urlsplit(url)
        return (target.scheme, target.hostname, target.port or HTTPS_PORT) == ("https", *self._place)

    def _request(
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
        url = _joined(self.address.url, path, method)
        call = _Call(method, url, scope, dict(headers or {}), stream, more)
        began, attempt, tried = time.monotonic(), 1, set[str]()
        while True:
            try:
                return self._follow(call)
            except RegistryError as error:
                if error.status == HTTPStatus.UNAUTHORIZED and call.may_repeat and self._learn(error, call, tried):
                    continue
                again = error.status in _NOT_ATTEMPTED or (call.is_safe and error.status > _PLAIN_FAILURE)
                pause = self._retry.pause_after(attempt, elapsed=time.monotonic() - began, asked=error.retry_after)
                if pause is None or not (again and call.may_repeat):
                    raise
            except requests.ConnectionError as error:
                # requests keeps the whole request, with its login; the first attempt tells what is away
                error.request = None
                pause = self._retry.pause_after(attempt, elapsed=time.monotonic() - began)
                if pause is None or not (call.is_safe and call.may_repeat and _is_reset(error)):
                    raise
            time.sleep(pause)
            attempt += 1

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
            url = _joined(url, location, call.line)
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
        except (requests.ConnectionError, requests.Timeout):
            raise
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
        if not self._is_here(url):
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
            tried.add("bearer")
            self._tokens[call.scope] = self._token(offered["bearer"].parameters, call.scope, call.line)
            return True
        if "basic" in offered and "basic" not in tried and (not self._basic or call.scope in self._tokens):
            tried.add("basic")
            self._tokens.pop(call.scope, None)
            self._basic = True
            return True
        return False

    def _token(self, challenge: Mapping[str, str], scope: str, line: str) -> str:
        realm = _joined(self.address.url, challenge.get("realm", ""), line)
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
        except _REFUSED_ANSWERS as error:
            raise RegistryError(what, 0, f"an answer that cannot be read ({type(error).__name__})") from None
        if not response.ok:
            kind = LoginRefused if response.status_code in _NO_TOKEN else RegistryError
            raise kind(what, response.status_code, _what_it_said(response))
        document = _object(response.content, what)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(what, 0, "gave no token; a JSON object with 'token' or 'access_token' is right")
        return token


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
        return not isinstance(self.more.get("data"), _Body)

    @property
    def is_safe(self) -> bool:
        """Whether doing it twice is the same as once."""
        return self.method != "POST"


class _Body:
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
    session.mount("https://", BoundedAdapter(pool_maxsize=8))
    if authorities is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authorities)
        session.mount("https://", _Trusting(context))
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


def _is_reset(error: requests.ConnectionError) -> bool:
    """Return whether a connection broke off, and not whether it could not be made."""
    return not isinstance(error, (requests.exceptions.SSLError, requests.ConnectTimeout)) and "reset" in str(error)


def _joined(base: str, reference: str, what: str) -> str:
    """Resolve a reference that a registry gave."""
    try:
        url = urljoin(base, reference)
        _ = urlsplit(url).port, urlsplit(url).hostname
    except ValueError:
        raise RegistryError(what, 0, "names a URL that cannot be read") from None
    return url


def document_of(pieces: Iterable[bytes], what: str) -> dict[str, Any]:
    """Return a blob that has to be a JSON object, such as an image's configuration. Raises :exc:`RegistryError`."""
    raw = b""
    for piece in pieces:
        raw += piece
        if len(raw) > LARGEST_DOCUMENT:
            raise RegistryError(what, 0, f"is larger than {LARGEST_DOCUMENT} bytes")
    return _object(raw, what)


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise RegistryError(what, 0, "the answer is no JSON; a JSON object is right") from None
    if not isinstance(document, dict):
        raise RegistryError(what, 0, f"is a {type(document).__name__}; a JSON object is right")
    return document


def _list(value: object) -> list[Any]:
    """Return a list as it is, and for anything else one that no check of members accepts."""
    return value if isinstance(value, list) else [None]


def _media_type(header: str, raw: bytes, what: str) -> str:
    """Return a manifest's type: the header's where it names one, else the document's, else what its shape says."""
    said = header.partition(";")[0].strip().lower()
    if said in _MANIFESTS.split(", "):
        return said
    document = _object(raw, what)
    named = document.get("mediaType")
    if isinstance(named, str) and named.lower() in _MANIFESTS.split(", "):
        return named.lower()
    return OCI_INDEX if "manifests" in document else OCI_MANIFEST if "layers" in document else said


def verified(pieces: Iterable[bytes], digest: str, what: str) -> Iterator[bytes]:
    """Pass the pieces on; raise :exc:`RegistryError` after the last one if their hash is not ``digest``."""
    algorithm, _, wanted = digest.partition(":")
    if algorithm not in ("sha256", "sha512"):
        raise RegistryError(what, 0, f"digest {digest!r} is of an unknown kind; sha256 and sha512 are right")
    running = hashlib.new(algorithm)
    for piece in pieces:
        running.update(piece)
        yield piece
    if running.hexdigest() != wanted:
        raise RegistryError(what, 0, f"the content is {algorithm}:{running.hexdigest()}; {digest} was asked for")


def digest_of(content: bytes) -> str:
    """Return ``sha256:`` and the hash."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _what_it_said(response: requests.Response) -> str:
    try:
        first = response.json()["errors"][0]
        code, message = first.get("code"), first.get("message")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return response.reason or "(no reason given)"
    return f"{code}: {message}"


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _delete(repository: str) -> str:
    return f"repository:{repository}:delete"
