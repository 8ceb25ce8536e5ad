"""OCI image layouts: a directory that holds an image as files, as skopeo writes it, and written here, too."""

from __future__ import annotations

import hashlib
import json
import secrets
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal

from bounded import file_content
from registry.manifests import LARGEST_DOCUMENT, OCI_INDEX, OCI_MANIFEST, Manifest, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_TAG = "org.opencontainers.image.ref.name"
_CHUNK = 1 << 20
_GZIP = 16  # tells zlib to write gzip's header, without a name or time: the same tar gives the same bytes


class NotALayout(ValueError):  # noqa: N818 - it says what is the matter
    """A directory is no OCI image layout, or has no such image; the message names the file."""


@dataclass(frozen=True)
class ImageLayout:
    """An OCI image layout in ``directory``."""

    directory: Path

    def manifest(self, tag: str | None = None) -> Manifest:
        """Return the image or index named ``tag``; without a name the only one there is. Raises :exc:`NotALayout`."""
        path = self.directory / "index.json"
        try:
            entries = json.loads(file_content(path))["manifests"]
            names = [str((entry.get("annotations") or {}).get(_TAG, "(unnamed)")) for entry in entries]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise NotALayout(f"{path}: no index of an OCI image layout ({error})") from error
        found = [entry for entry, name in zip(entries, names, strict=True) if tag in (None, name)]
        if len(found) != 1:
            there = ", ".join(sorted(names))
            raise NotALayout(f"{path}: {len(found)} images called {tag or 'anything'}; there are: {there}")
        return self.by_descriptor(found[0])

    def by_descriptor(self, descriptor: Mapping[str, Any]) -> Manifest:
        """Return the manifest that a descriptor points to. Raises :exc:`NotALayout`, OSError."""
        digest, media_type = str(descriptor.get("digest")), str(descriptor.get("mediaType"))
        return Manifest(file_content(self.path(digest), LARGEST_DOCUMENT), media_type)

    def path(self, digest: str) -> Path:
        """Return the file of a blob."""
        algorithm, _, value = digest.partition(":")
        if not (algorithm.isalnum() and value.isalnum()):
            raise NotALayout(f"{self.directory}: {digest!r} is no digest")
        return self.directory / "blobs" / algorithm / value

    def pieces(self, digest: str) -> Iterator[bytes]:
        """Stream a blob."""
        with self.path(digest).open("rb") as stream:
            yield from iter(lambda: stream.read(_CHUNK), b"")


def write_layout(
    directory: Path,
    layers: Sequence[Path],
    *,
    tag: str,
    config: Mapping[str, Any] | None = None,
    architecture: str = "amd64",
    labels: Mapping[str, str] | None = None,
    compress: Literal["gzip", "none"] = "gzip",
) -> ImageLayout:
    """Write an image whose layers are the given uncompressed tars, lowest first, as a layout; shared blobs are kept.

    ``config`` is the image configuration's ``config`` object (``Cmd``, ``Env`` …). The same input gives the same
    digests. Compression is at the fastest level: these images travel over a loopback interface.
    """
    layout = ImageLayout(directory)
    (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    stored = [_store_layer(layout, layer, compress) for layer in layers]
    image = {
        "architecture": architecture,
        "os": "linux",
        "config": {**(config or {}), "Labels": dict(labels or {})},
        "rootfs": {"type": "layers", "diff_ids": [diff_id for diff_id, _ in stored]},
        "history": [{"created_by": "conformance harness"} for _ in stored],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _store(layout, json.dumps(image).encode(), OCI_CONFIG),
        "layers": [descriptor for _, descriptor in stored],
    }
    _store_index(layout, tag, _store(layout, json.dumps(manifest).encode(), OCI_MANIFEST))
    return layout


def _store_index(layout: ImageLayout, tag: str, descriptor: dict[str, Any]) -> None:
    path = layout.directory / "index.json"
    entries = json.loads(path.read_text())["manifests"] if path.exists() else []
    kept = [entry for entry in entries if entry.get("annotations", {}).get(_TAG) != tag]
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [*kept, {**descriptor, "annotations": {_TAG: tag}}],
    }
    _replace(path, json.dumps(index).encode())
    _replace(layout.directory / "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def _store(layout: ImageLayout, content: bytes, media_type: str) -> dict[str, Any]:
    digest = digest_of(content)
    _replace(layout.path(digest), content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _store_layer(layout: ImageLayout, tar: Path, compress: str) -> tuple[str, dict[str, Any]]:
    """Return the layer's diff id (of the tar) and its descriptor (of the blob)."""
    unfinished = layout.directory / f".layer-{secrets.token_hex(4)}"
    plain, packed = hashlib.sha256(), hashlib.sha256()
    try:
        with tar.open("rb") as source, unfinished.open("wb") as target:
            for piece in _packed(source, plain, compress):
                packed.update(piece)
                target.write(piece)
        digest = f"sha256:{packed.hexdigest()}"
        unfinished.replace(layout.path(digest))
    finally:
        unfinished.unlink(missing_ok=True)
    kind, size = OCI_LAYER + ("+gzip" if compress == "gzip" else ""), layout.path(digest).stat().st_size
    return f"sha256:{plain.hexdigest()}", {"mediaType": kind, "digest": digest, "size": size}


def _packed(source: IO[bytes], plain: hashlib._Hash, compress: str) -> Iterator[bytes]:
    packer = zlib.compressobj(level=1, wbits=zlib.MAX_WBITS | _GZIP) if compress == "gzip" else None
    for piece in iter(lambda: source.read(_CHUNK), b""):
        plain.update(piece)
        yield packer.compress(piece) if packer else piece
    if packer:
        yield packer.flush()


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    unfinished.write_bytes(content)
    unfinished.replace(path)
