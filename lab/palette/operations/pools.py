"""The cloud config of a cluster: its machine pools and machines."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lab.palette import cluster_rules, shapes_clusters
from lab.palette.bodies import CLOUD_CONFIG, POOL, record
from lab.palette.errors import ApiError, conflict, invalid, not_found
from lab.palette.operations.clusters import note_secrets
from lab.palette.web import ApiCall, Created, Json, Table

if TYPE_CHECKING:
    from lab.palette.store import ClusterRecord, NodeRecord, Pool

TABLE = Table()

_CONFIG = "/v1/cloudconfigs/edge-native/{configUid}"
_POOL = f"{_CONFIG}/machinePools/{{machinePoolName}}"


def _cluster(call: ApiCall) -> ClusterRecord:
    cluster = call.context.store.cluster_by_config(call.path("configUid"), call.project)
    note_secrets(call, cluster)
    return cluster


def _pool(call: ApiCall, cluster: ClusterRecord) -> Pool:
    name = call.path("machinePoolName")
    for pool in cluster.pools:
        if pool.name == name:
            return pool
    raise not_found("machinepool", name)


def _running(cluster: ClusterRecord) -> None:
    if cluster.state != "Running":
        message = f"cluster '{cluster.meta.name}' is {cluster.state}; its pools can be changed once it is Running"
        raise conflict("ClusterNotUpdatable", message)


@TABLE.serves("GET", _CONFIG)
def get(call: ApiCall) -> Json:
    """Return the cloud config."""
    return shapes_clusters.cloud_config(call.context, _cluster(call))


@TABLE.serves("PUT", f"{_CONFIG}/clusterConfig", body=record(clusterConfig=CLOUD_CONFIG))
def update_cluster_config(call: ApiCall) -> None:
    """Change the cluster's network settings."""
    cluster = _cluster(call)
    changed = {**cluster.cloud_config, **call.body.get("clusterConfig", {})}
    if changed.get("controlPlaneEndpoint") != cluster.cloud_config.get("controlPlaneEndpoint"):
        cluster_rules.check_endpoint(call.context, changed)
    cluster.cloud_config.update(changed)


@TABLE.serves("POST", f"{_CONFIG}/machinePools", body=POOL)
def add_pool(call: ApiCall) -> Created:
    """Add a pool of workers."""
    cluster = _cluster(call)
    _running(cluster)
    pool = cluster_rules.make_pools([call.body])[0]
    _change(call, cluster, [*cluster.pools, pool])
    return Created(cluster.config_uid)


@TABLE.serves("PUT", _POOL, body=POOL)
def update_pool(call: ApiCall) -> None:
    """Change a pool: hosts that are added deploy, hosts that are left out are reset."""
    cluster = _cluster(call)
    old = _pool(call, cluster)
    _running(cluster)
    new = cluster_rules.make_pools([call.body])[0]
    if new.name != old.name:
        raise invalid("poolConfig.name", f"'{new.name}' is not the pool of the path, '{old.name}'")
    _change(call, cluster, [new if pool is old else pool for pool in cluster.pools])


@TABLE.serves("DELETE", _POOL)
def delete_pool(call: ApiCall) -> None:
    """Remove a pool of workers; its hosts are reset."""
    cluster = _cluster(call)
    gone = _pool(call, cluster)
    _running(cluster)
    if gone.control_plane:
        raise ApiError(400, "ControlPlanePool", "the control plane pool cannot be removed")
    _change(call, cluster, [pool for pool in cluster.pools if pool is not gone])


def _change(call: ApiCall, cluster: ClusterRecord, pools: list[Pool]) -> None:
    taken = [node.host_uid for node in cluster.nodes]
    two_node = cluster_rules.is_two_node(cluster.cloud_config)
    cluster_rules.refuse(cluster_rules.pool_problems(call.context, call.in_project(), pools, taken, two_node=two_node))
    call.reconciler.change_pools(cluster, pools)


@TABLE.serves("GET", f"{_POOL}/machines")
def machines(call: ApiCall) -> Json:
    """List the machines of a pool."""
    cluster = _cluster(call)
    pool = _pool(call, cluster)
    nodes = [node for node in cluster.nodes if node.pool == pool.name]
    return {"items": [shapes_clusters.machine(call.context, cluster, node) for node in nodes]}


@TABLE.serves("GET", f"{_POOL}/machines/{{machineUid}}")
def machine(call: ApiCall) -> Json:
    """Return one machine."""
    cluster = _cluster(call)
    return shapes_clusters.machine(call.context, cluster, _node(call, cluster))


def _node(call: ApiCall, cluster: ClusterRecord) -> NodeRecord:
    pool = _pool(call, cluster)
    for node in cluster.nodes:
        if node.uid == call.path("machineUid") and node.pool == pool.name:
            return node
    raise not_found("machine", call.path("machineUid"))


@TABLE.serves("DELETE", f"{_POOL}/machines/{{machineUid}}")
def delete_machine(call: ApiCall) -> None:
    """Take a machine out of its pool; its host is reset."""
    cluster = _cluster(call)
    node, pool = _node(call, cluster), _pool(call, cluster)
    _running(cluster)
    hosts = [host for host in pool.hosts if host["hostUid"] != node.host_uid]
    smaller = replace(pool, hosts=hosts, config={**pool.config, "size": len(hosts)})
    _change(call, cluster, [smaller if one is pool else one for one in cluster.pools])
