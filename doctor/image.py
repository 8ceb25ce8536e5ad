"""What the provider image of a site file is: there at all, how large, for which machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import requests

from bounded.failures import connection_failure
from doctor.findings import Finding, Kind
from harness.sites.site_file import RemoteImage
from registry.contents import platform_of
from registry.images import blobs_of
from registry.layout import ImageLayout, NotALayout
from registry.manifests import RegistryError, document_of
from reports.text import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from registry.manifests import Manifest

#: How often its compressed size an image takes on a host: content, unpacked, and the other slot.
ROOM_FACTOR = 3


@dataclass(frozen=True)
class ImageFacts:
    """Compressed bytes of the largest image, and the architectures there are images for."""

    size: int
    architectures: frozenset[str]

    @property
    def room(self) -> int:
        """Bytes that a host needs for it."""
        return ROOM_FACTOR * self.size


def look_at_image(origin: Path | RemoteImage) -> ImageFacts | Finding:
    """Read manifests and configurations, and see that every blob of a layout is there."""
    try:
        return _remote(origin) if isinstance(origin, RemoteImage) else _layout(origin)
    except RegistryError as error:
        advice = "check the name and tag" if error.status == 404 else "check user name, password and rights there"  # noqa: PLR2004 - not found
        return Finding(Kind.NO_IMAGE, f"provider_image {origin}", str(error), advice)
    except requests.RequestException as error:
        told = connection_failure(error).message
        return Finding(Kind.NO_IMAGE, f"provider_image {origin}", told, "check the registry's name and authority")
    except (NotALayout, OSError, ValueError, KeyError) as error:
        advice = "copy the image again (skopeo copy docker://… oci:DIRECTORY)"
        return Finding(Kind.NO_IMAGE, f"provider_image {origin}", str(error), advice)


def _layout(directory: Path) -> ImageFacts:
    layout = ImageLayout(directory)
    facts = _facts(layout.manifest(), layout.by_descriptor, layout.pieces)

    def lacking(manifest: Manifest) -> list[str]:
        children = [
            found for child in manifest.content.get("manifests", ()) for found in lacking(layout.by_descriptor(child))
        ]
        blobs = [blob["digest"] for blob in blobs_of(manifest.content)]
        return children + [digest for digest in blobs if not layout.path(digest).is_file()]

    if gone := lacking(layout.manifest()):
        raise NotALayout(f"{directory} lacks {plural(len(gone), 'blob')}, the first is {gone[0]}")
    return facts


def _remote(image: RemoteImage) -> ImageFacts:
    with image.client() as client:
        return _facts(
            client.manifest(image.repository, image.reference),
            lambda descriptor: client.manifest(image.repository, descriptor["digest"]),
            lambda digest: client.blob(image.repository, digest),
        )


def _facts(
    manifest: Manifest, child: Callable[[Mapping[str, Any]], Manifest], blob: Callable[[str], Iterator[bytes]]
) -> ImageFacts:
    if manifest.is_index:
        real = [entry for entry in manifest.content["manifests"] if platform_of(entry)[0] == "linux"]
        sizes = [_size(child(entry)) for entry in real]
        return ImageFacts(max(sizes, default=0), frozenset(platform_of(entry)[1] for entry in real))
    configuration = document_of(blob(manifest.content["config"]["digest"]), "the image's configuration")
    return ImageFacts(_size(manifest), frozenset({str(configuration.get("architecture", "unknown"))}))


def _size(manifest: Manifest) -> int:
    sizes = (part.get("size") for part in blobs_of(manifest.content))
    return sum(size for size in sizes if isinstance(size, int) and size > 0)
