"""The layers and variables of a profile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.palette import profile_rules, shapes
from lab.palette.bodies import NAME, PACK, PACK_UPDATE, TEXT, VARIABLES, many, record
from lab.palette.errors import ApiError, invalid, not_found
from lab.palette.operations.profiles import edited, find, find_own
from lab.palette.rendering import profile_scopes, render_pack
from lab.palette.values import RenderError, Scopes, read_os_layer
from lab.palette.web import ApiCall, Created, Json, Table

if TYPE_CHECKING:
    from lab.palette.store import PackRecord, ProfileRecord

TABLE = Table()

_PACKS = "/v1/clusterprofiles/{uid}/packs"
_PACK = "/v1/clusterprofiles/{uid}/packs/{packName}"
_VARIABLES = "/v1/clusterprofiles/{uid}/variables"
_REFERENCES = record(references=many(TEXT))


def _pack(call: ApiCall, profile: ProfileRecord) -> PackRecord:
    pack = profile.shown.pack(call.path("packName"))
    if pack is None:
        raise not_found("pack", call.path("packName"))
    return pack


@TABLE.serves("GET", _PACKS)
def listed(call: ApiCall) -> Json:
    """Return the layers with their values."""
    return {"items": [shapes.pack_entity(pack) for pack in find(call).shown.packs]}


@TABLE.serves("POST", _PACKS, body=record("pack", pack=PACK))
def add(call: ApiCall) -> Created:
    """Add a layer."""
    profile = find_own(call)
    pack = profile_rules.make_pack(call.body["pack"], "pack", call.masks)
    if profile.shown.pack(pack.name) is not None:
        raise invalid("pack.name", f"the profile already has a pack '{pack.name}'")
    profile.draft = replace(profile.shown, packs=(*profile.shown.packs, pack))
    edited(call, profile)
    return Created(pack.uid)


@TABLE.serves("GET", f"{_PACKS}/manifests")
def manifests(call: ApiCall) -> Json:
    """Return the layers with their manifests."""
    profile = find(call)
    packs = []
    for pack in profile.shown.packs:
        entity = shapes.pack_entity(pack)
        entity["spec"]["manifests"] = [{"name": name, "content": content} for name, content in pack.manifests]
        packs.append(entity)
    return {"metadata": shapes.meta(profile.meta), "spec": {"packs": packs}}


@TABLE.serves("GET", f"{_PACKS}/resolvedValues", body=_REFERENCES)
def resolved(call: ApiCall) -> Json:
    """Resolve references of a profile.

    The answer maps each text that was asked for to what it resolves to; without any it maps every pack's name to its
    resolved values. The published page does not say what a reference looks like: the lab takes any text with
    ``{{.spectro…}}`` in it, and the bare form without braces.
    """
    profile = find(call)
    scopes = profile_scopes(call.context, profile)
    wanted = {r: r if "{{" in r else f"{{{{{r}}}}}" for r in call.body.get("references", [])}
    wanted = wanted or {pack.name: pack.values for pack in profile.shown.packs}
    _note_secrets(call, profile, scopes)
    return {"resolved": {name: _resolved(call, scopes, text) for name, text in wanted.items()}}


def _resolved(call: ApiCall, scopes: Scopes, text: str) -> str:
    try:
        return render_pack(call.context, scopes, text)
    except RenderError as error:
        raise ApiError(400, error.reason, str(error)) from error


def _note_secrets(call: ApiCall, profile: ProfileRecord, scopes: Scopes) -> None:
    """Keep the resolved password and sensitive variables out of the answer."""
    call.secrets |= {v["defaultValue"] for v in profile.variables if v.get("isSensitive") and v.get("defaultValue")}
    for pack in profile.shown.packs:
        if pack.layer != "os":
            continue
        try:
            layer = read_os_layer(render_pack(call.context, scopes, pack.values))
        except RenderError:
            continue  # nothing can be resolved of it either
        call.secrets |= {layer.written_password, layer.credential.password if layer.credential else ""} - {""}


@TABLE.serves("GET", _PACK)
def get(call: ApiCall) -> Json:
    """Return one layer with its values and registry."""
    profile = find(call)
    pack = _pack(call, profile)
    spec = {"pack": shapes.pack_summary(pack), "registry": shapes.registry(), "macros": {"resolved": {}}}
    return {"metadata": {"uid": pack.uid, "name": pack.name}, "spec": spec}


@TABLE.serves("GET", f"{_PACK}/manifests")
def manifests_of_pack(call: ApiCall) -> Json:
    """Return the manifests of one layer."""
    pack = _pack(call, find(call))
    return {
        "items": [
            {"metadata": {"name": name, "uid": f"{pack.name}-{name}"}, "spec": {"published": {"content": content}}}
            for name, content in pack.manifests
        ]
    }


@TABLE.serves("PUT", _PACK, body=PACK_UPDATE)
def update(call: ApiCall) -> None:
    """Change one layer: its values, or its version. The change is a draft until it is published."""
    profile = find_own(call)
    before = _pack(call, profile)
    sent = call.body["pack"]
    if sent["name"] != before.name:
        raise invalid("pack.name", f"'{sent['name']}' is not the pack of the path, '{before.name}'")
    changed = profile_rules.make_pack(sent, "pack", call.masks, before)
    packs = tuple(changed if pack is before else pack for pack in profile.shown.packs)
    profile.draft = replace(profile.shown, packs=packs)
    edited(call, profile)


@TABLE.serves("DELETE", _PACK)
def delete(call: ApiCall) -> None:
    """Remove a layer."""
    profile = find_own(call)
    gone = _pack(call, profile)
    profile.draft = replace(profile.shown, packs=tuple(pack for pack in profile.shown.packs if pack is not gone))
    edited(call, profile)


# -- variables -------------------------------------------------------------------------------------------------------


@TABLE.serves("GET", _VARIABLES)
def variables(call: ApiCall) -> Json:
    """List the variables; sensitive defaults are masked."""
    return {"variables": find(call).variables}


@TABLE.serves("PUT", _VARIABLES, body=VARIABLES)
def replace_variables(call: ApiCall) -> None:
    """Make the profile have exactly these variables."""
    profile = find_own(call)
    profile.variables = profile_rules.make_variables(call.body.get("variables", []), "variables")
    edited(call, profile)


@TABLE.serves("PATCH", _VARIABLES, body=VARIABLES)
def update_variables(call: ApiCall) -> None:
    """Change or add variables by name."""
    profile = find_own(call)
    sent = call.body.get("variables", [])
    profile.variables = profile_rules.make_variables(sent, "variables", profile.variables)
    edited(call, profile)


@TABLE.serves("DELETE", _VARIABLES, body=record("variables", variables=many(NAME)))
def delete_variables(call: ApiCall) -> None:
    """Delete variables by name."""
    profile, gone = find_own(call), call.body["variables"]
    missing = set(gone) - {variable["name"] for variable in profile.variables}
    if missing:
        raise not_found("variable", ", ".join(sorted(missing)))
    profile.variables = [variable for variable in profile.variables if variable["name"] not in gone]
    edited(call, profile)
