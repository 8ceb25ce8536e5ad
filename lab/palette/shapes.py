"""Stored records in the shapes that the published API answers with: profiles, Edge hosts, tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from lab.injection import LIVENESS
from lab.palette.catalogue import REGISTRY_UID, pack_version
from lab.palette.context import known_on
from lab.palette.store import (
    Attached,
    ClusterRecord,
    EdgeHostRecord,
    Meta,
    PackRecord,
    ProfileRecord,
    Store,
    Template,
    Token,
    now,
)
from lab.palette.times import as_text
from lab.palette.values import references

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lab.palette.context import ApiContext
    from lab.palette.settings import Settings

Json = dict[str, Any]


def meta(of: Meta) -> Json:
    """``v1ObjectMeta``."""
    return {
        "uid": of.uid,
        "name": of.name,
        "labels": of.labels,
        "annotations": {**_scope(of), **of.annotations},
        "creationTimestamp": as_text(of.created),
        "lastModifiedTimestamp": as_text(of.modified),
    }


def _scope(of: Meta) -> dict[str, str]:
    """Return where something belongs; the vendor's clients read from ``scope`` where to ask for it."""
    return {"scope": "project", "projectUid": of.project} if of.project else {"scope": "tenant"}


def pack_ref(pack: PackRecord, values: str | None = None) -> Json:
    """``v1PackRef``; ``values`` where a cluster overrides them."""
    return {
        "name": pack.name,
        "layer": pack.layer,
        "type": pack.type,
        "tag": pack.tag,
        "version": pack_version(pack),
        "packUid": pack.uid,
        "registryUid": pack.registry_uid,
        "values": pack.values if values is None else values,
        "manifests": [{"kind": "manifest", "name": name} for name, _content in pack.manifests],
    }


def pack_summary(pack: PackRecord, values: str | None = None) -> Json:
    """``v1PackSummarySpec``."""
    return {
        "name": pack.name,
        "displayName": pack.name,
        "layer": pack.layer,
        "type": pack.type,
        "version": pack_version(pack),
        "registryUid": pack.registry_uid,
        "cloudTypes": ["edge-native"],
        "values": pack.values if values is None else values,
    }


def pack_entity(pack: PackRecord, values: str | None = None) -> Json:
    """``v1ClusterProfilePacksEntity``."""
    return {"metadata": {"uid": pack.uid, "name": pack.name}, "spec": pack_summary(pack, values), "status": {}}


def pack_config(pack: PackRecord, values: str | None = None) -> Json:
    """``v1PackConfig``; ``values`` where a cluster overrides them."""
    return {
        "spec": {
            "name": pack.name,
            "packUid": pack.uid,
            "tag": pack.tag,
            "type": pack.type,
            "version": pack_version(pack),
            "scope": "cluster" if values is not None else "profile",
            "isValuesOverridden": values is not None,
            "values": pack.values if values is None else values,
            "manifests": [],
        }
    }


def template(uid: str, name: str, version: str, layers: Template, values: Json | None = None) -> Json:
    """``v1ClusterProfileTemplate``; ``values`` by pack name where a cluster overrides them."""
    overrides = values or {}
    return {
        "uid": uid,
        "name": name,
        "type": layers.type,
        "cloudType": layers.cloud_type,
        "profileVersion": version,
        "version": 1,
        "packs": [pack_ref(pack, overrides.get(pack.name)) for pack in layers.packs],
    }


def attached_template(attached: Attached) -> Json:
    """``v1ClusterProfileTemplate`` of a profile as a cluster uses it."""
    return template(attached.uid, attached.name, attached.version, attached.template, dict(attached.overrides))


def profile(of: ProfileRecord, store: Store) -> Json:
    """``v1ClusterProfile``."""
    spec: Json = {"version": of.version, "versions": _versions(of, store)}
    for name, layers in (("draft", of.draft), ("published", of.published)):
        if layers is not None:
            spec[name] = template(of.meta.uid, of.meta.name, of.version, layers)
    users = store.users_of(of.meta.uid)
    status = {
        "isPublished": of.draft is None,
        "hasUserMacros": any(references(pack.values, "macro") for pack in of.shown.packs),
        "inUseClusterUids": [cluster.meta.uid for cluster in users],
        "inUseClusters": [_reference(cluster) for cluster in users],
    }
    return {"apiVersion": "v1", "kind": "clusterprofile", "metadata": meta(of.meta), "spec": spec, "status": status}


def profile_summary(of: ProfileRecord, store: Store) -> Json:
    """``v1ClusterProfileSummary``."""
    spec: Json = {"version": of.version, "versions": _versions(of, store)}
    for name, layers in (("draft", of.draft), ("published", of.published)):
        if layers is not None:
            packs = [_pack_ref_summary(pack) for pack in layers.packs]
            spec[name] = {"type": layers.type, "cloudType": layers.cloud_type, "packs": packs}
    users = store.users_of(of.meta.uid)
    status = {
        "isPublished": of.draft is None,
        "inUseClusterUids": [cluster.meta.uid for cluster in users],
        "inUseClusters": [{"uid": cluster.meta.uid, "name": cluster.meta.name} for cluster in users],
    }
    return {"metadata": meta(of.meta), "specSummary": spec, "status": status}


def _pack_ref_summary(pack: PackRecord) -> Json:
    ref = pack_ref(pack)
    return {key: ref[key] for key in ("name", "layer", "type", "tag", "version", "packUid")}


def _versions(of: ProfileRecord, store: Store) -> list[Json]:
    """All versions of a profile: the profiles of its name and scope."""
    return [
        {"uid": other.meta.uid, "version": other.version}
        for other in store.profiles.values()
        if (other.meta.name, other.meta.project) == (of.meta.name, of.meta.project)
    ]


def _reference(cluster: ClusterRecord) -> Json:
    return {
        "kind": "spectrocluster",
        "uid": cluster.meta.uid,
        "name": cluster.meta.name,
        "projectUid": cluster.meta.project,
    }


def host_is_alive(host: EdgeHostRecord, context: ApiContext) -> bool:
    """Return whether the host counts as alive."""
    known = known_on(host, context.store.clusters.get(host.cluster_uid or ""))
    alive: bool = context.behaviour.at(LIVENESS, lambda host: _was_heard_of(host, context.settings), host, **known)
    return alive


def _was_heard_of(host: EdgeHostRecord, settings: Settings) -> bool:
    """Return whether the host's agent was heard of lately.

    An agent that sends heartbeats is held to them; of another, a waiting long poll is sign enough.
    """
    if host.open_polls and not host.sends_heartbeats:
        return True
    return host.last_seen is not None and now() - host.last_seen < timedelta(seconds=settings.heartbeat_s)


def host_state(host: EdgeHostRecord) -> str:
    """``v1EdgeHostState``."""
    if not host.paired:
        return "unpaired"
    return "in-use" if host.cluster_uid else "ready"


def host_health(host: EdgeHostRecord, context: ApiContext) -> Json:
    """``v1EdgeHostHealth``."""
    alive = host_is_alive(host, context)
    message = "" if alive else f"no heartbeat for more than {context.settings.heartbeat_s:g} s"
    state = "healthy" if alive else "unhealthy"
    return {"state": state, "message": message, "agentVersion": host.agent_version}


def host_status(host: EdgeHostRecord, context: ApiContext) -> Json:
    """``v1EdgeHostDeviceStatus``, less what only the agent is told."""
    status: Json = {"state": host_state(host), "inUseClusters": [], "inUseClustersRef": []}
    if host.paired:
        status["health"] = host_health(host, context)
    if host.cluster_uid:
        entity = {"uid": host.cluster_uid, "name": context.store.clusters[host.cluster_uid].meta.name}
        status["inUseClusters"] = [entity]
        status["inUseClustersRef"] = [entity]
    return status


def edge_host(host: EdgeHostRecord, context: ApiContext) -> Json:
    """``v1EdgeHostDevice``."""
    described = {key: value for key, value in host.host.items() if key not in {"hostAuthToken", "hostPairingKey"}}
    return {
        "aclmeta": {"projectUid": host.meta.project, "tenantUid": context.store.tenant_uid},
        "metadata": meta(host.meta),
        "spec": {
            "type": "edge-native",
            "device": host.device,
            "host": {"hostAddress": "", **described, "hostUid": host.meta.uid},
            "clusterProfileTemplates": [attached_template(a) for a in _attached_on(host, context.store)],
            "tunnelConfig": host.tunnel,
        },
        "status": host_status(host, context),
    }


def edge_host_metadata(host: EdgeHostRecord, context: ApiContext) -> Json:
    """``v1EdgeHostsMetadata``."""
    project = context.store.projects.get(host.meta.project or "")
    described = {key: host.host[key] for key in ("hostAddress", "macAddress") if key in host.host}
    return {
        "metadata": meta(host.meta),
        "spec": {
            "type": "edge-native",
            "device": host.device,
            "host": described,
            "projectMeta": {"uid": project.uid, "name": project.name} if project else {},
            "clusterProfileTemplates": [
                {"uid": a.uid, "name": a.name, "version": a.version, "type": a.template.type}
                for a in _attached_on(host, context.store)
            ],
        },
        "status": host_status(host, context),
    }


def edge_host_brief(host: EdgeHostRecord, context: ApiContext) -> Json:
    """``v1EdgeHostMeta``."""
    return {
        "uid": host.meta.uid,
        "name": host.meta.name,
        "edgeHostType": "edge-native",
        "archType": host.device.get("archType", "amd64"),
        "state": host_state(host),
        "healthState": host_health(host, context)["state"] if host.paired else "",
    }


def _attached_on(host: EdgeHostRecord, store: Store) -> Iterable[Attached]:
    cluster = store.clusters.get(host.cluster_uid or "")
    return cluster.attached if cluster else ()


def token(of: Token, store: Store) -> Json:
    """``v1EdgeToken``; the token's text is read back from here (docs/palette.md §3.2)."""
    project = store.projects.get(of.meta.project or "")
    spec: Json = {"token": of.text}
    if project:
        spec["defaultProject"] = {"uid": project.uid, "name": project.name}
    if of.expiry:
        spec["expiry"] = as_text(of.expiry)
    return {"metadata": meta(of.meta), "spec": spec, "status": {"isActive": of.active}}


def registry() -> Json:
    """``v1RegistryMetadata`` of the one registry of packs."""
    return {
        "uid": REGISTRY_UID,
        "name": "Public Repo",
        "kind": "pack",
        "scope": "system",
        "isDefault": True,
        "isPrivate": False,
    }


def pack_registry(**spec: Json) -> Json:
    """``v1PackRegistrySummary`` of the same; with ``auth`` it is ``v1PackRegistry``."""
    meta = {"uid": REGISTRY_UID, "name": "Public Repo", "annotations": {"scope": "system"}}
    return {"metadata": meta, "spec": {"endpoint": "https://registry.example", **spec}}
