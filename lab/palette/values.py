"""Pack values: references resolved, and the OS layer read as an Edge host's agent would read it.

Values are opaque text to the API. References are replaced *in the text*, before it is read as YAML (docs/palette.md
§4.4 and §4.5: what a macro holds is YAML text too, with all the hazards of that). What the guide says about the OS
layer decides: ``providerCredentials`` counts at the root of the document only, ``user`` and ``certificates`` are its
keys; the spellings of the BYOOS pack page (``username``, ``certificate``) are honoured where the guide's are absent.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import yaml

from lab.palette import yaml_text

_REFERENCE = re.compile(r"\{\{\s*\.spectro\.(macro|var|pack|system)\.([^\s|}]+)\s*((?:\|[^|}]*)*)\}\}")


class RenderError(ValueError):
    """Values that cannot be delivered; ``reason`` begins with ``Failed`` and becomes the reason of an event."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Scopes:
    """Where references look: macros of project, tenant and system, variables, other packs' values, the cluster."""

    project: Mapping[str, str] = field(default_factory=dict)
    tenant: Mapping[str, str] = field(default_factory=dict)
    system: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    packs: Mapping[str, str] = field(default_factory=dict)
    cluster: Mapping[str, str] = field(default_factory=dict)


MacroReader = Callable[[str, Scopes], "str | None"]


def resolve_macro(name: str, scopes: Scopes) -> str | None:
    """Return the macro's value: project before tenant before system (vendor's macro page); None where there is none."""
    for scope in (scopes.project, scopes.tenant, scopes.system):
        if name in scope:
            return scope[name]
    return None


def render_values(text: str, scopes: Scopes, macro: MacroReader = resolve_macro) -> str:
    """Replace every reference in ``text``, once: what a macro's value refers to is left as it is.

    References to other packs come last, so that they see those packs with their macros and variables resolved.
    Raises RenderError.
    """

    def plain(match: re.Match[str]) -> str:
        kind, name, functions = match.groups()
        return match.group() if kind == "pack" else _apply(functions, _lookup(kind, name, scopes, macro))

    def across(match: re.Match[str]) -> str:
        kind, name, functions = match.groups()
        if kind != "pack":
            return match.group()
        return _apply(functions, _from_pack(name, {pack: _REFERENCE.sub(plain, v) for pack, v in scopes.packs.items()}))

    return _REFERENCE.sub(across, _REFERENCE.sub(plain, text))


def references(text: str, kind: str) -> set[str]:
    """Name what ``text`` refers to: its macros (``macro``), variables (``var``) or other packs' fields (``pack``)."""
    return {match[2] for match in _REFERENCE.finditer(text) if match[1] == kind}


def _lookup(kind: str, name: str, scopes: Scopes, macro: MacroReader) -> str:
    if kind == "macro":
        value = macro(name, scopes)
        if value is None:
            raise RenderError("FailedResolveMacro", f"macro '{name}' exists in no scope (project, tenant, system)")
        return value
    known = scopes.variables if kind == "var" else scopes.cluster
    if name not in known:
        raise RenderError("FailedResolveVariable", f"'.spectro.{kind}.{name}' has no value")
    return known[name]


def _from_pack(name: str, packs: Mapping[str, str]) -> str:
    pack = next((known for known in packs if name.startswith(known + ".")), None)
    if pack is None:
        raise RenderError("FailedResolvePack", f"'.spectro.pack.{name}' names no pack of this cluster")
    try:
        node = yaml_text.at_path(yaml_text.compose(packs[pack]), name[len(pack) + 1 :])
    except yaml_text.YamlError as error:
        raise RenderError("FailedResolvePack", f"values of pack '{pack}' are not YAML: {error}") from error
    if not isinstance(node, yaml.ScalarNode):
        raise RenderError("FailedResolvePack", f"'.spectro.pack.{name}' names no single value of pack '{pack}'")
    return yaml_text.scalar(node)


_FUNCTIONS: Mapping[str, Callable[[str], str]] = {
    "quote": lambda value: json.dumps(value, ensure_ascii=False),
    "squote": lambda value: f"'{value}'",
    "trim": str.strip,
    "b64enc": lambda value: base64.b64encode(value.encode()).decode(),
    "b64dec": lambda value: base64.b64decode(value, validate=True).decode(),
}
"""The template functions that the lab knows; a real Palette knows all of sprig (vendor's macro page)."""


def _apply(functions: str, value: str) -> str:
    for name in filter(None, (part.strip() for part in functions.split("|"))):
        if name not in _FUNCTIONS:
            raise RenderError("FailedRender", f"template function '{name}' is not one of {', '.join(_FUNCTIONS)}")
        try:
            value = _FUNCTIONS[name](value)
        except ValueError as error:
            raise RenderError("FailedRender", f"template function '{name}' failed: {type(error).__name__}") from error
    return value


@dataclass(frozen=True)
class DeclaredCredential:
    """``providerCredentials`` as they are to be presented: an encoded password is decoded, once, here."""

    registry: str
    user: str
    password: str = field(repr=False)
    certificates: str = ""

    def as_order(self) -> dict[str, str]:
        """Return the record that an agent is sent."""
        return {
            "registry": self.registry,
            "user": self.user,
            "password": self.password,
            "certificates": self.certificates,
        }


@dataclass(frozen=True)
class OsLayerValues:
    """What the rendered values of the BYOOS pack say: the provider image and how to authenticate for it."""

    image: str
    credential: DeclaredCredential | None
    written_password: str = field(default="", repr=False)
    """The password as written in the values, before ``encodedPassword`` is honoured."""


def read_os_layer(text: str) -> OsLayerValues:
    """Read rendered values of an OS layer. Raises RenderError where a host could make nothing of them."""
    try:
        root = yaml_text.compose(text)
    except yaml_text.YamlError as error:
        raise RenderError("FailedRender", f"values of the OS layer are not YAML: {error}") from error
    image = yaml_text.scalar(yaml_text.child(yaml_text.child(root, "options"), "system.uri"))
    if not image or image == "NA":
        raise RenderError("FailedRender", "the OS layer names no provider image; write it as options: system.uri: …")
    node = yaml_text.child(root, "providerCredentials")
    written = yaml_text.scalar(yaml_text.child(node, "password"))
    return OsLayerValues(image=image, credential=_credential(node, written), written_password=written)


def _credential(node: yaml.Node | None, written: str) -> DeclaredCredential | None:
    if node is None or (isinstance(node, yaml.ScalarNode) and not yaml_text.scalar(node)):
        return None
    if not isinstance(node, yaml.MappingNode):
        raise RenderError(
            "FailedProviderCredentials",
            "providerCredentials is not a mapping; write registry, user and password of the one private registry",
        )
    encoded = yaml_text.is_true(yaml_text.child(node, "encodedPassword"))
    return DeclaredCredential(
        registry=yaml_text.scalar(yaml_text.child(node, "registry")),
        user=_first(node, "user", "username"),
        password=_decoded(written) if encoded else written,
        certificates=_first(node, "certificates", "certificate"),
    )


def _first(node: yaml.Node, *keys: str) -> str:
    present = (yaml_text.child(node, key) for key in keys)
    return next((yaml_text.scalar(value) for value in present if value is not None), "")


def _decoded(password: str) -> str:
    try:
        return base64.b64decode(password, validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        raise RenderError(
            "FailedProviderCredentials",
            "providerCredentials.encodedPassword is true, but the password is not base64 of UTF-8 text",
        ) from error
