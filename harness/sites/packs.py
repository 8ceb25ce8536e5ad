"""The ``packs`` of a site file: the Kubernetes, network and storage layers of a site without a profile of its own."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.sites.base_profile import UnusableProfileError
from harness.sites.provider_kubernetes import PACKS, Kubernetes
from harness.sites.site_references import text_at
from palette.errors import NotFoundError
from palette.os_layer import PACK
from palette.packs import PUBLIC_REGISTRY
from palette.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sites.site_references import SiteText
    from palette.client import ProjectView
    from palette.packs import PackVersions
    from palette.profiles import Pack

CNI = "cni-calico"
_SHOWN = 8  # tags of a pack in a message


@dataclass(frozen=True)
class WantedPack:
    """A layer as a site file has it; what is "" or None is derived, or as the registry has it."""

    name: str = ""
    tag: str = ""
    registry: str = PUBLIC_REGISTRY
    values: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class WantedPacks:
    """The layers above the operating system; without ``csi`` there is no storage layer."""

    kubernetes: WantedPack = WantedPack()
    cni: WantedPack = WantedPack(CNI)
    csi: WantedPack | None = None


def read_packs(site: SiteText, given: Mapping[str, Any] | None) -> WantedPacks:
    """Read the section. Raises BadSiteFileError."""
    return WantedPacks(**{layer: _wanted(site, layer, pack) for layer, pack in (given or {}).items()})


def _wanted(site: SiteText, layer: str, given: Mapping[str, str]) -> WantedPack:
    text = text_at(site, f"packs.{layer}.values", given.get("values"))
    return WantedPack(given.get("name", ""), given.get("tag", ""), given.get("registry", PUBLIC_REGISTRY), text)


def find_packs(project: ProjectView, wanted: WantedPacks, held: Kubernetes | None) -> tuple[Pack, ...]:
    """Return the packs of a profile, the OS layer first; ``held`` is what the provider image holds.

    Raises:
        UnusableProfileError: a layer can neither be found nor derived; the message names the key to write.

    """
    layers = [("cni", wanted.cni), *([("csi", wanted.csi)] if wanted.csi else [])]
    return (
        newest(_versions(project, "os", WantedPack(PACK)).by_tag),
        _kubernetes(project, wanted.kubernetes, held),
        *(_chosen(project, layer, pack) for layer, pack in layers),
    )


def _kubernetes(project: ProjectView, wanted: WantedPack, held: Kubernetes | None) -> Pack:
    key = "packs.kubernetes"
    if held is None and not (wanted.name and wanted.tag):
        found = "what Kubernetes the provider image holds is said neither by its labels, its tag nor its release file"
        raise UnusableProfileError(f"{found}; write {key}.name and {key}.tag", key)
    name = wanted.name or PACKS[held.distribution] if held else wanted.name
    if wanted.tag:
        pack = _chosen(project, "kubernetes", WantedPack(name, wanted.tag, wanted.registry, wanted.values))
        if held and (said := held.misfit(pack.name, pack.tag)):
            raise UnusableProfileError(f"{said}; correct {key}, or name another provider image", key)
        return pack
    assert held is not None
    versions = _versions(project, "kubernetes", WantedPack(name, registry=wanted.registry))
    if name in PACKS.values() and name != PACKS[held.distribution]:
        raise UnusableProfileError(f"{held.misfit(name, '(any tag)')}; write {PACKS[held.distribution]}", f"{key}.name")
    fitting = {tag: pack for tag, pack in versions.by_tag.items() if held.takes(tag)}
    if not fitting:
        said = f"the provider image holds {held}, and {name} has no such tag: it has {_tags(versions)}"
        raise UnusableProfileError(f"{said}; write {key}.tag, or name another provider image", f"{key}.tag")
    return _with(newest(fitting), wanted)


def _chosen(project: ProjectView, layer: str, wanted: WantedPack) -> Pack:
    versions = _versions(project, layer, wanted)
    if wanted.tag and wanted.tag not in versions.by_tag:
        said = f"{wanted.name} has no tag {wanted.tag}; it has {_tags(versions)}"
        raise UnusableProfileError(said, f"packs.{layer}.tag")
    return _with(versions.by_tag[wanted.tag] if wanted.tag else newest(versions.by_tag), wanted)


def _versions(project: ProjectView, layer: str, wanted: WantedPack) -> PackVersions:
    try:
        registry = project.registries.named(wanted.registry)
    except LookupError as error:
        raise UnusableProfileError(f"{error.args[0]}; correct it", f"packs.{layer}.registry") from None
    try:
        found = project.packs.versions(wanted.name, registry.uid)
    except NotFoundError:
        found = None
    if not found or not found.by_tag:
        said = f"the pack registry {registry.name} has no pack {wanted.name} for Edge clusters; correct its name"
        raise UnusableProfileError(said, f"packs.{layer}.name")
    return found


def newest(by_tag: Mapping[str, Pack]) -> Pack:
    """Return the pack of the newest tag."""
    return by_tag[max(by_tag, key=version_key)]


def _with(pack: Pack, wanted: WantedPack) -> Pack:
    return pack if wanted.values is None else replace(pack, values=wanted.values)


def _tags(versions: PackVersions) -> str:
    tags = sorted(versions.by_tag, key=version_key, reverse=True)
    return ", ".join(tags[:_SHOWN]) + (", …" if len(tags) > _SHOWN else "")
