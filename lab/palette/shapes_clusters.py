"""Clusters in the shapes that the published API answers with.

Which provider image a node runs has no field of its own in the API. The lab says it in published fields that may hold
it: a machine's annotations and its health conditions (type ``ProviderImage``), and ``status.nodeImage`` of the cloud
config once all nodes agree. Whether the profile version is everywhere is said by ``status.packs[]`` (condition
``Ready``), ``status.conditions`` (``NodesReady``, ``RepaveInProgress``) and the overview's health.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.injection import REPORT_HEALTH, REPORT_STATE
from lab.palette import shapes
from lab.palette.context import known_of
from lab.palette.times import as_text

if TYPE_CHECKING:
    from datetime import datetime

    from lab.palette.context import ApiContext
    from lab.palette.repave import Reason
    from lab.palette.shapes import Json
    from lab.palette.store import Attached, ClusterRecord, NodeRecord, Pool

ANNOTATION = "lab.spectrocloud.com"
"""Prefix of the annotations that say what a machine runs."""


def state_shown(context: ApiContext, cluster: ClusterRecord) -> str:
    """Return the state that API clients are told."""
    state: str = context.behaviour.at(REPORT_STATE, lambda cluster: cluster.shown_state, cluster, **known_of(cluster))
    return state


def health_shown(context: ApiContext, cluster: ClusterRecord) -> str:
    """Return the health that API clients are told: ``Healthy`` or ``UnHealthy``."""
    known = known_of(cluster)
    health: str = context.behaviour.at(REPORT_HEALTH, lambda cluster: _health(context, cluster), cluster, **known)
    return health


def _health(context: ApiContext, cluster: ClusterRecord) -> str:
    fine = not cluster.blocked and all(_is_healthy(context, cluster, node) for node in cluster.nodes)
    return "Healthy" if fine else "UnHealthy"


def _is_healthy(context: ApiContext, cluster: ClusterRecord, node: NodeRecord) -> bool:
    host = context.store.hosts.get(node.host_uid)
    alive = host is not None and shapes.host_is_alive(host, context)
    return alive and node.state == "running" and _is_current(cluster, node)


def _is_current(cluster: ClusterRecord, node: NodeRecord) -> bool:
    return cluster.delivery is not None and node.running == cluster.delivery.generation


def cluster_status(context: ApiContext, cluster: ClusterRecord) -> Json:
    """``v1SpectroClusterStatus``."""
    status: Json = {
        "state": state_shown(context, cluster),
        "conditions": conditions(cluster),
        "packs": pack_statuses(cluster),
        "upgrades": upgrades(cluster),
        "spcApply": spc_apply(cluster),
        "apiEndpoints": api_endpoints(cluster),
    }
    if cluster.repave:
        status["repave"] = {"state": cluster.repave}
    return status


def conditions(cluster: ClusterRecord) -> list[Json]:
    """``v1ClusterCondition`` items that say how far the cluster is."""
    current = sum(_is_current(cluster, node) for node in cluster.nodes)
    failing = [node for node in cluster.nodes if node.state == "failed"]
    ready = current == len(cluster.nodes)
    message = failing[0].message if failing else f"{current} of {len(cluster.nodes)} nodes run the applied version"
    reason = "FailedPullImage" if failing else ("NodesRunning" if ready else "NodesProgressing")
    return [
        _condition("ProfileResolved", not cluster.blocked, "FailedRender" if cluster.blocked else "", cluster.blocked),
        _condition("NodesReady", ready and not failing, reason, message),
        _condition("RepaveInProgress", *_repave_progress(cluster)),
    ]


def _repave_progress(cluster: ClusterRecord) -> tuple[bool, str, str]:
    if cluster.repave == "Pending":
        return True, "WaitingForApproval", "a repave waits for approval"
    if cluster.state == "Running" and cluster.delivery and cluster.completed != cluster.delivery.generation:
        return True, "NodesRepaving", "nodes are replaced one after another"
    return False, "", ""


def _condition(kind: str, fulfilled: bool, reason: str, message: str) -> Json:  # noqa: FBT001 - a condition is true or not
    return {"type": kind, "status": "True" if fulfilled else "False", "reason": reason, "message": message}


def pack_statuses(cluster: ClusterRecord) -> list[Json]:
    """``v1ClusterPackStatus`` items; ready means that every node runs it."""
    ready = cluster.delivery is not None and all(_is_current(cluster, node) for node in cluster.nodes)
    return [
        {
            "name": pack.name,
            "profileUid": profile.uid,
            "type": pack.type,
            "version": shapes.pack_ref(pack)["version"],
            "condition": _condition("Ready", ready, "", ""),
        }
        for profile in (cluster.delivery.attached if cluster.delivery else ())
        for pack in profile.template.packs
    ]


def upgrades(cluster: ClusterRecord) -> list[Json]:
    """``v1Upgrades``: why nodes were replaced, newest first (docs/palette.md §6)."""
    return [{"reason": list(reasons), "timestamp": as_text(time)} for time, reasons in reversed(cluster.upgrades)]


def spc_apply(cluster: ClusterRecord) -> Json:
    """``v1SpcApply``."""
    action = "DownloadAndInstallLater" if cluster.later else "DownloadAndInstall"
    return {"actionType": action, "canBeApplied": cluster.later}


def api_endpoints(cluster: ClusterRecord) -> list[Json]:
    """``v1APIEndpoint``: the control plane's address once the cluster runs."""
    host = cluster.cloud_config.get("controlPlaneEndpoint", {}).get("host", "")
    return [{"host": host, "port": 6443}] if host and cluster.state == "Running" else []


def cluster(context: ApiContext, of: ClusterRecord) -> Json:
    """``v1SpectroCluster``."""
    return {
        "apiVersion": "v1",
        "kind": "spectrocluster",
        "metadata": _meta(of),
        "spec": {
            "cloudType": "edge-native",
            "clusterType": "PureManage",
            "cloudConfigRef": {"kind": "edge-native", "uid": of.config_uid, "name": of.meta.name},
            "clusterProfileTemplates": [shapes.attached_template(attached) for attached in of.attached],
            "clusterConfig": {},
        },
        "status": cluster_status(context, of),
    }


def _meta(of: ClusterRecord) -> Json:
    meta = shapes.meta(of.meta)
    if of.state == "Deleted" or of.deleting_since:
        meta["deletionTimestamp"] = as_text(of.deleting_since or of.meta.modified)
    return meta


def overview(context: ApiContext, of: ClusterRecord) -> Json:
    """``v1SpectroClusterUidSummary``."""
    templates = [_template_meta(attached) for attached in of.attached]
    return {
        "metadata": _meta(of),
        "spec": {
            "archTypes": sorted({_arch(context, node) for node in of.nodes}),
            "cloudConfig": {"uid": of.config_uid, "cloudType": "edge-native", "machinePools": _pool_metas(context, of)},
            "clusterProfileTemplate": templates[0],
            "clusterProfileTemplates": templates,
        },
        "status": {
            "state": state_shown(context, of),
            "health": health(context, of),
            "conditions": conditions(of),
            "packs": pack_statuses(of),
            "upgrades": upgrades(of),
            "spcApply": spc_apply(of),
            "apiEndpoints": api_endpoints(of),
            "notifications": {"isAvailable": False},
        },
    }


def summary(context: ApiContext, of: ClusterRecord) -> Json:
    """``v1SpectroClusterSummary``."""
    full = overview(context, of)
    status = {key: full["status"][key] for key in ("state", "health", "notifications")}
    if of.repave:
        status["repave"] = {"state": of.repave}
    return {"metadata": full["metadata"], "specSummary": full["spec"], "status": status}


def health(context: ApiContext, of: ClusterRecord) -> Json:
    """``v1SpectroClusterHealthStatus``."""
    sick = [node for node in of.nodes if not _is_healthy(context, of, node)]
    complaints = [
        {
            "type": "Node",
            "message": node.message or f"node on Edge host {node.host_uid} does not run the applied version",
            "relatedObject": {"kind": "machine", "uid": node.uid, "name": node.host_uid},
        }
        for node in sick
    ]
    return {
        "state": health_shown(context, of),
        "agentVersion": context.settings.agent_version,
        "conditions": complaints,
        "lastHeartBeatTimestamp": as_text(_last_seen(context, of)),
    }


def _last_seen(context: ApiContext, of: ClusterRecord) -> datetime:
    hosts = (context.store.hosts.get(node.host_uid) for node in of.nodes)
    return max((host.last_seen for host in hosts if host and host.last_seen), default=of.meta.created)


def _template_meta(attached: Attached) -> Json:
    layers = attached.template
    return {
        "uid": attached.uid,
        "name": attached.name,
        "type": layers.type,
        "cloudType": layers.cloud_type,
        "version": 1,
        "packs": [shapes.pack_ref(pack, attached.values_of(pack)) for pack in layers.packs],
    }


def _arch(context: ApiContext, node: NodeRecord) -> str:
    host = context.store.hosts.get(node.host_uid)
    return str(host.device.get("archType", "amd64")) if host else "amd64"


def _pool_metas(context: ApiContext, of: ClusterRecord) -> list[Json]:
    metas = []
    for pool in of.pools:
        nodes = [node for node in of.nodes if node.pool == pool.name]
        healthy = sum(_is_healthy(context, of, node) for node in nodes)
        metas.append(
            {
                "cloudType": "edge-native",
                "isControlPlane": pool.control_plane,
                "labels": pool.config.get("labels", []),
                "size": len(nodes),
                "healthy": healthy,
                "maintenanceMode": 0,
            }
        )
    return metas


def repave(of: ClusterRecord) -> Json:
    """``v1SpectroClusterRepave``; without a state while there was no repave yet."""
    delivery = of.pending or of.delivery
    reasons = delivery.reasons if delivery and of.repave in {"Pending", "Approved"} else ()
    status: Json = {"message": ""}
    if of.repave and of.repave_changed:
        status = {"state": of.repave, "message": "", "repaveTransitionTime": as_text(of.repave_changed)}
    spec = {"source": "user", "spectroClusterUid": of.meta.uid, "reasons": [repave_reason(r, of) for r in reasons]}
    return {"metadata": shapes.meta(of.meta), "spec": spec, "status": status}


def repave_reason(reason: Reason, of: ClusterRecord, target: tuple[Attached, ...] | None = None) -> Json:
    """``v1SpectroClusterRepaveReason``; ``target`` is what the cluster would use, else what it shall use."""
    now = of.delivery.attached if of.delivery else of.attached
    diff: Json = {"diffConfigKeys": list(reason.keys)}
    for name, attached in (("current", now), ("target", target or of.attached)):
        found = next(((a, p) for a in attached for p in a.template.packs if p.layer == "os"), None)
        if found:
            diff[name] = shapes.pack_ref(found[1], found[0].values_of(found[1]))
    return {"code": reason.code, "message": reason.message, "pack": diff}


def cloud_config(context: ApiContext, of: ClusterRecord) -> Json:
    """``v1EdgeNativeCloudConfig``."""
    images = {node.image for node in of.nodes if _is_current(of, node)}
    agreed = len(images) == 1 and all(_is_current(of, node) for node in of.nodes)
    return {
        "metadata": {**shapes.meta(of.meta), "uid": of.config_uid},
        "spec": {"clusterConfig": of.cloud_config, "machinePoolConfig": [_pool(context, pool) for pool in of.pools]},
        "status": {"conditions": conditions(of), "nodeImage": images.pop() if agreed else ""},
    }


def _pool(context: ApiContext, pool: Pool) -> Json:
    hosts = [{**entry, "hostAddress": _address(context, entry["hostUid"])} for entry in pool.hosts]
    return {**pool.config, "hosts": hosts, "size": len(hosts)}


def _address(context: ApiContext, host_uid: str) -> str:
    host = context.store.hosts.get(host_uid)
    return str(host.host.get("hostAddress", "")) if host else ""


def machine(context: ApiContext, of: ClusterRecord, node: NodeRecord) -> Json:
    """``v1EdgeNativeMachine``; its annotations and conditions say what the node runs."""
    running = node.state == "running" and node.delivery is not None and node.running == node.delivery.generation
    healthy = _is_healthy(context, of, node)
    host = context.store.hosts.get(node.host_uid)
    name = host.meta.name if host else node.host_uid
    return {
        "apiVersion": "v1",
        "kind": "machine",
        "metadata": {
            "uid": node.uid,
            "name": name,
            "annotations": _runs(of, node),
            "labels": {},
            "creationTimestamp": as_text(node.joined),
            "lastModifiedTimestamp": as_text(node.reported),
        },
        "spec": {"edgeHostUid": node.host_uid, "nics": []},
        "status": {
            "addresses": [{"type": "InternalIP", "address": _address(context, node.host_uid)}],
            "instanceState": _instance_state(of, node, running=running),
            "instanceStateLastUpdate": as_text(node.reported),
            "ready": running,
            "health": {"state": "healthy" if healthy else "unhealthy", "conditions": _machine_conditions(of, node)},
        },
    }


def _instance_state(of: ClusterRecord, node: NodeRecord, *, running: bool) -> str:
    if of.state in {"Deleting", "Deleted"}:
        return of.state
    if running:
        return "Running"
    return "Pending" if node.delivery is None or node.state == "idle" else "Provisioning"


def _runs(of: ClusterRecord, node: NodeRecord) -> dict[str, str]:
    current = of.delivery if of.delivery and node.running == of.delivery.generation else None
    facts: dict[str, Any] = {
        "provider-image": node.image,
        "provider-image-digest": node.digest,
        "active-slot": node.active_slot,
        "boot-id": node.boot_id,
        "generation": str(node.running),
        "profile-uid": current.infrastructure.uid if current else "",
        "profile-version": current.infrastructure.version if current else "",
    }
    return {f"{ANNOTATION}/{key}": str(value) for key, value in facts.items()}


def _machine_conditions(of: ClusterRecord, node: NodeRecord) -> list[Json]:
    failed = node.state == "failed"
    image = {
        "type": "ProviderImage",
        "status": "True" if _is_current(of, node) and not failed else "False",
        "reason": "FailedPullImage" if failed else node.state,
        "message": node.message if failed else f"{node.image}@{node.digest}" if node.digest else node.image,
    }
    return [image]
