"""Look into an image that is in a registry: its configuration, and single files, without unpacking it."""

from __future__ import annotations

import json
import posixpath
import tarfile
from typing import TYPE_CHECKING, Any, Final

from engine.pieces import Pieces
from registry.client import Manifest, RegistryClient, RegistryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.images import Image

PLATFORM: Final = ("linux", "amd64")

_MOST_LINKS = 8  # as many hops as anybody sane uses; a circle ends here
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"

_files: dict[tuple[str, str], bytes] = {}  # by manifest digest and path: content that can never change


class _Elsewhere(Exception):  # noqa: N818 - a message between two functions
    """The path is a link; it continues there."""


def single_image(client: RegistryClient, image: Image, platform: tuple[str, str] = PLATFORM) -> Manifest:
    """Return the manifest for one platform (operating system, architecture). Raises :exc:`RegistryError` if none is."""
    manifest = client.manifest(image.repository, image.digest)
    if not manifest.is_index:
        return manifest
    for child in manifest.content["manifests"]:
        if platform_of(child) == platform:
            return client.manifest(image.repository, child["digest"])
    found = ", ".join("/".join(platform_of(child)) for child in manifest.content["manifests"])
    raise RegistryError(f"image {image.pinned}", 0, f"has no image for {'/'.join(platform)}; there are: {found}")


def platform_of(descriptor: Mapping[str, Any]) -> tuple[str, str]:
    """Return operating system and architecture that an index says of an image."""
    platform = descriptor.get("platform", {})
    return platform.get("os", "unknown"), platform.get("architecture", "unknown")


def configuration(client: RegistryClient, repository: str, manifest: Manifest) -> dict[str, Any]:
    """Return an image's configuration document."""
    raw = b"".join(client.blob(repository, manifest.content["config"]["digest"]))
    document: dict[str, Any] = json.loads(raw)
    return document


def read_file(client: RegistryClient, image: Image, path: str, platform: tuple[str, str] = PLATFORM) -> bytes:
    """Return the bytes of the file at the absolute ``path`` of an image, following links.

    Layers are streamed from the top until one has the file; each that is looked at is verified whole. Raises
    :exc:`FileNotFoundError` when no layer has it or an upper one deletes it.
    """
    manifest = single_image(client, image, platform)
    return read_file_of(client, image.repository, manifest, path)


def read_file_of(client: RegistryClient, repository: str, manifest: Manifest, path: str) -> bytes:
    """Do the same for the manifest of a single image."""
    key = (manifest.digest, path)
    if key not in _files:
        _files[key] = _through_links(client, repository, manifest, path)
    return _files[key]


def _through_links(client: RegistryClient, repository: str, manifest: Manifest, path: str) -> bytes:
    wanted = path
    for _ in range(_MOST_LINKS):
        try:
            return _from_layers(client, repository, manifest, wanted)
        except _Elsewhere as link:
            wanted = posixpath.normpath(posixpath.join(posixpath.dirname(wanted), str(link)))
    raise FileNotFoundError(f"{path} of image {manifest.digest}: more than {_MOST_LINKS} links")


def _from_layers(client: RegistryClient, repository: str, manifest: Manifest, path: str) -> bytes:
    name = path.lstrip("/")
    for layer in reversed(manifest.content["layers"]):
        found, hidden = _look(Pieces(client.blob(repository, layer["digest"])), name)
        if found is not None:
            return found
        if hidden:
            break
    raise FileNotFoundError(f"image {repository}@{manifest.digest} has no file {path}")


def _look(stream: Pieces, name: str) -> tuple[bytes | None, bool]:
    """Return the file's bytes if this layer has it, and whether it hides the file from what lies below."""
    hiding = _hiding_names(name)
    found: bytes | None = None
    target, hidden = "", False
    with tarfile.open(fileobj=stream, mode="r|*") as tar:
        for member in tar:  # to the end: a later entry of the same name replaces an earlier one
            entry = posixpath.normpath(member.name).lstrip("/")
            hidden = hidden or entry in hiding
            if entry == name:
                target = member.linkname if member.issym() else f"/{member.linkname}" if member.islnk() else ""
                content = tar.extractfile(member) if member.isreg() else None
                found = content.read() if content else None
    stream.drain()
    if target:
        raise _Elsewhere(target)
    return found, hidden


def _hiding_names(name: str) -> set[str]:
    """Return the whiteout entries (OCI image specification, layers) that delete ``name`` or a directory above it."""
    parts = name.split("/")
    names = {posixpath.join(*parts[:depth], _WHITEOUT + parts[depth]) for depth in range(len(parts))}
    return names | {posixpath.join(*parts[:depth], _OPAQUE) for depth in range(1, len(parts))}
