"""A registry that takes logins and redirects every request to another place, which serves what was asked for.

Redirects of blobs are what hosted registries do; of everything else they are legal. A client that sends a login along
shows it to whoever stands there. Layers name URLs in that place, too, as those of other vendors' base images do.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from registry.address import RegistryAddress
from registry.manifests import Manifest, RegistryError
from registry.server import usable_port
from registry.token_realm import listening

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry.client import RegistryClient
    from registry.tls import Authority

_PING, _FOREIGN = "/v2/", "/foreign"
#: What a request is about, by what stands in its path.
STAGES = {_FOREIGN: "foreign layer", "/blobs/": "blob", "/manifests/": "manifest", _PING: "ping"}


@dataclass
class RedirectingRegistry:
    """Stands on ``address`` and redirects to ``there``, an URL without a path; ``origin`` has the content."""

    address: RegistryAddress
    there: str
    origin: RegistryClient
    logins: set[str] = field(default_factory=set)
    """Stages at which the registry itself was sent a login, where it belongs."""
    leaked: set[str] = field(default_factory=set)
    """Stages at which the other place was sent a login."""
    forms: tuple[str, ...] = field(default=(), repr=False)
    """In which forms a login counts as sent there, beside the header for logins."""
    visited: set[str] = field(default_factory=set)
    """Stages at which the other place was asked at all."""
    _manifests: dict[tuple[str, str], Manifest] = field(default_factory=dict, repr=False)

    def forget(self) -> None:
        """Begin anew with what was seen."""
        for seen in (self.logins, self.leaked, self.visited):
            seen.clear()

    def content(self, path: str) -> tuple[str, Iterable[bytes]]:
        """Return type and bytes of what ``path`` names. Raises RegistryError or ValueError."""
        repository, kind, name = path.removeprefix(_FOREIGN).removeprefix(_PING).rsplit("/", 2)
        if kind == "blobs":
            return "application/octet-stream", self.origin.blob(repository, name)
        manifest = self._manifests.get((repository, name)) or self._with_urls(repository, name)
        return manifest.media_type, [manifest.raw]

    def _with_urls(self, repository: str, reference: str) -> Manifest:
        """Return a manifest whose last layer is to be had elsewhere; an index stays as it is."""
        found = self.origin.manifest(repository, reference)
        if not found.is_index:
            content = found.content
            layer = content["layers"][-1]
            layer["urls"] = [f"{self.there}{_FOREIGN}/v2/{repository}/blobs/{layer['digest']}"]
            found = Manifest(json.dumps(content).encode(), found.media_type)
        self._manifests |= {(repository, reference): found, (repository, found.digest): found}
        return found


#: A way to start such a registry, given what kind of place it redirects to.
RedirectTo = Callable[[str], AbstractContextManager[RedirectingRegistry]]


@contextlib.contextmanager
def redirecting(
    origin: RegistryClient, bind: str, authority: Authority, there: str, *, tls: bool = True
) -> Iterator[RedirectingRegistry]:
    """Run such a registry on ``bind`` and, on a port of its own of ``bind`` too, the place that is called ``there``."""
    address = RegistryAddress(bind, usable_port(bind, 0))
    port = usable_port(bind, 0)
    url = f"{'https' if tls else 'http'}://{there}:{port}"
    registry = RedirectingRegistry(address, url, origin)
    front, back = (type(kind.__name__, (kind,), {"registry": registry}) for kind in (_Front, _Elsewhere))
    certificate = authority.issue(there) if tls else None
    with listening(front, bind, address.port, authority.issue(bind)), listening(back, bind, port, certificate):
        yield registry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: RedirectingRegistry

    def do_HEAD(self) -> None:
        """Answer as to GET, without the body."""
        self.do_GET()

    def do_GET(self) -> None:
        """Answer a request."""
        raise NotImplementedError

    @property
    def stage(self) -> str:
        """What the request is about."""
        return next(stage for part, stage in STAGES.items() if part in self.path or part == _PING)

    def ask_for_login(self) -> None:
        """Refuse, and ask for a user name and a password."""
        self.reply(HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": 'Basic realm="registry"'})

    def reply(self, status: HTTPStatus, headers: dict[str, str]) -> None:
        """Send an answer without a body."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing: a log line would have the request."""


class _Front(_Handler):
    """The registry: redirects the ping, and with a login everything else."""

    def do_GET(self) -> None:
        """Note the login; redirect, or ask for one."""
        login = bool(self.headers.get("Authorization"))
        if login:
            self.registry.logins.add(self.stage)
        if login or self.stage == "ping":
            self.reply(HTTPStatus.TEMPORARY_REDIRECT, {"Location": self.registry.there + self.path})
        else:
            self.ask_for_login()


class _Elsewhere(_Handler):
    """The other place: asks for a login as if it were the registry, and serves everything without."""

    def do_GET(self) -> None:
        """Note whether a login came along; serve what was asked for."""
        self.registry.visited.add(self.stage)
        told = f"{self.path}\n{self.headers}"
        if self.headers.get("Authorization") or any(form in told for form in self.registry.forms):
            self.registry.leaked.add(self.stage)
        if self.stage == "ping":
            self.ask_for_login()
            return
        try:
            media_type, pieces = self.registry.content(self.path)
        except (RegistryError, ValueError):
            self.reply(HTTPStatus.NOT_FOUND, {})
        else:
            self._stream(media_type, pieces)

    def _stream(self, media_type: str, pieces: Iterable[bytes]) -> None:
        """Send content piece by piece: a provider image is a gigabyte or two."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", media_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if self.command != "HEAD":
            for piece in filter(None, pieces):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
