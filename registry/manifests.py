"""What a registry keeps and how it refuses: manifests, their types and digests, and the documents of its answers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foreign import cut, one_line
from registry.challenges import Challenge, challenges

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LARGEST_DOCUMENT = 4 << 20
"""Bytes of a manifest or another document, as the OCI distribution specification bounds manifests."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
ACCEPTED = (OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST)
"""The types of manifests that are asked for."""


class RegistryError(RuntimeError):
    """A registry refused or failed: the request, the status, and the registry's own code and words.

    ``status`` is 0 where no answer came or what came is not what was asked for; ``challenge`` is how a login is asked
    for (``WWW-Authenticate``).
    """

    def __init__(
        self, request: str, status: int, said: str, challenge: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{request}: {f'{status} ' if status else ''}{one_line(cut(said))}")
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
        document = json_object(self.raw, what)
        parts = (
            document.get("manifests") if self.is_index else [document.get("config"), *as_list(document.get("layers"))]
        )
        if not all(map(_is_descriptor, as_list(parts))):
            said = "has parts without digest, size or type; right are manifests, or config and layers"
            raise RegistryError(what, 0, said)
        return document

    @property
    def is_index(self) -> bool:
        """Whether it is an index of images for several platforms, not the manifest of one image."""
        return self.media_type in INDEXES


def _is_descriptor(part: object) -> bool:
    """Return whether a part is described as the OCI image specification has it."""
    wanted = {"digest": str, "mediaType": str, "size": int}
    return isinstance(part, dict) and all(isinstance(part.get(name), kind) for name, kind in wanted.items())


def document_of(pieces: Iterable[bytes], what: str) -> dict[str, Any]:
    """Return a blob that has to be a JSON object, such as an image's configuration. Raises :exc:`RegistryError`."""
    raw = b""
    for piece in pieces:
        raw += piece
        if len(raw) > LARGEST_DOCUMENT:
            raise RegistryError(what, 0, f"is larger than {LARGEST_DOCUMENT} bytes")
    return json_object(raw, what)


def json_object(raw: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object of an answer. Raises :exc:`RegistryError` where there is none."""
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError):
        raise RegistryError(what, 0, "the answer is no JSON; a JSON object is right") from None
    if not isinstance(document, dict):
        raise RegistryError(what, 0, f"is a {type(document).__name__}; a JSON object is right")
    return document


def as_list(value: object) -> list[Any]:
    """Return a list as it is, and for anything else one that no check of members accepts."""
    return value if isinstance(value, list) else [None]


def type_of(header: str, raw: bytes, what: str) -> str:
    """Return a manifest's type: the header's where it names one, else the document's, else what its shape says."""
    said = header.partition(";")[0].strip().lower()
    if said in ACCEPTED:
        return said
    document = json_object(raw, what)
    named = document.get("mediaType")
    if isinstance(named, str) and named.lower() in ACCEPTED:
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
