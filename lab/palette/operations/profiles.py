"""Cluster profiles: made, versioned, published, found, exported, deleted."""

from __future__ import annotations

import json

import yaml

from lab.injection import CHECK_VERSION, EDIT_PROFILE, PUBLISH
from lab.palette import profile_rules, shapes
from lab.palette.bodies import CLONE, META, NAME, PROFILE, PROFILE_TYPE, PROFILE_UPDATE, TEXT, many, one_of, record
from lab.palette.errors import ApiError, conflict, invalid, not_found
from lab.palette.operations.catalogue import text_matches
from lab.palette.paging import listing
from lab.palette.profile_rules import DEFAULT_VERSION
from lab.palette.store import Meta, ProfileRecord, Store, new_uid
from lab.palette.web import ApiCall, Created, File, Json, Table

TABLE = Table()

_FILTER_TEXT: Json = {"type": "object"}
_FILTER = record(
    filter=record(
        profileName=_FILTER_TEXT,
        profileType=many(PROFILE_TYPE),
        scope=one_of("system", "tenant", "project"),
        version=_FILTER_TEXT,
        tags=_FILTER_TEXT,
    ),
    sort=many(
        record(
            field=one_of("profileName", "environment", "profileType", "creationTimestamp", "lastModifiedTimestamp"),
            order=one_of("asc", "desc"),
        )
    ),
)
_IMPORT = record(
    "metadata",
    "spec",
    metadata=record("name", name=NAME),
    spec=record("template", template=record(packs=many(record("name", name=NAME, values=TEXT)))),
)


def visible(call: ApiCall) -> list[ProfileRecord]:
    """Return the profiles that the request's scope can see."""
    return [p for p in call.context.store.profiles.values() if p.meta.project in {call.project, None}]


def find(call: ApiCall) -> ProfileRecord:
    """Return the profile that the path names; what it holds is kept out of the answer. Raises ApiError 404."""
    return call.context.store.profile(call.path("uid"), call.project)


def find_own(call: ApiCall) -> ProfileRecord:
    """Return the profile that the path names, to be changed. Raises ApiError 403 for one of another scope, 404."""
    profile = find(call)
    if profile.meta.project != call.project:
        message = f"profile '{profile.meta.name}' belongs to the tenant; change it without the header ProjectUid"
        raise ApiError(403, "ResourceAccessDenied", message)
    return profile


def edited(call: ApiCall, profile: ProfileRecord) -> None:
    """Note that a profile was changed, and hand a published one to the clusters that still follow it."""
    profile.meta.touch()
    call.context.behaviour.at(EDIT_PROFILE, _leave_other_versions, call.context.store, profile)
    if profile.draft is None:
        call.reconciler.follow_profile(profile)


def _leave_other_versions(_store: Store, _profile: ProfileRecord) -> None:
    """Every version of a profile stands for itself."""


def _check_version(call: ApiCall, version: str, place: str) -> None:
    call.context.behaviour.at(CHECK_VERSION, profile_rules.check_version, version, place)


def _publish(call: ApiCall, profile: ProfileRecord) -> None:
    call.context.behaviour.at(PUBLISH, profile_rules.publish, profile)


@TABLE.serves("POST", "/v1/clusterprofiles", body=PROFILE)
def create(call: ApiCall) -> Created:
    """Make a profile, published at once when ``publish`` is true."""
    return Created(_add(call, call.body["metadata"], call.body["spec"], publish=call.flag("publish")).meta.uid)


def _add(call: ApiCall, sent: Json, spec: Json, *, publish: bool) -> ProfileRecord:
    version = spec.get("version") or DEFAULT_VERSION
    _check_version(call, version, "spec.version")
    profile_rules.check_free(call.context.store, call.project, sent["name"], version)
    template = profile_rules.make_template(spec.get("template", {}), "spec.template", call.masks)
    variables = profile_rules.make_variables(spec.get("variables", []), "spec.variables")
    meta = Meta(new_uid(), sent["name"], call.project, sent.get("labels", {}), sent.get("annotations", {}))
    profile = ProfileRecord(meta, version, template, variables=variables)
    if publish:
        _publish(call, profile)
    call.context.store.profiles[meta.uid] = profile
    return profile


@TABLE.serves("POST", "/v1/clusterprofiles/import", body=_IMPORT)
def import_profile(call: ApiCall) -> Created:
    """Make a profile of an exported one."""
    spec = dict(call.body["spec"])
    packs = [
        {key: value for key, value in pack.items() if key != "registry"} for pack in spec["template"].get("packs", [])
    ]
    spec["template"] = {**spec["template"], "packs": packs}
    return Created(_add(call, call.body["metadata"], spec, publish=call.flag("publish")).meta.uid)


@TABLE.serves("GET", "/v1/clusterprofiles/{uid}")
def get(call: ApiCall) -> Json:
    """Return a profile, its draft and what of it is published."""
    return shapes.profile(find(call), call.context.store)


@TABLE.serves("PUT", "/v1/clusterprofiles/{uid}", body=PROFILE_UPDATE)
def update(call: ApiCall) -> None:
    """Change a profile's name, version and layers; the changed layers are a draft until they are published."""
    profile, sent, spec = find_own(call), call.body.get("metadata", {}), call.body.get("spec", {})
    name, version = sent.get("name") or profile.meta.name, spec.get("version") or profile.version
    _check_version(call, version, "spec.version")
    profile_rules.check_free(call.context.store, call.project, name, version, but=profile.meta.uid)
    if "template" in spec:
        profile.draft = profile_rules.make_template(spec["template"], "spec.template", call.masks, profile.shown)
    profile.meta.name, profile.version = name, version
    _relabel(profile, sent)
    edited(call, profile)


def _relabel(profile: ProfileRecord, sent: Json) -> None:
    profile.meta.labels = dict(sent.get("labels", profile.meta.labels))
    profile.meta.annotations = dict(sent.get("annotations", profile.meta.annotations))


@TABLE.serves(
    "PATCH", "/v1/clusterprofiles/{uid}/metadata", body=record("metadata", metadata=META, spec=record(version=TEXT))
)
def update_metadata(call: ApiCall) -> None:
    """Change a profile's name, labels and version only."""
    profile, sent = find_own(call), call.body["metadata"]
    name = sent.get("name") or profile.meta.name
    version = call.body.get("spec", {}).get("version") or profile.version
    _check_version(call, version, "spec.version")
    profile_rules.check_free(call.context.store, call.project, name, version, but=profile.meta.uid)
    profile.meta.name, profile.version = name, version
    _relabel(profile, sent)
    profile.meta.touch()


@TABLE.serves("PATCH", "/v1/clusterprofiles/{uid}/publish")
def publish(call: ApiCall) -> None:
    """Make the draft what clusters use."""
    profile = find_own(call)
    _publish(call, profile)
    edited(call, profile)


def _check_clone(call: ApiCall, profile: ProfileRecord, wanted: Json) -> tuple[str, str | None]:
    """Return version and project of the clone. Raises ApiError."""
    version = wanted.get("version") or profile.version
    _check_version(call, version, "metadata.version")
    target = wanted.get("target", {})
    project = call.project
    if target.get("scope") == "tenant":
        project = None
    elif target.get("projectUid"):
        project = target["projectUid"]
        if project not in call.context.store.projects:
            raise invalid("metadata.target.projectUid", f"this tenant has no project '{project}'")
    profile_rules.check_free(call.context.store, project, wanted["name"], version)
    return version, project


@TABLE.serves("POST", "/v1/clusterprofiles/{uid}/clone", body=CLONE)
def clone(call: ApiCall) -> Created:
    """Copy a profile with its values in clear: a new version when only the version differs. The copy is a draft."""
    profile, wanted = find(call), call.body["metadata"]
    version, project = _check_clone(call, profile, wanted)
    meta = Meta(new_uid(), wanted["name"], project, dict(profile.meta.labels), dict(profile.meta.annotations))
    variables = [dict(variable) for variable in profile.variables]
    call.context.store.profiles[meta.uid] = ProfileRecord(meta, version, profile.shown, variables=variables)
    return Created(meta.uid)


@TABLE.serves("DELETE", "/v1/clusterprofiles/{uid}")
def delete(call: ApiCall) -> None:
    """Delete a profile version that no cluster uses."""
    _delete(call, find_own(call))


def _delete(call: ApiCall, profile: ProfileRecord) -> None:
    users = call.context.store.users_of(profile.meta.uid)
    if users:
        names = ", ".join(cluster.meta.name for cluster in users)
        message = f"version {profile.version} of profile '{profile.meta.name}' is in use by {names}"
        raise conflict("ClusterProfileInUse", message)
    del call.context.store.profiles[profile.meta.uid]


@TABLE.serves("DELETE", "/v1/clusterprofiles/bulk", body=record("uids", uids=many(NAME)))
def delete_many(call: ApiCall) -> Json:
    """Delete several profile versions and say which could not be."""
    failures = []
    for uid in call.body["uids"]:
        try:
            profile = call.context.store.profile(uid, call.project)
            _delete(call, profile)
        except ApiError as error:
            failures.append({"uid": uid, "name": "", "errMsg": error.message})
    deleted = len(call.body["uids"]) - len(failures)
    return {"deletedCount": deleted, "failures": failures, "isSucceeded": not failures, "message": ""}


@TABLE.serves("GET", "/v1/clusterprofiles/{uid}/export")
def export(call: ApiCall) -> File:
    """Return a profile as a file that can be imported; passwords are masked in it."""
    profile = find(call)
    format_ = call.choice("format", ("yaml", "json"), default="json")
    content = call.masked(_exported(profile))
    if format_ == "json":
        text = json.dumps(content, indent=2, ensure_ascii=False)
    else:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    return File(f"{profile.meta.name}-{profile.version}.{format_}", text.encode())


def _exported(profile: ProfileRecord) -> Json:
    layers = profile.shown
    packs = []
    for pack in layers.packs:
        ref = shapes.pack_ref(pack)
        kept = {key: ref[key] for key in ("name", "type", "layer", "tag", "version", "values")}
        packs.append(
            {**kept, "registry": {"metadata": {"uid": pack.registry_uid, "name": "Public Repo", "kind": "pack"}}}
        )
    template = {"type": layers.type, "cloudType": layers.cloud_type, "packs": packs}
    metadata = {"name": profile.meta.name, "labels": profile.meta.labels}
    return {
        "metadata": metadata,
        "spec": {"version": profile.version, "template": template, "variables": profile.variables},
    }


# -- the dashboard ---------------------------------------------------------------------------------------------------


@TABLE.serves("GET", "/v1/dashboard/clusterprofiles/metadata")
def metadata(call: ApiCall) -> Json:
    """List profiles briefly."""
    return {
        "items": [
            {
                "metadata": {"uid": p.meta.uid, "name": p.meta.name},
                "spec": {"cloudType": p.shown.cloud_type, "version": p.version},
            }
            for p in visible(call)
        ]
    }


@TABLE.serves("POST", "/v1/dashboard/clusterprofiles", body=_FILTER)
def search(call: ApiCall) -> Json:
    """Find profiles by name, type, scope and version."""
    wanted = call.body.get("filter", {})
    found = [profile for profile in visible(call) if _fits(profile, wanted)]
    for order in reversed(call.body.get("sort", [])):
        field = order.get("field", "creationTimestamp")
        found.sort(key=lambda profile, field=field: _sort_key(profile, field), reverse=order.get("order") == "desc")  # type: ignore[misc]
    return listing(found, call.page(), lambda profile: shapes.profile_summary(profile, call.context.store))


def _fits(profile: ProfileRecord, wanted: Json) -> bool:
    scope = "tenant" if profile.meta.project is None else "project"
    return (
        text_matches(profile.meta.name, wanted.get("profileName", {}))
        and text_matches(profile.version, wanted.get("version", {}))
        and profile.shown.type in (wanted.get("profileType") or [profile.shown.type])
        and wanted.get("scope", scope) == scope
    )


def _sort_key(profile: ProfileRecord, field: str) -> str:
    keys = {
        "profileName": profile.meta.name,
        "profileType": profile.shown.type,
        "lastModifiedTimestamp": profile.meta.modified.isoformat(),
    }
    return keys.get(field, profile.meta.created.isoformat())


@TABLE.serves("GET", "/v1/dashboard/clusterprofiles/{uid}")
def summary(call: ApiCall) -> Json:
    """Return one profile briefly."""
    profile = call.context.store.profiles.get(call.path("uid"))
    if profile is None or profile not in visible(call):
        raise not_found("clusterprofile", call.path("uid"))
    return shapes.profile_summary(profile, call.context.store)
