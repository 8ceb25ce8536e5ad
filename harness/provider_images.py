"""Provider images by name: ``v1``, ``v2`` … put into the private registry when a case first asks for them.

Each name is an image of its own that no host has ever pulled, minted from the site's provider image.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import requests

from bounded.failures import connection_failure
from harness.brief import Brief
from harness.sites.site_file import RemoteImage
from registry.existing import wipe
from registry.images import Image, copy, find, push_layout
from registry.manifests import RegistryError
from registry.mint import Difference, mint

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from harness.sites.site_file import SiteFile
    from registry.address import RegistryAddress
    from registry.client import RegistryClient

REPOSITORY = "conformance/provider"
#: Seconds after which somebody who waits wants to know how far it is.
SILENCE = 5.0
MIB = 1 << 20


def repository_of(run: str, site: SiteFile) -> str:
    """Return the repository of a run's images.

    Where the registry's address outlives the run it is the run's own: hosts keep what they pulled, and an image of a
    name that they have is not pulled again.
    """
    outlives = site.existing_registry is not None or site.registry_port
    return f"conformance/{run}/provider" if outlives else REPOSITORY


@dataclass
class Copying:
    """Says every few seconds how far the copying of an image is: whole provider images are gigabytes."""

    say: Callable[[str], None]
    _moved: dict[str, int] = field(default_factory=dict)
    _said: float = 0.0

    def __call__(self, digest: str, moved: int, size: int) -> None:
        """Hear of ``moved`` bytes of a blob of ``size``."""
        self._moved[digest], now = moved, time.monotonic()
        self._said = self._said or now
        if now - self._said >= SILENCE:
            self._said = now
            whole, share = sum(self._moved.values()) / MIB, moved / max(1, size)
            self.say(f"{whole:.0f} MiB of the provider image are there; a layer of {size / MIB:.0f} MiB: {share:.0%}")


@dataclass(repr=False)
class ProviderImages(Brief):
    """The provider images of a run; ``mark`` tells those of a run that goes on from those that it made before."""

    client: RegistryClient
    origin: Path | RemoteImage
    say: Callable[[str], None]
    address: RegistryAddress
    repository: str = REPOSITORY
    mark: str = ""
    _base: Image | None = None
    _named: dict[str, Image] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def base(self) -> Image:
        """The site's provider image, as it is in the private registry; pushed at first use."""
        if self._base is None:
            self.say("putting the provider image into the private registry")
            self._base = self._brought()
        return self._base

    def _brought(self) -> Image:
        progress = Copying(self.say)
        if not isinstance(self.origin, RemoteImage):
            return push_layout(self.client, self.origin, self.repository, "base", progress=progress)
        with self.origin.client() as source:
            image = find(source, self.origin.repository, self.origin.reference)
            return copy(source, image, self.client, repository=self.repository, tag="base", progress=progress)

    def named(self, name: str) -> Image:
        """Return the image that this run calls ``name``."""
        if name not in self._named:
            minted = mint(self.client, self.base, name, difference=Difference(label=name))
            self._named[name] = minted.at(self.address)
        return self._named[name]

    def remove(self) -> list[str]:
        """Delete every image of the run from the registry; return a line for each that is still there."""
        try:
            return wipe(self.client, self.repository)
        except (RegistryError, requests.RequestException) as error:
            why = error if isinstance(error, RegistryError) else connection_failure(error).message
            return [f"images in {self.client.address}/{self.repository}: {why}"]

    def fresh(self) -> Image:
        """Return an image that no host has pulled before."""
        return self.named(f"fresh-{next(self._numbers)}{self.mark}")

    def moved(self, image: Image) -> Image:
        """Put another image under the tag of one of ours, and return it."""
        difference = Difference(label=f"{image.label}-moved")
        return mint(self.client, self.base, image.tag, difference=difference).at(self.address)

    def for_architecture(self, architecture: str) -> Image:
        """Return an image that says it is for another machine than the hosts are."""
        name = f"for-{architecture}"
        if name not in self._named:
            difference = Difference(label=name, architecture=architecture)
            self._named[name] = mint(self.client, self.base, name, difference=difference).at(self.address)
        return self._named[name]
