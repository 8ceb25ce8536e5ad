"""Signing in, the user, projects, the pack registry and its packs, service versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.palette import shapes
from lab.palette.bodies import FLAG, LAYER, PACK_TYPE, TEXT, many, one_of, record
from lab.palette.catalogue import PACKS, REGISTRY_UID, CataloguePack, by_name, by_uid
from lab.palette.errors import invalid, not_found, unauthorized
from lab.palette.paging import filtered, listing, ordered
from lab.palette.web import ApiCall, Json, Table

if TYPE_CHECKING:
    from collections.abc import Callable

TABLE = Table()

_FILTER_TEXT = record(eq=TEXT, ne=TEXT, contains=TEXT, beginsWith=TEXT, ignoreCase=FLAG)
_PACK_FILTER = record(
    filter=record(
        name=_FILTER_TEXT,
        displayName=_FILTER_TEXT,
        layer=many(LAYER),
        type=many(PACK_TYPE),
        registryUid=many(TEXT),
        environment=many(TEXT),
        addOnType=many(TEXT),
        addOnSubType=many(TEXT),
        source=many(TEXT),
        state=many(TEXT),
        isFips=FLAG,
    ),
    sort=many(record(field=one_of("name", "type", "layer", "addOnType", "displayName"), order=one_of("asc", "desc"))),
)
_SERVICES = ("stylus", "palette", "provider-k3s", "provider-rke2", "provider-kubeadm")


@TABLE.serves(
    "POST",
    "/v1/auth/authenticate",
    body=record("emailId", "password", emailId=TEXT, password=TEXT, org=TEXT),
    public=True,
)
def authenticate(call: ApiCall) -> Json:
    """Return a session token for an e-mail address and password."""
    settings = call.context.settings
    if settings.users.get(call.body["emailId"]) != call.body["password"]:
        raise unauthorized("no such user, or another password")
    return {"Authorization": call.context.sessions.issue(settings.session_s), "isMfa": False}


@TABLE.serves("GET", "/v1/users/info")
def user(call: ApiCall) -> Json:
    """Return the user and the tenant."""
    return {"orgName": "lab", "tenantUid": call.context.store.tenant_uid, "userUid": call.context.store.tenant_uid}


@TABLE.serves("GET", "/v1/dashboard/projects/metadata")
def projects(call: ApiCall) -> Json:
    """List the projects, or the one of a name."""
    name = call.query("name")
    known = call.context.store.projects.values()
    return {"items": [{"metadata": {"uid": p.uid, "name": p.name}} for p in known if name in {"", p.name}]}


@TABLE.serves("GET", "/v1/projects/{uid}")
def project(call: ApiCall) -> Json:
    """Return one project."""
    found = call.context.store.projects.get(call.path("uid"))
    if found is None:
        raise not_found("project", call.path("uid"))
    return {"metadata": shapes.meta(found), "spec": {}, "status": {"isDisabled": False}}


@TABLE.serves("GET", "/v1/registries/metadata")
def registries(call: ApiCall) -> Json:
    """List the registries of packs."""
    scope = call.choice("scope", ("system", "tenant", "all"), default="all")
    return {"items": [shapes.registry()] if scope != "tenant" else []}


@TABLE.serves("GET", "/v1/registries/pack")
def pack_registries(call: ApiCall) -> Json:
    """List the registries of packs with their endpoints."""
    return listing([shapes.pack_registry(auth={"type": "noAuth"})], call.page(), dict)


@TABLE.serves("GET", "/v1/registries/pack/summary")
def pack_registries_summary(call: ApiCall) -> Json:
    """List the registries of packs briefly."""
    return listing([shapes.pack_registry()], call.page(), dict)


@TABLE.serves("GET", "/v1/registries/oci/summary")
def oci_registries(_call: ApiCall) -> Json:
    """List the OCI registries of packs: there are none."""
    return {"items": []}


@TABLE.serves("GET", "/v1/packs")
def packs(call: ApiCall) -> Json:
    """List every version of every pack; ``filters`` as ``spec.name=edge-k3sANDspec.version=1.30.5``."""
    known = [_pack_summary(pack, version) for pack in PACKS for version in pack.versions]
    found = ordered(filtered(known, call.query("filters")), call.query("orderBy"))
    return listing(found, call.page(), dict)


def _pack_summary(pack: CataloguePack, version: str) -> Json:
    spec = {
        "name": pack.name,
        "displayName": pack.display_name,
        "layer": pack.layer,
        "type": "spectro",
        "version": version,
        "registryUid": REGISTRY_UID,
        "cloudTypes": ["edge-native"],
        "values": pack.values,
    }
    meta = {"uid": pack.uid(version), "name": pack.name}
    return {"apiVersion": "v1", "kind": "pack", "metadata": meta, "spec": spec, "status": {}}


@TABLE.serves("POST", "/v1/packs/search", body=_PACK_FILTER)
def search_packs(call: ApiCall) -> Json:
    """Find packs by name, layer and registry."""
    wanted = call.body.get("filter", {})
    found = [pack for pack in PACKS if _matches(pack, wanted)]
    for order in reversed(call.body.get("sort", [])):
        key = {"layer": "layer", "displayName": "display_name"}.get(order.get("field", ""), "name")
        found.sort(key=lambda pack, key=key: str(getattr(pack, key)), reverse=order.get("order") == "desc")  # type: ignore[misc]
    return listing(found, call.page(), _pack_metadata)


def _matches(pack: CataloguePack, wanted: dict[str, Any]) -> bool:
    """Return whether a pack is what is sought: a property that no pack of the lab has (an add-on type) fits none."""
    has = {
        "layer": {pack.layer},
        "type": {"spectro"},
        "registryUid": {REGISTRY_UID},
        "environment": {"edge-native", "all"},
        "source": {"spectrocloud"},
        "state": {"active"},
    }
    listed = [(key, values) for key, values in wanted.items() if isinstance(values, list) and values]
    return (
        text_matches(pack.name, wanted.get("name", {}))
        and text_matches(pack.display_name, wanted.get("displayName", {}))
        and not wanted.get("isFips")
        and all(has.get(key, set()).intersection(values) for key, values in listed)
    )


def text_matches(text: str, wanted: dict[str, Any]) -> bool:
    """Return whether ``text`` is what a ``v1FilterString`` asks for."""
    fold: Callable[[str], str] = str.lower if wanted.get("ignoreCase", True) else str
    tests: dict[str, Callable[[str], bool]] = {
        "eq": lambda value: fold(text) == fold(value),
        "ne": lambda value: fold(text) != fold(value),
        "contains": lambda value: fold(value) in fold(text),
        "beginsWith": lambda value: fold(text).startswith(fold(value)),
    }
    return all(test(wanted[name]) for name, test in tests.items() if name in wanted)


def _pack_metadata(pack: CataloguePack) -> Json:
    latest = {"latestPackUid": pack.uid(pack.latest), "latestVersion": pack.latest}
    return {
        "apiVersion": "v1",
        "kind": "pack",
        "metadata": {"uid": pack.uid(pack.latest), "name": pack.name},
        "spec": {
            "name": pack.name,
            "displayName": pack.display_name,
            "layer": pack.layer,
            "type": "spectro",
            "cloudTypes": ["edge-native"],
            "registries": [{"uid": REGISTRY_UID, "name": "Public Repo", "scope": "system", **latest}],
        },
    }


@TABLE.serves("GET", "/v1/packs/{packName}/registries/{registryUid}")
def pack_of_registry(call: ApiCall) -> Json:
    """Return a pack with its versions and their default values."""
    pack = by_name(call.path("packName"))
    if call.path("registryUid") != REGISTRY_UID:
        raise not_found("registry", call.path("registryUid"))
    if pack is None or call.query("layer", pack.layer) not in {"", pack.layer}:
        raise not_found("pack", call.path("packName"))
    if call.query("cloudType", "all") not in {"all", "edge-native", ""}:
        raise invalid("query parameter cloudType", "the lab has packs for edge-native only")
    return _pack_tags(pack, pack.versions)


@TABLE.serves("GET", "/v1/packs/{uid}")
def pack_by_uid(call: ApiCall) -> Json:
    """Return one version of a pack."""
    found = by_uid(call.path("uid"))
    if found is None:
        raise not_found("pack", call.path("uid"))
    pack, version = found
    return _pack_tags(pack, (version,))


def _pack_tags(pack: CataloguePack, versions: tuple[str, ...]) -> Json:
    return {
        "name": pack.name,
        "displayName": pack.display_name,
        "layer": pack.layer,
        "cloudTypes": ["edge-native"],
        "registryUid": REGISTRY_UID,
        "tags": [{"packUid": pack.uid(v), "tag": v, "version": v, "group": "", "parentTags": []} for v in versions],
        "packValues": [{"packUid": pack.uid(v), "values": pack.values, "presets": [], "schema": []} for v in versions],
    }


@TABLE.serves("GET", "/v1/services/{serviceName}/version")
def service_version(call: ApiCall) -> Json:
    """Return the version of a service, such as the agent."""
    name = call.path("serviceName")
    if name not in _SERVICES:
        raise invalid("serviceName", f"'{name}' is not one of {', '.join(_SERVICES)}")
    content = {"name": name, "content": call.context.settings.agent_version}
    return {
        "apiVersion": "v1",
        "kind": "service",
        "metadata": {"name": name},
        "spec": {"name": name, "latestVersion": content},
    }
