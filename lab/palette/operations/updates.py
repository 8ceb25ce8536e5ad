"""Changes of a cluster: other profile versions, values and variables, and the repave that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.palette import cluster_rules, profile_rules, shapes, shapes_clusters
from lab.palette.bodies import CLUSTER_PACKS, CLUSTER_PROFILES, NAME, TEXT, many, record
from lab.palette.context import known_of
from lab.palette.errors import ApiError, invalid, not_found
from lab.palette.operations.clusters import find
from lab.palette.rendering import render_pack, scopes_of
from lab.palette.values import RenderError
from lab.palette.web import Accepted, ApiCall, Json, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.palette.store import Attached, ClusterRecord

TABLE = Table()

_PROFILES = "/v1/spectroclusters/{uid}/profiles"
_VARIABLES = "/v1/spectroclusters/{uid}/variables"


def _patched(call: ApiCall, cluster: ClusterRecord, sent: Sequence[Json]) -> list[Attached]:
    """Return what the cluster would use after a PATCH. Raises ApiError 400, 404."""
    attached = list(cluster.attached)
    for position, one in enumerate(sent):
        place = f"profiles[{position}]"
        profile = call.context.store.profile(one["uid"], call.project)
        index = _place_of(attached, one, place)
        before = attached[index] if index is not None and attached[index].uid == one["uid"] else None
        made = profile_rules.attach(profile, one, place, call.masks, before)
        if index is None:
            attached.append(made)
        else:
            attached[index] = made
    cluster_rules.check_profiles(attached, "profiles")
    return attached


def _place_of(attached: Sequence[Attached], one: Json, place: str) -> int | None:
    """Which of the attached profiles is replaced: the named one, or an earlier state of the same version."""
    wanted = one.get("replaceWithProfile") or one["uid"]
    found = next((index for index, profile in enumerate(attached) if profile.uid == wanted), None)
    if found is None and one.get("replaceWithProfile"):
        raise invalid(f"{place}.replaceWithProfile", f"profile '{wanted}' is not attached to this cluster")
    return found


def _later(call: ApiCall) -> bool:
    return bool(call.body.get("spcApplySettings", {}).get("actionType") == "DownloadAndInstallLater")


@TABLE.serves("GET", _PROFILES)
def profiles(call: ApiCall) -> Json:
    """List the attached profiles with their layers."""
    return {"profiles": [_cluster_profile(attached) for attached in find(call).attached]}


def _cluster_profile(attached: Attached) -> Json:
    layers = attached.template
    spec = {
        "cloudType": layers.cloud_type,
        "type": layers.type,
        "version": 1,
        "packs": [shapes.pack_entity(pack, attached.values_of(pack)) for pack in layers.packs],
    }
    annotations = {"profileVersion": attached.version}
    return {"metadata": {"uid": attached.uid, "name": attached.name, "annotations": annotations}, "spec": spec}


@TABLE.serves("PATCH", _PROFILES, body=CLUSTER_PROFILES)
def patch_profiles(call: ApiCall) -> None:
    """Move a cluster to another profile version (``replaceWithProfile``), add a profile, or change its own values.

    A second infrastructure profile is refused: name the one it replaces.
    """
    cluster = find(call)
    call.reconciler.update(cluster, _patched(call, cluster, call.body["profiles"]), later=_later(call))


@TABLE.serves("PUT", _PROFILES, body=CLUSTER_PROFILES)
def put_profiles(call: ApiCall) -> None:
    """Make a cluster use exactly these profiles."""
    cluster = find(call)
    attached = cluster_rules.attach_profiles(call.context, call.in_project(), call.body["profiles"], "profiles")
    call.reconciler.update(cluster, attached, later=_later(call))


@TABLE.serves("DELETE", _PROFILES, body=record(profileUids=many(NAME)))
def delete_profiles(call: ApiCall) -> None:
    """Detach profiles; the one of the infrastructure stays."""
    cluster, gone = find(call), call.body.get("profileUids", [])
    attached = [profile for profile in cluster.attached if profile.uid not in gone]
    cluster_rules.check_profiles(attached, "profileUids")
    call.reconciler.update(cluster, attached)


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/profileUpdates")
def profile_updates(call: ApiCall) -> Json:
    """List attached profile versions that were edited since the cluster took them."""
    store = call.context.store
    updates = []
    for attached in find(call).attached:
        profile = store.profiles.get(attached.uid)
        if profile and profile.published and profile.published != attached.template:
            updates.append(shapes.template(attached.uid, attached.name, profile.version, profile.published))
    return {"profiles": updates}


@TABLE.serves("GET", f"{_PROFILES}/{{profileUid}}/packs/{{packName}}/config")
def pack_config(call: ApiCall) -> Json:
    """Return the configuration of one layer as the cluster uses it."""
    attached = next((a for a in find(call).attached if a.uid == call.path("profileUid")), None)
    if attached is None:
        raise not_found("clusterprofile", call.path("profileUid"))
    pack = attached.template.pack(call.path("packName"))
    if pack is None:
        raise not_found("pack", call.path("packName"))
    return {"items": [shapes.pack_config(pack, attached.overrides.get(pack.name))]}


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/packs/resolvedValues", body=record(references=many(TEXT)))
def resolved(call: ApiCall) -> Json:
    """Resolve references, or without any the values of every layer, as the cluster's hosts would get them."""
    cluster = find(call)
    return {"profiles": [_resolved(call, cluster, attached) for attached in cluster.attached]}


def _resolved(call: ApiCall, cluster: ClusterRecord, attached: Attached) -> Json:
    scopes = scopes_of(call.context, cluster, cluster.attached, attached)
    wanted = {r: r if "{{" in r else f"{{{{{r}}}}}" for r in call.body.get("references", [])}
    wanted = wanted or {pack.name: attached.values_of(pack) for pack in attached.template.packs}
    try:
        texts = {
            name: render_pack(call.context, scopes, text, **known_of(cluster, attached))
            for name, text in wanted.items()
        }
    except RenderError as error:
        raise ApiError(400, error.reason, str(error)) from error
    return {"uid": attached.uid, "resolved": texts}


# -- variables -------------------------------------------------------------------------------------------------------


@TABLE.serves("GET", _VARIABLES)
def variables(call: ApiCall) -> list[Json]:
    """List the variables of the attached profiles with the cluster's values."""
    return [
        {
            "profileUid": attached.uid,
            "variables": [{**v, "value": attached.variable_values.get(v["name"], "")} for v in attached.variables],
        }
        for attached in find(call).attached
    ]


_UPDATE = many(record("profileUid", profileUid=NAME, variables=many(record("name", name=NAME, value=TEXT))))


@TABLE.serves("PATCH", _VARIABLES, body=_UPDATE)
def patch_variables(call: ApiCall) -> None:
    """Change variables of a cluster; the change is applied like a new profile version."""
    cluster = find(call)
    attached = list(cluster.attached)
    for position, sent in enumerate(call.body):
        index = next((i for i, profile in enumerate(attached) if profile.uid == sent["profileUid"]), None)
        if index is None:
            raise invalid(f"[{position}].profileUid", f"profile '{sent['profileUid']}' is not attached to this cluster")
        profile = attached[index]
        before = dict(profile.variable_values)
        values = profile_rules.variable_values(profile.variables, sent, f"[{position}]", before)
        attached[index] = replace(profile, variable_values=values)
    call.reconciler.update(cluster, attached)


# -- repave ----------------------------------------------------------------------------------------------------------


@TABLE.serves("POST", "/v1/spectroclusters/{uid}/validate/repave", body=CLUSTER_PACKS)
def validate_repave(call: ApiCall) -> Json:
    """Return whether nodes would be replaced, and why."""
    cluster = find(call)
    attached = _patched(call, cluster, call.body.get("profiles", []))
    reasons = call.reconciler.would_repave(cluster, attached)
    shown = [shapes_clusters.repave_reason(reason, cluster, tuple(attached)) for reason in reasons]
    return {"isRepaveRequired": bool(reasons), "reasons": shown}


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/repave/status")
def repave_status(call: ApiCall) -> Json:
    """Return the state of the latest repave."""
    return shapes_clusters.repave(find(call))


@TABLE.serves("PATCH", "/v1/spectroclusters/{uid}/repave/approve")
def approve(call: ApiCall) -> None:
    """Start the repave that waits for approval."""
    call.reconciler.approve(find(call))


@TABLE.serves("POST", "/v1/spectroclusters/{uid}/status/spcApply")
def apply_now(call: ApiCall) -> Accepted:
    """Apply what was to be installed later."""
    call.reconciler.apply_now(find(call))
    return Accepted()


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/status/spcApply")
def apply_status(call: ApiCall) -> Json:
    """Return whether something waits to be applied."""
    return shapes_clusters.spc_apply(find(call))
