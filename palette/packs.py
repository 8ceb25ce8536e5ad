"""Pack registries and the packs in them: which pack, version and values a profile's layer is made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from palette.profiles import Layer, Pack
from palette.reading import at, items, text
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PUBLIC_REGISTRY = "Public Repo"
"""The name of the vendor's pack registry (docs/palette.md §3.2)."""


@dataclass(frozen=True)
class PackRegistry:
    """A registry of packs (not of images)."""

    uid: str
    name: str
    kind: str
    scope: str


@dataclass(frozen=True)
class Registries:
    """The registries of the tenant."""

    scope: Scope

    def list(self) -> Iterator[PackRegistry]:
        """Yield every registry that can be seen."""
        call = Call("GET", "/v1/registries/metadata", {"scope": "all"}, in_project=False)
        for item in items(self.scope.ask(call), "items"):
            yield PackRegistry(text(item, "uid"), text(item, "name"), text(item, "kind"), text(item, "scope"))

    def named(self, name: str = PUBLIC_REGISTRY) -> PackRegistry:
        """Return the registry of that name. Raises LookupError that names those there are."""
        found = {registry.name: registry for registry in self.list()}
        if name not in found:
            raise LookupError(f"no pack registry {name!r}; there are {', '.join(sorted(found)) or 'none'}")
        return found[name]


@dataclass(frozen=True)
class PackVersions:
    """A pack in a registry: its layer, and a ready :class:`Pack` with default values for every tag."""

    name: str
    layer: str
    registry_uid: str
    by_tag: Mapping[str, Pack] = field(repr=False)


@dataclass(frozen=True)
class Packs:
    """The packs that a project can use."""

    scope: Scope

    def versions(self, name: str, registry_uid: str, *, layer: Layer | None = None) -> PackVersions:
        """Read a pack's tags and default values. Raises NotFoundError."""
        path = at("/v1/packs/{packName}/registries/{registryUid}", packName=name, registryUid=registry_uid)
        answer = self.scope.ask(Call("GET", path, {"cloudType": "edge-native", "layer": layer}))
        return _versions(answer, name, registry_uid)


def _versions(answer: Mapping[str, Any], name: str, registry_uid: str) -> PackVersions:
    layer = text(answer, "layer")
    values = {text(item, "packUid"): text(item, "values") for item in items(answer, "packValues")}
    packs = [
        Pack(name, text(item, "packUid"), text(item, "tag"), values.get(text(item, "packUid"), ""), layer, registry_uid)
        for item in items(answer, "tags")
    ]
    return PackVersions(name, layer, registry_uid, {pack.tag: pack for pack in packs})
