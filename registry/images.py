"""Images in registries: push a layout, copy from one registry to another, read a file, delete.

Everything goes over the registry API, so no engine is needed and nothing is unpacked on the way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from registry.layout import ImageLayout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from registry.address import RegistryAddress
    from registry.client import Progress, RegistryClient
    from registry.manifests import Manifest

_FOREIGN = "nondistributable"  # layers with this in their media type are fetched elsewhere and not in any registry


@dataclass(frozen=True)
class Image:
    """An image or index in a registry. ``label`` is what it says of itself (``KAIROS_IMAGE_LABEL``), if known."""

    address: RegistryAddress
    repository: str
    tag: str
    digest: str
    label: str = ""

    @property
    def reference(self) -> str:
        """The reference by tag, as a profile's ``system.uri`` has it."""
        return self.address.reference(self.repository, self.tag)

    @property
    def pinned(self) -> str:
        """The reference by digest."""
        return self.address.reference(self.repository, self.digest)

    def at(self, address: RegistryAddress) -> Image:
        """Return the same image as it is reached through another address (the witness in front of the registry)."""
        return replace(self, address=address)


def push_layout(
    client: RegistryClient, directory: Path, repository: str, tag: str, *, progress: Progress | None = None
) -> Image:
    """Push the image (or index) of an OCI layout. Blobs that the registry has are not sent again.

    Raises :exc:`registry.layout.NotALayout` and :exc:`registry.client.RegistryError`.
    """
    layout = ImageLayout(directory)
    manifest = layout.manifest()
    _Transfer(_FromLayout(layout), client, repository, None, progress).run(manifest, tag)
    return Image(client.address, repository, tag, manifest.digest)


def find(client: RegistryClient, repository: str, reference: str) -> Image:
    """Return the image or index behind a tag or digest. Raises :exc:`RegistryError` (404) if there is none."""
    return Image(client.address, repository, reference, client.manifest(repository, reference).digest)


def copy(
    source: RegistryClient,
    image: Image,
    target: RegistryClient,
    *,
    repository: str,
    tag: str,
    progress: Progress | None = None,
) -> Image:
    """Copy an image (or index) between repositories or registries, each with its own credential; bytes unchanged."""
    manifest = source.manifest(image.repository, image.digest)
    mount_from = image.repository if source.address == target.address else None
    _Transfer(_FromRegistry(source, image.repository), target, repository, mount_from, progress).run(manifest, tag)
    return Image(target.address, repository, tag, manifest.digest, image.label)


class _Source(Protocol):
    """Where an image comes from."""

    def manifest(self, descriptor: Mapping[str, Any]) -> Manifest:
        """Return a manifest that an index points to."""

    def blob(self, digest: str) -> Iterable[bytes]:
        """Stream a blob."""


@dataclass(frozen=True)
class _FromLayout:
    layout: ImageLayout

    def manifest(self, descriptor: Mapping[str, Any]) -> Manifest:
        return self.layout.by_descriptor(descriptor)

    def blob(self, digest: str) -> Iterable[bytes]:
        return self.layout.pieces(digest)


@dataclass(frozen=True)
class _FromRegistry:
    client: RegistryClient
    repository: str

    def manifest(self, descriptor: Mapping[str, Any]) -> Manifest:
        return self.client.manifest(self.repository, descriptor["digest"])

    def blob(self, digest: str) -> Iterable[bytes]:
        return self.client.blob(self.repository, digest)


@dataclass(frozen=True)
class _Transfer:
    source: _Source
    target: RegistryClient
    repository: str
    mount_from: str | None
    progress: Progress | None

    def run(self, manifest: Manifest, reference: str) -> None:
        """Move what the manifest needs, then the manifest: a registry refuses one whose parts it has not."""
        content = manifest.content
        for child in content.get("manifests", ()):
            self.run(self.source.manifest(child), child["digest"])
        for descriptor in blobs_of(content):
            self.move(descriptor["digest"], descriptor["size"])
        self.target.push_manifest(self.repository, reference, manifest)

    def move(self, digest: str, size: int) -> None:
        pieces = _Pieces(self, digest, size)
        sent = self.target.push_blob(self.repository, digest, size, pieces, mount_from=self.mount_from)
        if not sent and self.progress:
            self.progress(digest, size, size)


@dataclass(frozen=True)
class _Pieces:
    """A blob on its way; it can be read again where an upload broke off."""

    transfer: _Transfer
    digest: str
    size: int

    def __iter__(self) -> Iterator[bytes]:
        moved = 0
        for piece in self.transfer.source.blob(self.digest):
            yield piece
            moved += len(piece)
            if self.transfer.progress:
                self.transfer.progress(self.digest, moved, self.size)


def blobs_of(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the descriptors of the blobs that an image's manifest needs from its registry, the configuration first."""
    if "config" not in content:
        return []
    return [content["config"], *(layer for layer in content["layers"] if _FOREIGN not in layer["mediaType"])]
