"""A client of the registry HTTP API: manifests and blobs, streamed and verified.

It needs no engine; everything that is read is checked against its digest. oras-py was tried for this: it logs in by the
first challenge only, and writes blobs to files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Self
from urllib.parse import urlencode, urlsplit

from protected import Secret
from registry.manifests import ACCEPTED, LoginRefused, Manifest, RegistryError, as_list, json_object, type_of, verified
from registry.session import Body, RegistrySession, joined
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from registry.address import RegistryAddress

_MOST_PAGES = 1000
"""Pages of a list of tags."""

Progress = Callable[[str, int, int], object]
"""Told while blobs move: digest, bytes so far, bytes in all."""


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
        secret = Secret(password) if isinstance(password, str) else password
        self._session = RegistrySession(address, username, secret, authorities, proxy, retry or RetryPolicy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def login(self) -> None:
        """Ask whether the registry accepts the credential; raises with status 401 if it does not."""
        self._session.request("GET", "/v2/")

    def refusal(self, repository: str = "conformance/login") -> RegistryError | None:
        """Return why the registry refuses the credential, or None where it accepts it.

        A base path that answers everybody proves nothing: a manifest that does not exist is asked for, too.
        """
        path = f"/v2/{repository}/manifests/none"
        try:
            self.login()
            self._session.request("GET", path, scope=_pull(repository))
        except RegistryError as error:
            if isinstance(error, LoginRefused) or error.status == HTTPStatus.UNAUTHORIZED:
                return error
            if error.status not in (HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN):
                raise
            return None
        raise RegistryError(f"GET {path}", HTTPStatus.OK, "is there, and nobody put it there: no registry answers so")

    @property
    def has_token(self) -> bool:
        """Whether a token was given: the password is right, whatever else is refused."""
        return self._session.has_token

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, from all pages of the list; none when it does not exist."""
        path = f"/v2/{repository}/tags/list"
        found, page, what = set[str](), path, f"GET {path}"
        for _ in range(_MOST_PAGES):
            try:
                response = self._session.request("GET", page, scope=_pull(repository))
            except RegistryError as error:
                if error.status == HTTPStatus.NOT_FOUND:
                    return []
                raise
            found.update(_tags(response.content, what))
            if not (following := response.links.get("next", {}).get("url")):
                return sorted(found)
            # of this registry, whatever it calls itself: behind a proxy it may not know its own name
            url = urlsplit(joined(f"{self.address.url}{page}", following, what))
            page = f"/{url.path.lstrip('/')}?{url.query}"
        raise RegistryError(what, 0, f"has more than {_MOST_PAGES} pages")

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return the manifest or index behind a tag or digest; one asked for by digest is checked against it."""
        path = f"/v2/{repository}/manifests/{reference}"
        response = self._session.request("GET", path, scope=_pull(repository), headers={"Accept": ", ".join(ACCEPTED)})
        media_type = type_of(response.headers.get("Content-Type", ""), response.content, f"GET {path}")
        manifest = Manifest(response.content, media_type)
        promised = reference if ":" in reference else response.headers.get("Docker-Content-Digest") or manifest.digest
        if promised.startswith("sha256:") and manifest.digest != promised:
            raise RegistryError(f"GET {path}", 0, f"the content is {manifest.digest}; {promised} was promised")
        return manifest

    def push_manifest(self, repository: str, reference: str, manifest: Manifest) -> str:
        """Put a manifest or index under a tag or its digest; return its digest."""
        headers = {"Content-Type": manifest.media_type}
        path = f"/v2/{repository}/manifests/{reference}"
        self._session.request("PUT", path, scope=_push(repository), headers=headers, data=manifest.raw)
        return manifest.digest

    def delete_manifest(self, repository: str, digest: str) -> None:
        """Delete a manifest and with it every tag that points there; a missing one is no error."""
        try:
            self._session.request("DELETE", f"/v2/{repository}/manifests/{digest}", scope=_delete(repository))
        except RegistryError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def has_blob(self, repository: str, digest: str) -> bool:
        """Return whether the repository has a blob; one that cannot be asked for without its content is sent again."""
        try:
            self._session.request("HEAD", f"/v2/{repository}/blobs/{digest}", scope=_push(repository))
        except RegistryError as error:
            if error.status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED):
                return False
            raise
        return True

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob; the last piece is followed by :exc:`RegistryError` when the whole has another digest.

        A connection that breaks off in the middle is made again, and the blob goes on where it was.
        """
        path = f"/v2/{repository}/blobs/{digest}"
        yield from verified(self._session.pieces(path, _pull(repository)), digest, f"GET {path}")

    def push_blob(
        self, repository: str, digest: str, size: int, content: Iterable[bytes], *, mount_from: str | None = None
    ) -> bool:
        """Put a blob of ``size`` bytes, unless the registry has it; tells whether bytes were sent.

        With ``mount_from`` the registry is asked to take it over from that repository of its own. An upload that breaks
        off begins anew, where ``content`` can be read again.
        """
        repeats = not isinstance(content, Iterator)
        upload = partial(self._upload, repository, digest, Body(content, size), mount_from)
        return self._session.patiently(upload, repeats=repeats)

    def _upload(self, repository: str, digest: str, body: Body, mount_from: str | None) -> bool:
        if self.has_blob(repository, digest):
            return False
        wish = {"mount": digest, "from": mount_from} if mount_from else {}
        scope = f"{_push(repository)} {_pull(mount_from)}" if mount_from else _push(repository)
        response = self._session.request("POST", f"/v2/{repository}/blobs/uploads/", scope=scope, params=wish)
        if response.status_code == HTTPStatus.CREATED:
            return False
        where = self._upload_location(response.url, response.headers.get("Location", ""))
        # added to whatever query the location has: it carries the registry's own state
        where += f"{'&' if '?' in where else '?'}{urlencode({'digest': digest})}"
        headers = {"Content-Type": "application/octet-stream"}
        self._session.request("PUT", where, scope=scope, headers=headers, data=body)
        return True

    def _upload_location(self, asked: str, location: str) -> str:
        where = joined(asked, location, "upload")
        if location and self._session.is_here(where):
            return where
        found = f"to {where.partition('?')[0]}" if location else "to no location"
        raise RegistryError(
            "upload", 0, f"the registry sends uploads {found}; set its public URL (http.host, X-Forwarded-Proto)"
        )


def _tags(answer: bytes, what: str) -> list[str]:
    tags = json_object(answer, what).get("tags", [None])  # null is an empty list at some registries
    if not all(isinstance(tag, str) for tag in as_list(tags or [])):
        raise RegistryError(what, 0, "is no list of tags; a JSON object with 'tags' is right")
    return list(tags or [])


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _push(repository: str) -> str:
    return f"repository:{repository}:pull,push"


def _delete(repository: str) -> str:
    return f"repository:{repository}:delete"
