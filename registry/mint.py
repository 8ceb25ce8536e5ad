"""Mint provider images that no host has ever pulled: one tiny layer on top of an image that is in the registry.

A repave to an image that a host already has proves nothing about credentials. A minted image shares all lower layers
by digest, so it costs a few kilobytes and its pull a few milliseconds, and says of itself in ``/etc/kairos-release``
which one it is, so that a host can be asked what it booted.
"""

from __future__ import annotations

import gzip
import io
import json
import secrets
import tarfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from registry.contents import configuration, platform_of, read_file_of
from registry.images import Image
from registry.manifests import DOCKER_MANIFEST, Manifest, RegistryError, digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.client import RegistryClient

RELEASE = "/etc/kairos-release"
"""Where a Kairos system says which image it is."""

LABEL = "conformance.image.label"
"""The label in a minted image's configuration."""

_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
_MADE = 1767225600  # 2026-01-01: a time in the layer would make it different at every minting


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a minted image shall say and be.

    ``label`` becomes ``KAIROS_IMAGE_LABEL`` (default: the tag and random digits); ``release`` holds further fields of
    ``/etc/kairos-release``, as ``KAIROS_VERSION``; ``files`` further files (absolute path to content); with
    ``architecture`` the image claims to be for another machine than it is.
    """

    label: str = ""
    release: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    architecture: str | None = None


def mint(client: RegistryClient, source: Image, tag: str, *, difference: Difference | None = None) -> Image:
    """Put a variant of ``source`` under ``tag`` into its repository; return it.

    The same difference gives the same digest. Of an index every image is varied; attestations are left out, they
    speak of other digests. Raises :exc:`registry.client.RegistryError`.
    """
    difference = difference or Difference()
    if not difference.label:
        difference = replace(difference, label=f"{tag}-{secrets.token_hex(4)}")
    manifest = _Minting(client, source, difference).variant(client.manifest(source.repository, source.digest))
    client.push_manifest(source.repository, tag, manifest)
    return Image(source.address, source.repository, tag, manifest.digest, difference.label)


@dataclass(frozen=True)
class _Minting:
    client: RegistryClient
    source: Image
    difference: Difference

    def variant(self, manifest: Manifest) -> Manifest:
        return self._index(manifest) if manifest.is_index else self._image(manifest)

    def _index(self, manifest: Manifest) -> Manifest:
        content = manifest.content
        children = [child for child in content["manifests"] if platform_of(child)[0] != "unknown"]
        content["manifests"] = [self._child(child) for child in children]
        return _manifest(content, manifest.media_type)

    def _child(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        made = self.variant(self.client.manifest(self.source.repository, descriptor["digest"]))
        self.client.push_manifest(self.source.repository, made.digest, made)
        platform = dict(descriptor.get("platform", {}))
        if self.difference.architecture:
            platform["architecture"] = self.difference.architecture
        return {**descriptor, "digest": made.digest, "size": len(made.raw), "platform": platform}

    def _image(self, manifest: Manifest) -> Manifest:
        content = manifest.content
        config = configuration(self.client, self.source.repository, manifest)
        tar = _layer({RELEASE: self._release(manifest), **self.difference.files})
        layer = gzip.compress(tar, mtime=0)
        try:
            self._vary(config, digest_of(tar))
        except (KeyError, TypeError, ValueError, AttributeError):
            what = f"configuration of image {manifest.digest}"
            raise RegistryError(what, 0, "names no layers (rootfs.diff_ids): it is no image that boots") from None
        docker = manifest.media_type == DOCKER_MANIFEST
        content["layers"].append(self._put(layer, _DOCKER_LAYER if docker else _OCI_LAYER))
        content["config"] = self._put(json.dumps(config).encode(), content["config"]["mediaType"])
        return _manifest(content, manifest.media_type)

    def _vary(self, config: dict[str, Any], diff_id: str) -> None:
        config["rootfs"]["diff_ids"].append(diff_id)
        if "history" in config:
            config["history"].append({"created_by": f"conformance harness: {self.difference.label}"})
        settings = config.setdefault("config", {})
        settings["Labels"] = {**(settings.get("Labels") or {}), LABEL: self.difference.label}
        if self.difference.architecture:
            config["architecture"] = self.difference.architecture

    def _release(self, manifest: Manifest) -> bytes:
        try:
            before = read_file_of(self.client, self.source.repository, manifest, RELEASE).decode(
                "utf-8", "surrogateescape"
            )
        except FileNotFoundError:
            before = ""
        repo = f"{self.source.address}/{self.source.repository}"
        fields = {"KAIROS_IMAGE_LABEL": self.difference.label, "KAIROS_IMAGE_REPO": repo, **self.difference.release}
        return with_fields(before, fields).encode("utf-8", "surrogateescape")

    def _put(self, content: bytes, media_type: str) -> dict[str, Any]:
        digest = digest_of(content)
        self.client.push_blob(self.source.repository, digest, len(content), [content])
        return {"mediaType": media_type, "digest": digest, "size": len(content)}


def with_fields(text: str, fields: Mapping[str, str]) -> str:
    """Set shell-style ``NAME="value"`` lines of a release file; others stay, new ones follow.

    Raises :exc:`ValueError` for a value that cannot stand between double quotes as it is.
    """
    for name, value in fields.items():
        if any(character in value for character in '"$`\\\n'):
            raise ValueError(f"release field {name}: {value!r} has a quote, $, backquote, backslash or line end")
    kept = [line for line in text.splitlines() if line.partition("=")[0] not in fields]
    return "".join(f"{line}\n" for line in [*kept, *(f'{name}="{value}"' for name, value in fields.items())])


def _manifest(content: dict[str, Any], media_type: str) -> Manifest:
    return Manifest(json.dumps(content).encode(), media_type)


def _layer(files: Mapping[str, bytes]) -> bytes:
    """Return a layer with the files and no directories: an entry for /etc would change its mode and time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, content in sorted(files.items()):
            member = tarfile.TarInfo(path.lstrip("/"))
            member.size, member.mode, member.mtime = len(content), 0o644, _MADE
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
