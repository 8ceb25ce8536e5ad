"""The user's cluster profile that a run clones: found, checked, and never changed itself."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from palette.os_layer import PACK, OsLayer, ProviderCredentials
from palette.os_values import OsValues, UnusableValuesError
from palette.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from harness.sites.provider_kubernetes import Kubernetes
    from palette.client import ProjectView
    from palette.profiles import Pack, Profile
    from protected import Secret

CLOUD = "edge-native"
#: Keys of user data that make Palette ignore the profile's credentials (docs/palette.md §1.6), wherever they stand.
EXTERNAL = ("registryCredentials", "externalRegistries")
_EXTERNAL = re.compile(rf"""^[^#\n]*?(?<![\w-])({"|".join(EXTERNAL)})["']?[ \t]*:""", re.MULTILINE)
#: What stands for the provider image where there is none.
NO_IMAGE = re.compile(r"""^[ \t]+["']?system\.uri["']?[ \t]*:[ \t]*["']?NA["']?[ \t]*(?:#.*)?\r?$""", re.MULTILINE)


#: A layer with every change that a run makes: what the user's values cannot take is seen before a cluster is made.
_TRIAL = OsLayer("registry.example/provider:v1", ProviderCredentials("registry.example", "user", "password"))


class UnusableProfileError(ValueError):
    """The layers that the site file names cannot be a run's; the message says what to change, ``key`` where."""

    def __init__(self, message: str, key: str = "profile") -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class WantedProfile:
    """The profile that a site file names: by ``uid``, or by ``name`` and perhaps ``version`` (else the newest).

    ``os_values`` are given in place of its OS layer's, ``variables`` are what clusters give its variables.
    """

    name: str = ""
    version: str = ""
    uid: str = ""
    os_values: str | None = field(default=None, repr=False)
    variables: Mapping[str, str | Secret] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.uid or f"{self.name} {self.version}".strip()


@dataclass(frozen=True)
class BaseProfile:
    """The user's published profile.

    ``values`` are those of its OS layer, or what the site file gives for them. ``kubernetes`` is its Kubernetes layer.
    """

    uid: str
    name: str
    version: str
    values: OsValues
    kubernetes: Pack | None = None
    variables: Mapping[str, str | Secret] = field(default_factory=dict)

    def check_fit(self, held: Kubernetes | None) -> None:
        """Raise UnusableProfileError when the Kubernetes layer is not for what the provider image holds."""
        layer = self.kubernetes
        if held and layer and (said := held.misfit(layer.name, layer.tag)):
            advice = "name a profile or a provider image of the other's Kubernetes"
            raise UnusableProfileError(f"{self.name} {self.version}: {said}; {advice}")


def find_base(project: ProjectView, wanted: WantedProfile) -> BaseProfile:
    """Find and check the profile that a site file names; nothing is changed.

    Raises:
        UnusableProfileError: there is no such profile, or it cannot take the guide's changes.

    """
    profile = project.profiles.get(_uid(project, wanted))
    place = f"{profile.name} {profile.version}"
    if not profile.is_published:
        raise UnusableProfileError(f"{place} is a draft; publish it")
    if profile.cloud_type != CLOUD:
        raise UnusableProfileError(f"{place} is for {profile.cloud_type or 'no cloud'}; name one for {CLOUD}")
    pack = _os_pack(place, profile)
    if lacking := [layer for layer in ("k8s", "cni") if all(each.layer != layer for each in profile.packs)]:
        raise UnusableProfileError(f"{place} has no {' and no '.join(lacking)} layer; name one of a whole cluster")
    _check_variables(project, place, profile.uid, wanted.variables)
    values = pack.values if wanted.os_values is None else wanted.os_values
    if external := _EXTERNAL.search(values):
        found = f"the OS layer of {place} has {external[1]}"
        raise UnusableProfileError(f"{found}: Palette then ignores the credentials of the profile; remove it")
    if NO_IMAGE.search(values):
        said = f"the OS layer of {place} has system.uri: NA: its images are systemd extensions (Palette 4.10)"
        raise UnusableProfileError(f"{said}, so no provider image is pulled and the scenario does not exist there")
    try:
        checked = OsValues(values)
        checked.with_layer(_TRIAL)
    except UnusableValuesError as error:
        raise UnusableProfileError(f"the OS layer of {place}: {error}{_advice(error)}") from error
    kubernetes = next(pack for pack in profile.packs if pack.layer == "k8s")
    return BaseProfile(profile.uid, profile.name, profile.version, checked, kubernetes, wanted.variables)


def _check_variables(project: ProjectView, place: str, uid: str, given: Mapping[str, object]) -> None:
    known = project.profiles.variables(uid)
    if unknown := [name for name in given if name not in known]:
        there = ", ".join(known) or "none"
        said = f"{place} has no variable {', '.join(unknown)}; it has: {there}"
        raise UnusableProfileError(said, "profile.variables")
    if open_ := [name for name, one in known.items() if one.required and not one.default and name not in given]:
        said = f"{place} needs values for {', '.join(open_)}; write them under profile.variables"
        raise UnusableProfileError(said, "profile.variables")


def _advice(error: UnusableValuesError) -> str:
    return "; give the layer's values as they are with profile.os_values" if "is masked" in str(error) else ""


def _uid(project: ProjectView, wanted: WantedProfile) -> str:
    listed = list(project.profiles.list())
    found = [each for each in listed if each.uid == wanted.uid or (each.name == wanted.name and not wanted.uid)]
    if wanted.version:
        found = [each for each in found if each.version == wanted.version]
    if not found:
        there = ", ".join(sorted({f"{each.name} {each.version}" for each in listed})) or "none"
        raise UnusableProfileError(f"there is no cluster profile {wanted}; the project has: {there}")
    return max(found, key=lambda each: version_key(each.version)).uid


def _os_pack(place: str, profile: Profile) -> Pack:
    packs = [pack for pack in profile.packs if pack.layer == "os"]
    if len(packs) != 1 or packs[0].name != PACK:
        found = ", ".join(pack.name for pack in packs) or "none"
        raise UnusableProfileError(f"{place}: its OS layers are {found}; a run needs one, {PACK} (Bring Your Own OS)")
    return packs[0]
