"""What a cluster's hosts are given of its Kubernetes: certificates, kubeconfigs, and where the API is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.kubernetes.control_plane import API_PORT
from lab.kubernetes.pki import ClusterPki

if TYPE_CHECKING:
    from lab.palette.store import ClusterRecord, EdgeHostRecord, Store


def given_of_kubernetes(cluster: ClusterRecord, host: EdgeHostRecord, store: Store) -> dict[str, Any]:
    """Return what a host is given, always the same as long as it belongs to the cluster."""
    cluster.certificates = cluster.certificates or ClusterPki()
    if host.meta.uid not in cluster.kubernetes:
        cluster.kubernetes[host.meta.uid] = _issued(cluster.certificates, cluster, host, store)
    return cluster.kubernetes[host.meta.uid]


def _issued(pki: ClusterPki, cluster: ClusterRecord, host: EdgeHostRecord, store: Store) -> dict[str, Any]:
    leader = next(node.host_uid for node in cluster.nodes if node.control_plane)
    address, node = str(store.hosts[leader].host["hostAddress"]), host.meta.name
    server = f"https://{address}:{API_PORT}"
    files = {
        "admin.conf": pki.kubeconfig(server),
        "kubelet.conf": pki.kubeconfig(server, name=f"system:node:{node}", group="system:nodes"),
        "ca.crt": pki.authority,
    }
    if host.meta.uid == leader:
        files |= pki.server_files(address, "127.0.0.1")
    return {"node": node, "address": address, "files": files}
