"""What a cluster profile must be like, and how sent packs, versions and variables become stored ones."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import TYPE_CHECKING, Any

from lab.palette.catalogue import REGISTRY_UID, CataloguePack, by_name, by_uid
from lab.palette.errors import ApiError, conflict, invalid
from lab.palette.masking import MASK, holds_mask, unmasked
from lab.palette.rendering import forbidden_variable
from lab.palette.store import Attached, PackRecord, ProfileRecord, Store, Template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lab.palette.settings import Masks

Json = dict[str, Any]

_NUMBER = r"(?:0|[1-9]\d*)"
_PART = rf"(?:{_NUMBER}|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_PART}(?:\.{_PART})*)?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
DEFAULT_VERSION = "1.0.0"
_NEEDED_LAYERS = ("os", "k8s", "cni")


def check_version(version: str, place: str) -> None:
    """Raise ApiError 400 unless the version is strict semantic versioning (docs/palette.md R-049)."""
    if not _VERSION.fullmatch(version):
        raise invalid(place, f"'{version}' is no version; write it as major.minor.patch[-pre], such as 1.2.0")


def check_free(store: Store, project: str | None, name: str, version: str, but: str = "") -> None:
    """Raise ApiError 409 when the scope already has that version of that profile; ``but`` is not looked at."""
    for profile in store.profiles.values():
        if profile.meta.uid == but or profile.meta.project != project:
            continue
        if (profile.meta.name, profile.version) == (name, version):
            message = f"there is already a cluster profile '{name}' of version {version}; choose another version"
            raise conflict("ClusterProfileAlreadyExists", message)


def checked_values(values: str, place: str, before: str, masks: Masks) -> str:
    """Return the values to keep. Raises ApiError 400 when the mask stands where a password belongs."""
    if masks == "unchanged" and holds_mask(values):
        values = unmasked(values, before)
    if holds_mask(values):
        problem = f"providerCredentials.password is the mask '{MASK}'; write the password itself or a macro"
        raise invalid(place, problem, "MaskedValue")
    return values


def make_template(sent: Json, place: str, masks: Masks, before: Template | None = None) -> Template:
    """Make layers of what was sent; values that were not sent stay as ``before``. Raises ApiError 400."""
    packs: list[PackRecord] = []
    for position, pack in enumerate(sent.get("packs", [])):
        here = f"{place}.packs[{position}]"
        if any(known.name == pack["name"] for known in packs):
            raise invalid(f"{here}.name", f"'{pack['name']}' is there twice")
        packs.append(make_pack(pack, here, masks, before.pack(pack["name"]) if before else None))
    kind = sent.get("type") or (before.type if before else "cluster")
    cloud = sent.get("cloudType") or (before.cloud_type if before else "edge-native")
    if cloud not in {"edge-native", "all"}:
        raise invalid(f"{place}.cloudType", f"the lab has edge-native only, not '{cloud}'")
    return Template(kind, cloud, tuple(packs))


def make_pack(sent: Json, place: str, masks: Masks, before: PackRecord | None = None) -> PackRecord:
    """Make one layer of what was sent. Raises ApiError 400."""
    kind = sent.get("type") or (before.type if before else "spectro")
    uid, tag, layer, default = _identify(sent, place, before) if kind == "spectro" else _foreign(sent, place, before)
    values = sent.get("values")
    if values is None:
        values = before.values if before else default
    values = checked_values(values, f"{place}.values", before.values if before else default, masks)
    registry = sent.get("registryUid") or (before.registry_uid if before else REGISTRY_UID)
    if kind == "spectro" and registry != REGISTRY_UID:
        raise invalid(f"{place}.registryUid", f"there is no pack registry '{registry}'")
    manifests = tuple((m.get("name", ""), m.get("content", "")) for m in sent.get("manifests", []))
    pack = PackRecord(sent["name"], layer, kind, tag, uid, registry, values, manifests)
    problem = forbidden_variable(pack)
    if problem:
        raise invalid(f"{place}.values", problem, "InvalidVariableUsage")
    return pack


def _identify(sent: Json, place: str, before: PackRecord | None) -> tuple[str, str, str, str]:
    """Identity, tag, layer and default values of a pack of the registry."""
    known = by_name(sent["name"])
    if known is None:
        raise invalid(f"{place}.name", f"the registry has no pack '{sent['name']}'")
    uid = sent.get("uid") or ("" if sent.get("tag") or not before else before.uid)
    found = by_uid(uid) if uid else (known, _version(known, sent.get("tag", ""), place))
    if found is None or found[0] is not known:
        raise invalid(f"{place}.uid", f"'{uid}' is no version of pack '{known.name}'")
    layer = sent.get("layer", known.layer)
    if layer != known.layer:
        raise invalid(f"{place}.layer", f"pack '{known.name}' is of layer {known.layer}, not {layer}")
    return known.uid(found[1]), sent.get("tag") or found[1], layer, known.values


def _version(pack: CataloguePack, tag: str, place: str) -> str:
    if not tag:
        return pack.latest
    wanted = tag.removesuffix("x")
    matching = [v for v in pack.versions if v == tag or (tag.endswith(".x") and v.startswith(wanted))]
    if not matching:
        raise invalid(f"{place}.tag", f"pack '{pack.name}' has {', '.join(pack.versions)}, not '{tag}'")
    return matching[-1]


def _foreign(sent: Json, place: str, before: PackRecord | None) -> tuple[str, str, str, str]:
    layer = sent.get("layer") or (before.layer if before else "addon")
    if layer in _NEEDED_LAYERS and layer != "cni":
        raise invalid(f"{place}.type", f"layer {layer} takes a pack of type spectro")
    return sent.get("uid", ""), sent.get("tag", ""), layer, ""


def template_problems(template: Template) -> list[tuple[str, str, str]]:
    """Name what keeps layers from being deployed: pack (or layer), code and sentence of each."""
    if template.type == "add-on":
        return []
    layers = [pack.layer for pack in template.packs]
    problems = [
        (layer, "LayerMissing", f"the profile has no {layer} layer") for layer in _NEEDED_LAYERS if layer not in layers
    ]
    doubled = {layer for layer in _NEEDED_LAYERS if layers.count(layer) > 1}
    problems += [(layer, "LayerDoubled", f"the profile has more than one {layer} layer") for layer in sorted(doubled)]
    return problems


def publish(profile: ProfileRecord) -> None:
    """Make the draft what clusters use. Raises ApiError 400 when a layer is missing."""
    if profile.draft is None:
        return
    problems = template_problems(profile.draft)
    if problems:
        raise ApiError(400, problems[0][1], "; ".join(sentence for _pack, _code, sentence in problems))
    profile.published, profile.draft = profile.draft, None
    profile.meta.touch()


def make_variables(sent: Sequence[Json], place: str, before: Sequence[Json] = ()) -> list[Json]:
    """Check variable definitions. Raises ApiError 400.

    Names may not hold hyphens, for the template engine rejects them (docs/palette.md R-069).
    """
    names: set[str] = set()
    for position, variable in enumerate(sent):
        here = f"{place}[{position}]"
        if not _VARIABLE_NAME.fullmatch(variable["name"]):
            raise invalid(f"{here}.name", f"'{variable['name']}' is no variable name; use letters, digits and '_'")
        if variable["name"] in names:
            raise invalid(f"{here}.name", f"'{variable['name']}' is there twice")
        names.add(variable["name"])
        if variable.get("isSensitive") and variable.get("defaultValue") == MASK:
            raise invalid(f"{here}.defaultValue", f"is the mask '{MASK}'; write the value itself", "MaskedValue")
        check_variable(variable, variable.get("defaultValue", ""), f"{here}.defaultValue")
    return [v for v in before if v["name"] not in names] + list(sent)


def check_variable(variable: Json, value: str, place: str) -> None:
    """Raise ApiError 400 when the value is not of the variable's format; an empty one is no value."""
    test = _FORMATS.get(variable.get("format", "string"))
    if value and test is not None and not test(value):
        raise invalid(place, f"the value of '{variable['name']}' is not of format {variable['format']}")
    pattern = variable.get("regex")
    if value and pattern and not re.search(pattern, value):
        raise invalid(place, f"the value of '{variable['name']}' does not match {pattern}")


def _succeeds(read: Callable[[str], object]) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        try:
            read(value)
        except (ValueError, binascii.Error):
            return False
        return True

    return test


_FORMATS: Mapping[str, Callable[[str], bool]] = {
    "number": _succeeds(float),
    "boolean": lambda value: value in {"true", "false"},
    "ipv4": _succeeds(ipaddress.IPv4Address),
    "ipv4cidr": _succeeds(ipaddress.IPv4Network),
    "ipv6": _succeeds(ipaddress.IPv6Address),
    "version": lambda value: _VERSION.fullmatch(value.removeprefix("v")) is not None,
    "base64": _succeeds(lambda value: base64.b64decode(value, validate=True)),
}


def attach(profile: ProfileRecord, sent: Json, place: str, masks: Masks, before: Attached | None = None) -> Attached:
    """Make what a cluster uses of a published profile version. Raises ApiError 400.

    ``before`` is the same version as the cluster uses it already: its own values and variables stay where none
    are sent.
    """
    if profile.published is None:
        message = f"version {profile.version} of profile '{profile.meta.name}' is a draft; publish it first"
        raise invalid(f"{place}.uid", message, "ClusterProfileNotPublished")
    overrides = dict(before.overrides) if before else {}
    for position, values in enumerate(sent.get("packValues", [])):
        here = f"{place}.packValues[{position}]"
        pack = profile.published.pack(values["name"])
        if pack is None:
            raise invalid(f"{here}.name", f"profile '{profile.meta.name}' has no pack '{values['name']}'")
        if values.get("values"):
            was = overrides.get(pack.name, pack.values)
            overrides[pack.name] = checked_values(values["values"], f"{here}.values", was, masks)
    return Attached(
        profile.meta.uid,
        profile.meta.name,
        profile.version,
        profile.published,
        tuple(profile.variables),
        overrides,
        variable_values(profile.variables, sent, place, dict(before.variable_values) if before else {}),
    )


def variable_values(definitions: Sequence[Json], sent: Json, place: str, before: dict[str, str]) -> dict[str, str]:
    """Return a cluster's values of variables. Raises ApiError 400 for an unknown, malformed or missing one."""
    defined = {variable["name"]: variable for variable in definitions}
    for position, variable in enumerate(sent.get("variables", [])):
        here = f"{place}.variables[{position}]"
        definition = defined.get(variable["name"])
        if definition is None:
            raise invalid(f"{here}.name", f"the profile has no variable '{variable['name']}'")
        value = variable.get("value", "")
        if definition.get("isSensitive") and value == MASK:
            raise invalid(f"{here}.value", f"is the mask '{MASK}'; write the value itself", "MaskedValue")
        check_variable(definition, value, f"{here}.value")
        before[variable["name"]] = value
    for name, definition in defined.items():
        if definition.get("required") and not (before.get(name) or definition.get("defaultValue")):
            raise invalid(f"{place}.variables", f"variable '{name}' is required and has no value")
    return before
