"""Edge-native clusters: validated, made, looked at, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.palette import cluster_rules, shapes, shapes_clusters
from lab.palette.bodies import CLUSTER, META, one_of, record
from lab.palette.errors import ApiError, not_found
from lab.palette.operations.hosts import SEARCH
from lab.palette.operations.search import matches
from lab.palette.paging import listing
from lab.palette.web import ApiCall, Created, File, Json, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.palette.store import Attached, ClusterRecord

TABLE = Table()


def find(call: ApiCall) -> ClusterRecord:
    """Return the cluster that the path names; its secrets are kept out of the answer. Raises ApiError 404."""
    cluster = call.context.store.cluster(call.path("uid"), call.project)
    note_secrets(call, cluster)
    return cluster


def note_secrets(call: ApiCall, cluster: ClusterRecord) -> None:
    """Keep a cluster's passwords and sensitive variables out of the answer."""
    call.secrets |= cluster.passwords
    for attached in cluster.attached:
        call.secrets |= sensitive_values(attached)


def sensitive_values(attached: Attached) -> set[str]:
    """Return the values of sensitive variables."""
    names = {variable["name"] for variable in attached.variables if variable.get("isSensitive")}
    defaults = {v["defaultValue"] for v in attached.variables if v["name"] in names and v.get("defaultValue")}
    return defaults | {value for name, value in attached.variable_values.items() if name in names and value}


@TABLE.serves("POST", "/v1/spectroclusters/edge-native/validate", body=CLUSTER)
def validate(call: ApiCall) -> Json:
    """Return what would be wrong with a cluster, pool by pool and profile by profile."""
    spec, project = call.body["spec"], call.in_project()
    pools = cluster_rules.make_pools(cluster_rules.sent_pools(spec))
    two_node = cluster_rules.is_two_node(spec["cloudConfig"])
    problems = cluster_rules.pool_problems(call.context, project, pools, two_node=two_node)
    results = [
        _result(pool.name, [(p.code, p.message) for p in problems if p.pool in {pool.name, ""}]) for pool in pools
    ]
    return {"machinePools": {"results": results}, "profiles": _validated_profiles(call, project, spec["profiles"])}


def _validated_profiles(call: ApiCall, project: str, sent: Sequence[Json]) -> list[Json]:
    validated = []
    for one in sent:
        try:
            cluster_rules.attach_profiles(call.context, project, [one])
            errors = []
        except ApiError as error:
            errors = [(error.code, error.message)]
        validated.append({"uid": one["uid"], "packs": {"results": [_result(one["uid"], errors)]}})
    return validated


def _result(name: str, errors: Sequence[tuple[str, str]]) -> Json:
    return {"name": name, "displayName": name, "errors": [{"code": code, "message": text} for code, text in errors]}


@TABLE.serves("POST", "/v1/spectroclusters/edge-native", body=CLUSTER)
def create(call: ApiCall) -> Created:
    """Make a cluster and begin to deploy it."""
    cluster = cluster_rules.make_cluster(call.context, call.in_project(), call.body)
    call.reconciler.deploy(cluster)
    return Created(cluster.meta.uid)


@TABLE.serves("GET", "/v1/spectroclusters/{uid}")
def get(call: ApiCall) -> Json:
    """Return a cluster."""
    return shapes_clusters.cluster(call.context, find(call))


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/status")
def status(call: ApiCall) -> Json:
    """Return a cluster's state."""
    return {"status": {"state": shapes_clusters.state_shown(call.context, find(call))}}


@TABLE.serves("GET", "/v1/dashboard/spectroclusters/{uid}")
@TABLE.serves("GET", "/v1/dashboard/spectroclusters/{uid}/overview")
def overview(call: ApiCall) -> Json:
    """Return a cluster's summary, with its health and why nodes were replaced."""
    return shapes_clusters.overview(call.context, find(call))


@TABLE.serves("DELETE", "/v1/spectroclusters/{uid}")
def delete(call: ApiCall) -> None:
    """Begin to delete a cluster; ``forceDelete`` ends a deletion that its hosts do not answer."""
    call.reconciler.delete(find(call), force=call.flag("forceDelete"))


@TABLE.serves("PATCH", "/v1/spectroclusters/{uid}/metadata", body=record("metadata", metadata=META))
def update_metadata(call: ApiCall) -> None:
    """Change a cluster's labels and annotations."""
    cluster, sent = find(call), call.body["metadata"]
    cluster.meta.labels = dict(sent.get("labels", cluster.meta.labels))
    cluster.meta.annotations = dict(sent.get("annotations", cluster.meta.annotations))
    cluster.meta.touch()


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/edge-native/edgeHosts")
def edge_hosts(call: ApiCall) -> Json:
    """List a cluster's Edge hosts."""
    uids = {node.host_uid for node in find(call).nodes}
    hosts = [host for uid, host in call.context.store.hosts.items() if uid in uids]
    return listing(hosts, call.page(), lambda host: shapes.edge_host(host, call.context))


@TABLE.serves(
    "POST", "/v1/spectroclusters/{uid}/upgrade/settings", body=record(spectroComponents=one_of("lock", "unlock"))
)
def upgrade_settings(call: ApiCall) -> None:
    """Pause or resume agent upgrades, of which a lab has none."""
    find(call)


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/assets/kubeconfig")
@TABLE.serves("GET", "/v1/spectroclusters/{uid}/assets/adminKubeconfig")
@TABLE.serves("GET", "/v1/spectroclusters/{uid}/assets/kubeconfigclient")
def kubeconfig(call: ApiCall) -> File:
    """Return the kubeconfig that a control plane host reported. Raises ApiError 404 where hosts run no Kubernetes."""
    cluster = find(call)
    if not cluster.kubeconfig:
        raise not_found("kubeconfig of cluster", cluster.meta.uid)
    return File(f"{cluster.meta.name}.kubeconfig", cluster.kubeconfig.encode())


@TABLE.serves("GET", "/v1/spectroclusters/{uid}/features/backup")
@TABLE.serves("GET", "/v1/spectroclusters/{uid}/features/complianceScan")
@TABLE.serves("GET", "/v1/spectroclusters/{uid}/config/rbacs")
@TABLE.serves("GET", "/v1/spectroclusters/{uid}/config/namespaces")
def none_configured(call: ApiCall) -> Json:
    """Answer that there is none, which every read of the vendor's Terraform provider asks."""
    raise not_found(f"{call.request.path.rpartition('/')[2]} of cluster", find(call).meta.uid)


# -- lists -----------------------------------------------------------------------------------------------------------


def _present(call: ApiCall) -> list[ClusterRecord]:
    """Clusters of the project; deleted ones are listed for a while (72 hours at a real site)."""
    return call.context.store.clusters_of(call.project)


def _searchable(call: ApiCall) -> Callable[[ClusterRecord], dict[str, Any]]:
    def properties(cluster: ClusterRecord) -> dict[str, Any]:
        return {
            "name": cluster.meta.name,
            "clusterName": cluster.meta.name,
            "uid": cluster.meta.uid,
            "clusterState": shapes_clusters.state_shown(call.context, cluster),
            "healthState": shapes_clusters.health_shown(call.context, cluster),
            "tags": cluster.meta.labels,
            "environment": "edge-native",
            "isDeleted": not cluster.present,
            "creationTimestamp": cluster.meta.created.isoformat(),
            "lastModifiedTimestamp": cluster.meta.modified.isoformat(),
        }

    return properties


@TABLE.serves("POST", "/v1/dashboard/spectroclusters/search", body=SEARCH)
def search(call: ApiCall) -> Json:
    """Find clusters by name, state, health and tags."""
    properties = _searchable(call)
    found = [cluster for cluster in _present(call) if matches(properties(cluster), call.body.get("filter", {}))]
    for order in reversed(call.body.get("sort", [])):
        field = order.get("field", "creationTimestamp")
        found.sort(key=lambda c, f=field: str(properties(c).get(f, "")), reverse=order.get("order") == "desc")  # type: ignore[misc]
    for cluster in found:
        note_secrets(call, cluster)
    return listing(found, call.page(), lambda cluster: shapes_clusters.summary(call.context, cluster))
