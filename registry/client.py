"""A client of the registry HTTP API: manifests and blobs, streamed and verified, over one TLS session.

It needs no engine, and logs in by Basic or, where the registry asks for it, by a token that it gets with Basic from
the registry's token endpoint. Everything that is read is checked against its digest.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from protected import Secret
from registry.address import HTTPS_PORT, RegistryAddress

CONNECT_SECONDS = 10.0
"""How long a connection may take."""

READ_SECONDS = 120.0
"""How long the registry may be silent: it hashes a pushed blob before it answers."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})

_MANIFESTS = f"{OCI_INDEX}, {DOCKER_INDEX}, {OCI_MANIFEST}, {DOCKER_MANIFEST}"
_CHUNK = 1 << 18
_CHALLENGE = re.compile(r'([a-zA-Z]+)="([^"]*)"')

Progress = Callable[[str, int, int], object]
"""Told while blobs move: digest, bytes so far, bytes in all."""


class RegistryError(RuntimeError):
    """A registry refused or failed: the request, the status, and the registry's own code and words.

    ``status`` is 0 where no answer came or what came is not what was asked for; ``challenge`` is how a login is asked
    for (``WWW-Authenticate``).
    """

    def __init__(self, request: str, status: int, said: str, challenge: str = "") -> None:
        super().__init__(f"{request}: {f'{status} ' if status else ''}{said}")
        self.request, self.status, self.challenge = request, status, challenge


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
        document = json.loads(self.raw)
        if not isinstance(document, dict):
            raise RegistryError(f"manifest {self.digest}", 0, f"is a {type(document).__name__}; a JSON object is right")
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
    ) -> None:
        self.address = address
        self._username, self._password = username, Secret(password) if isinstance(password, str) else password
        self._session = _session(authorities)
        self._place = (urlsplit(address.url).hostname, address.port)
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

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository; none when it does not exist."""
        try:
            document = self._request("GET", f"/v2/{repository}/tags/list", scope=_pull(repository)).json()
        except RegistryError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return []
            raise
        return sorted(document.get("tags") or [])

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest or index behind a tag or digest; one asked for by digest is checked against it."""
        path = f"/v2/{repository}/manifests/{reference}"
        response = self._request("GET", path, scope=_pull(repository), headers={"Accept": _MANIFESTS})
        media_type = response.headers.get("Content-Type", "").partition(";")[0]
        manifest = Manifest(response.content, media_type)
        promised = reference if ":" in reference else response.headers.get("Docker-Content-Digest", manifest.digest)
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
        """Stream a blob; the last piece is followed by :exc:`RegistryError` when the whole has another digest."""
        path = f"/v2/{repository}/blobs/{digest}"
        response = self._request("GET", path, scope=_pull(repository), stream=True)
        with response:
            yield from verified(response.iter_content(_CHUNK), digest, f"GET {path}")

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
        where = urljoin(self.address.url, response.headers["Location"])
        # added to whatever query the location has: it carries the registry's own state
        where += f"{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._request("PUT", where, scope=scope, headers=headers, data=_Body(content, size))
        return True

    def _request(
        self,
        method: str,
        path: str,
        *,
        scope: str = "",
        headers: Mapping[str, str] | None = None,
        **more: Any,  # noqa: ANN401 - requests' own
    ) -> requests.Response:
        url = urljoin(self.address.url, path)
        line = f"{method} {urlsplit(url).path}"
        for attempt in (1, 2):
            told = {**(headers or {}), **self._authorization(url, scope)}
            response = self._session.request(method, url, headers=told, timeout=(CONNECT_SECONDS, READ_SECONDS), **more)
            if response.ok:
                return response
            challenge = response.headers.get("WWW-Authenticate", "")
            refused = response.status_code == HTTPStatus.UNAUTHORIZED
            with response:
                error = RegistryError(line, response.status_code, _what_it_said(response), challenge)
            if not (refused and attempt == 1 and self._username is not None and self._learn(challenge, scope, line)):
                raise error
        raise AssertionError("unreachable")  # the second attempt returns or raises

    def _authorization(self, url: str, scope: str) -> dict[str, str]:
        target = urlsplit(url)
        if (target.scheme, target.hostname, target.port or HTTPS_PORT) != ("https", *self._place):
            return {}  # an upload may go elsewhere; the credential does not
        if scope in self._tokens:
            return {"Authorization": f"Bearer {self._tokens[scope]}"}
        return {"Authorization": self._basic_value()} if self._basic else {}

    def _basic_value(self) -> str:
        # by hand: requests would encode it as Latin-1, registries compare UTF-8
        pair = f"{self._username}:{self._password.reveal()}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"

    def _learn(self, challenge: str, scope: str, line: str) -> bool:
        """Learn from a challenge how to log in; tells whether that is something new to try."""
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "basic" and not self._basic:
            self._basic = True
            return True
        if scheme == "bearer":
            self._tokens[scope] = self._token(dict(_CHALLENGE.findall(challenge)), scope, line)
            return True
        return False

    def _token(self, challenge: Mapping[str, str], scope: str, line: str) -> str:
        realm = challenge.get("realm", "")
        if urlsplit(realm).scheme != "https":
            raise RegistryError(line, 0, f"token realm {realm!r} is not https; the password is not sent there")
        wishes = [("scope", one) for one in scope.split()] or [
            ("scope", one) for one in challenge.get("scope", "").split()
        ]
        response = self._session.get(
            realm,
            params=[("service", challenge.get("service", "")), *wishes],
            headers={"Authorization": self._basic_value()},
            timeout=(CONNECT_SECONDS, READ_SECONDS),
            allow_redirects=False,
        )
        if not response.ok:
            raise RegistryError(f"GET {realm}", response.status_code, _what_it_said(response))
        document = response.json()
        return str(document.get("token") or document["access_token"])


class _Body:
    """A request body of known length that comes in pieces."""

    def __init__(self, pieces: Iterable[bytes], size: int) -> None:
        self._pieces, self._size = pieces, size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __len__(self) -> int:
        return self._size


class _Trusting(HTTPAdapter):
    """Verifies servers by the given context alone; requests would add its own bundle to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 - requests' own
        super().init_poolmanager(*args, **options, ssl_context=self._context)

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:  # noqa: ANN401 - requests' own
        """Leave the connection to the context."""


def _session(authorities: str | None) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # REQUESTS_CA_BUNDLE would replace what we trust
    if authorities is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authorities)
        session.mount("https://", _Trusting(context))
    return session


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
    except (ValueError, KeyError, IndexError, TypeError):
        return response.reason or "(no reason given)"
    return f"{first.get('code')}: {first.get('message')}"


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _delete(repository: str) -> str:
    return f"repository:{repository}:delete"
