"""Look into an image that is in a registry: its configuration, and single files, without unpacking it."""

from __future__ import annotations

import io
import posixpath
import tarfile
import zlib
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, cast

import zstandard

from engine.pieces import Pieces
from registry.manifests import Manifest, RegistryError, document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from registry.client import RegistryClient

#: Bytes that are read of one file of an image.
LARGEST_FILE = 16 << 20
LARGEST_MEMBER = 16 << 30
#: Bytes of all files of a layer; a few MiB can be packed that unpack without end.
LARGEST_LAYER = 64 << 30
#: What a header that no archiver wrote makes tarfile raise.
_ODD = (ValueError, OverflowError, RecursionError, LookupError)
_MOST_LINKS = 8  # as many hops as anybody sane uses; a circle ends here
_ZSTD = (
    b"\x28\xb5\x2f\xfd",
    *(bytes((kind, 0x2A, 0x4D, 0x18)) for kind in range(0x50, 0x60)),
)  # frames, also skippable
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"

_files: dict[tuple[str, str], bytes] = {}  # by manifest digest and path: content that can never change


class _Elsewhere(Exception):  # noqa: N818 - a message between two functions
    """The path is a link; it continues there."""


def platform_of(descriptor: Mapping[str, Any]) -> tuple[str, str]:
    """Return operating system and architecture that an index says of an image."""
    said = descriptor.get("platform")
    platform = said if isinstance(said, dict) else {}
    return str(platform.get("os", "unknown")), str(platform.get("architecture", "unknown"))


def configuration(client: RegistryClient, repository: str, manifest: Manifest) -> dict[str, Any]:
    """Return an image's configuration document."""
    pieces = client.blob(repository, manifest.content["config"]["digest"])
    return document_of(pieces, f"configuration of image {manifest.digest}")


def read_file_of(client: RegistryClient, repository: str, manifest: Manifest, path: str) -> bytes:
    """Return the bytes of the file at the absolute ``path`` of a single image, following links.

    Layers are streamed from the top until one has the file; each that is looked at is verified whole. Raises
    :exc:`FileNotFoundError` when no layer has it or an upper one deletes it.
    """
    return find_file(lambda digest: client.blob(repository, digest), manifest, path, place=repository)


def find_file(blob: Callable[[str], Iterator[bytes]], manifest: Manifest, path: str, *, place: str) -> bytes:
    """Do the same for an image whose blobs are read by digest with ``blob``; messages name it by its ``place``."""
    key = (manifest.digest, path)
    if key not in _files:
        _files[key] = _through_links(blob, place, manifest, path)
    return _files[key]


def _through_links(blob: Callable[[str], Iterator[bytes]], place: str, manifest: Manifest, path: str) -> bytes:
    wanted = path
    for _ in range(_MOST_LINKS):
        try:
            return _from_layers(blob, place, manifest, wanted)
        except _Elsewhere as link:
            wanted = posixpath.normpath(posixpath.join(posixpath.dirname(wanted), str(link)))
    raise FileNotFoundError(f"{path} of image {manifest.digest}: more than {_MOST_LINKS} links")


def _from_layers(blob: Callable[[str], Iterator[bytes]], place: str, manifest: Manifest, path: str) -> bytes:
    name = path.lstrip("/")
    for layer in reversed(manifest.content["layers"]):
        try:
            found, hidden = _look(blob(layer["digest"]), name)
        except (tarfile.TarError, zlib.error, zstandard.ZstdError, EOFError, *_ODD) as error:
            what = f"layer {layer['digest']} of {place}"
            raise RegistryError(
                what, 0, f"cannot be unpacked ({type(error).__name__}); tar, gzip or zstd is right"
            ) from None
        if found is not None:
            return found
        if hidden:
            break
    raise FileNotFoundError(f"image {place}@{manifest.digest} has no file {path}")


def _unpacked(first: bytes, rest: Iterator[bytes]) -> tuple[Pieces, IO[bytes]]:
    """Return a layer's stream, and the same without zstd, which tarfile knows only from Python 3.14 on."""
    stream = Pieces(chain([first], rest))
    readable = cast("IO[bytes]", stream)
    if first[:4] not in _ZSTD:
        return stream, readable
    reader = zstandard.ZstdDecompressor().stream_reader(readable, read_across_frames=True)
    return stream, cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", reader)))


def _look(layer: Iterator[bytes], name: str) -> tuple[bytes | None, bool]:
    """Return the file's bytes if this layer has it, and whether it hides the file from what lies below."""
    hiding = _hiding_names(name)
    found: bytes | None = None
    target, hidden, size = "", False, 0
    stream, tarred = _unpacked(next(layer, b""), layer)
    with tarfile.open(fileobj=tarred, mode="r|*") as tar:
        for member in tar:  # to the end: a later entry of the same name replaces an earlier one
            size += member.size
            if (
                member.size > LARGEST_MEMBER or size > LARGEST_LAYER
            ):  # tarfile would look for its end in small steps, also past the layer's
                raise tarfile.ReadError("a file larger than any in a layer")
            entry = posixpath.normpath(member.name).lstrip("/")
            hidden = hidden or entry in hiding
            if entry == name:
                target = member.linkname if member.issym() else f"/{member.linkname}" if member.islnk() else ""
                content = tar.extractfile(member) if member.isreg() else None
                found = content.read(LARGEST_FILE) if content else None
    stream.drain()
    if target:
        raise _Elsewhere(target)
    return found, hidden


def _hiding_names(name: str) -> set[str]:
    """Return the whiteout entries (OCI image specification, layers) that delete ``name`` or a directory above it."""
    parts = name.split("/")
    names = {posixpath.join(*parts[:depth], _WHITEOUT + parts[depth]) for depth in range(len(parts))}
    return names | {posixpath.join(*parts[:depth], _OPAQUE) for depth in range(1, len(parts))}
