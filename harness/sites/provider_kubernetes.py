"""Which Kubernetes a provider image holds, and which packs are made for it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from requests import RequestException

from foreign import one_line
from palette.versions import release_of, revision_of
from registry.contents import find_file, platform_of
from registry.layout import ImageLayout
from registry.manifests import Manifest, RegistryError, document_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from harness.sites.site_file import RemoteImage

#: The pack of each distribution (docs/palette.md §3.3).
PACKS = {"k3s": "edge-k3s", "rke2": "edge-rke2", "kubeadm": "edge-k8s", "canonical": "edge-canonical"}
#: How an image says it: by labels, or by the same words in its release file (docs/palette.md §5.2).
_FACTS = ("KAIROS_SOFTWARE_VERSION_PREFIX", "KAIROS_SOFTWARE_VERSION")
_LABELS = (
    _FACTS,
    ("kairos.io/software-version-prefix", "kairos.io/software-version"),
    ("io.kairos.software-version-prefix", "io.kairos.software-version"),
)
_RELEASE_FILES = ("/etc/kairos-release", "/etc/os-release")
#: How the vendor's recipes name the images they build: distribution, Kubernetes version, and more.
_TAG = re.compile(r"(?P<distribution>k3s|rke2|kubeadm|canonical)(?:-fips)?-v?(?P<version>\d+\.\d+\.\d+)(?:-.*)?")
_DEEPEST_INDEX = 4
#: Compressed bytes of the largest layer that is looked into where nobody has to know.
QUICK = 64 << 20
_TAG_ANNOTATION = "org.opencontainers.image.ref.name"


@dataclass(frozen=True)
class Kubernetes:
    """A distribution (``k3s``, ``rke2``, ``kubeadm``, ``canonical``) and its version, such as ``v1.33.5+k3s1``."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return one_line(f"{self.distribution} {self.version}")

    def takes(self, tag: str) -> bool:
        """Return whether a pack with this tag is for this version; a revision counts where both have one."""
        revisions = {revision_of(tag), revision_of(self.version)} - {""}
        return release_of(tag) == release_of(self.version) and len(revisions) < 2  # noqa: PLR2004 - they are not alike

    def misfit(self, pack: str, tag: str) -> str:
        """Return why a Kubernetes layer does not fit; "" if it does, or if the pack is none of the vendor's."""
        if pack not in PACKS.values() or (PACKS.get(self.distribution) == pack and self.takes(tag)):
            return ""
        return f"{pack} {tag} does not fit the provider image, which holds {self}"


def kubernetes_of(image: Path | RemoteImage, largest: float = inf) -> Kubernetes | None:
    """Return what an image says that it holds, by label, tag or release file; None when it says nothing.

    The release file is looked for from the top layer down, until a layer is larger than ``largest`` (compressed bytes).
    Raises OSError, ValueError, LookupError, RegistryError and ``requests``' errors for an image that cannot be read.
    """
    if not isinstance(image, Path):
        with image.client() as client:
            repository = image.repository
            manifest = client.manifest(repository, image.reference)
            child = _single(manifest, lambda digest: client.manifest(repository, digest))
            return _found(child, lambda digest: client.blob(repository, digest), image.reference, largest)
    layout = ImageLayout(image)
    manifest = _single(layout.manifest(), lambda digest: Manifest(layout.path(digest).read_bytes(), ""))
    return _found(manifest, layout.pieces, _tag(layout), largest)


def held_kubernetes(image: Path | RemoteImage, largest: float = inf) -> Kubernetes | None:
    """Return the same, and None also for an image that cannot be read: whoever needs it will say so."""
    try:
        return kubernetes_of(image, largest)
    except (OSError, ValueError, LookupError, RegistryError, RequestException):
        return None


def _single(manifest: Manifest, child: Callable[[str], Manifest]) -> Manifest:
    for _ in range(_DEEPEST_INDEX):
        if not manifest.is_index:
            break
        real = [entry for entry in manifest.content["manifests"] if platform_of(entry)[0] == "linux"]
        manifest = child(real[0]["digest"])
    return manifest


def _tag(layout: ImageLayout) -> str:
    entries = json.loads((layout.directory / "index.json").read_bytes())["manifests"]
    return str(entries[0].get("annotations", {}).get(_TAG_ANNOTATION, ""))


def _found(manifest: Manifest, blob: Callable[[str], Iterator[bytes]], tag: str, largest: float) -> Kubernetes | None:
    configuration = document_of(blob(manifest.content["config"]["digest"]), "the provider image's configuration")
    said = configuration.get("config")
    labels = said.get("Labels") if isinstance(said, dict) else {}
    labels = labels if isinstance(labels, dict) else {}
    for names in _LABELS:
        if found := _of_facts(labels, names):
            return found
    if match := _TAG.fullmatch(tag):
        return Kubernetes(match["distribution"], f"v{match['version']}")
    return _of_facts(_release(_top(manifest, largest), blob), _FACTS)


def _top(manifest: Manifest, largest: float) -> Manifest:
    """Return an image of the uppermost layers only, down to the first that is too large to be looked into."""
    small = list(takewhile(lambda layer: _is_small(layer, largest), reversed(manifest.content["layers"])))
    return Manifest(json.dumps({**manifest.content, "layers": small[::-1]}).encode(), manifest.media_type)


def _is_small(layer: Mapping[str, object], largest: float) -> bool:
    size = layer.get("size")
    return isinstance(size, int) and size <= largest


def _release(manifest: Manifest, blob: Callable[[str], Iterator[bytes]]) -> Mapping[str, str]:
    for path in _RELEASE_FILES:
        try:
            text = find_file(blob, manifest, path, place="the provider image").decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        return {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in text.splitlines())}
    return {}


def _of_facts(facts: Mapping[str, Any], names: tuple[str, str]) -> Kubernetes | None:
    distribution, version = (str(facts.get(name) or "").strip() for name in names)
    distribution = distribution.lower().removesuffix("-fips").replace("pxk-e", "kubeadm")
    return Kubernetes(distribution, version) if distribution in PACKS and release_of(version) else None
