"""What happens to clusters and hosts: deploy, update, repave, delete, driven by requests and by agents' reports.

Nothing here waits. Every change ends with :meth:`Reconciler.settle`, which recomputes whose turn it is, what state a
cluster is in and what each agent is to do, and wakes the agents whose order changed. So the next step follows a report
within milliseconds.

Where the vendor's pages leave it open, the lab does this:

* ``status.state`` is ``Provisioning`` until every host reported the image running, then ``Running`` until the cluster
  is deleted; a failed pull changes neither (docs/palette.md §3.4). A repave shows as the condition
  ``RepaveInProgress``, in ``status.repave`` and ``status.upgrades``, and in the overview's health: ``UnHealthy`` from
  the moment a change is in force until every node runs it.
* A repave waits for approval; the hosts keep their previous order until their turn, one at a time, control plane first.
* A cluster that is ``Provisioning`` cannot be updated by request, but follows its profile version and macros as they
  are edited, for its hosts read both at every try.
* A changed macro is applied to running clusters like a new profile version, approval included.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.injection import (
    APPLY_VERSION,
    APPROVE,
    DECIDE_REPAVE,
    DELIVER_ORDER,
    ORDER_NODES,
    REQUIRE_APPROVAL,
    TAKE_TURNS,
)
from lab.palette.context import known_of, known_on
from lab.palette.errors import ApiError, conflict
from lab.palette.events import Source
from lab.palette.kubernetes import given_of_kubernetes
from lab.palette.rendering import render_layers
from lab.palette.repave import Reason, repave_reasons
from lab.palette.store import (
    Attached,
    ClusterRecord,
    ClusterState,
    Delivery,
    EdgeHostRecord,
    LayerRecords,
    NodeRecord,
    Pool,
    ProfileRecord,
    RepaveState,
    now,
)
from lab.palette.values import RenderError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.palette.context import ApiContext


def control_plane_first(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Sort nodes by their turns, otherwise as they were given (docs/palette.md R-072)."""
    return sorted(nodes, key=lambda node: not node.control_plane)


def one_at_a_time(nodes: Sequence[NodeRecord]) -> list[NodeRecord]:
    """Return the nodes that may take their turn: the first one (docs/palette.md R-072)."""
    return list(nodes[:1])


class Reconciler:
    """Moves clusters and hosts on; every public method leaves the agents' orders up to date."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._store = context.store
        self._events = context.events
        self._held: set[str] = set()  # hosts that wait for their order

    # -- requests ------------------------------------------------------------------------------------------------

    def deploy(self, cluster: ClusterRecord) -> None:
        """Take in a new cluster whose hosts are known to be free."""
        self._store.clusters[cluster.meta.uid] = cluster
        for node in cluster.nodes:
            self._store.hosts[node.host_uid].cluster_uid = cluster.meta.uid
        self._events.about_cluster(cluster, "Normal", "ClusterCreated", f"Cluster '{cluster.meta.name}' is created")
        self._apply(cluster, cluster.attached)
        self.settle()

    def update(self, cluster: ClusterRecord, attached: Sequence[Attached], *, later: bool = False) -> None:
        """Move a cluster to other profile versions or values. Raises ApiError 409 unless it is ``Running``."""
        if cluster.state != "Running":
            message = f"cluster '{cluster.meta.name}' is {cluster.state}; it can be updated once it is Running"
            raise conflict("ClusterNotUpdatable", message)
        self._apply(cluster, tuple(attached), later=later)
        self.settle()

    def would_repave(self, cluster: ClusterRecord, attached: Sequence[Attached]) -> list[Reason]:
        """Return the reasons why nodes would be replaced if the cluster used ``attached``. Raises ApiError 400."""
        try:
            layers = render_layers(self._context, cluster, attached)
        except RenderError as error:
            raise ApiError(400, error.reason, str(error)) from error
        return self._reasons(cluster, layers)

    def approve(self, cluster: ClusterRecord) -> None:
        """Start the repave that waits. Raises ApiError 409 when none does."""
        if cluster.repave != "Pending" or cluster.pending is None:
            raise conflict("RepaveNotPending", f"no repave of cluster '{cluster.meta.name}' waits for approval")
        self._events.about_cluster(cluster, "Normal", "RepaveApproved", "The repave of the cluster is approved")
        _set_repave(cluster, "Approved")
        approved = self._context.behaviour.at(APPROVE, lambda waiting: waiting, cluster.pending, **known_of(cluster))
        self._put_in_force(cluster, approved)
        self.settle()

    def apply_now(self, cluster: ClusterRecord) -> None:
        """Apply what was to be installed later. Does nothing when nothing waits."""
        if cluster.later:
            cluster.later = False
            self._apply(cluster, cluster.attached)
            self.settle()

    def delete(self, cluster: ClusterRecord, *, force: bool = False) -> None:
        """Begin to delete a cluster; ``force`` ends a deletion without its hosts. Raises ApiError 409."""
        if cluster.state == "Deleting" and force:
            self._force(cluster)
        elif cluster.state in {"Provisioning", "Running"}:
            cluster.deleting_since = now()
            self._set_state(cluster, "Deleting")
            self._events.about_cluster(cluster, "Normal", "ClusterDeleting", "The cluster is being deleted")
            for host in self._hosts_of(cluster):
                host.resets += 1
        self.settle()

    def refresh(self, project: str | None) -> None:
        """Render again what the clusters of a project (None: of all) use, after a macro changed."""
        for cluster in list(self._store.clusters.values()):
            if project is None or cluster.meta.project == project:
                self._refresh(cluster)
        self.settle()

    def follow_profile(self, profile: ProfileRecord) -> None:
        """Hand a published profile version that was edited to the clusters that are still ``Provisioning`` with it."""
        for cluster in self._store.clusters.values():
            if cluster.state == "Provisioning" and any(a.uid == profile.meta.uid for a in cluster.attached):
                self._apply(cluster, tuple(_follow(attached, profile) for attached in cluster.attached))
        self.settle()

    def reset(self, host: EdgeHostRecord) -> None:
        """Reset a host to the state after registration; one of a cluster deploys again."""
        host.resets += 1
        host.resetting = True
        for node in self._nodes_on(host):
            node.running, node.ran = 0, None
        self._events.about_host(host, "Normal", "EdgeHostReset", "The Edge host is told to reset")
        self.settle()

    def change_pools(self, cluster: ClusterRecord, pools: list[Pool]) -> None:
        """Change the pools of a cluster: hosts that are new to it deploy, others are reset."""
        wanted = {host["hostUid"]: pool for pool in pools for host in pool.hosts}
        for host in self._hosts_of(cluster):
            if host.meta.uid not in wanted:
                host.cluster_uid = None
                host.resets += 1
                host.resetting = True
        nodes = {node.host_uid: node for node in cluster.nodes if node.host_uid in wanted}
        for uid, pool in wanted.items():
            node = nodes.setdefault(uid, NodeRecord(uid, pool.name, pool.control_plane))
            node.pool, node.control_plane = pool.name, pool.control_plane
            self._store.hosts[uid].cluster_uid = cluster.meta.uid
        cluster.pools, cluster.nodes = pools, [nodes[uid] for uid in wanted]
        self.settle()

    # -- reports -------------------------------------------------------------------------------------------------

    def state_reported(self, host: EdgeHostRecord, report: dict[str, Any]) -> None:
        """Take in what a host says of itself; :meth:`settle` follows when all its reports are in."""
        state = report["state"]
        for node in self._nodes_on(host):
            self._note(node, report)
            if state == "running" and node.delivery and report.get("generation") == node.delivery.generation:
                self._note_running(node, host)
        for cluster in self._clusters_with(host):
            cluster.kubeconfig = report.get("kubeconfig", cluster.kubeconfig)
        if state == "idle" and report.get("reset", host.resets) >= host.resets:
            self._host_is_idle(host)

    def _note_running(self, node: NodeRecord, host: EdgeHostRecord) -> None:
        if node.running == node.generation:
            return
        node.running, node.ran = node.generation, node.delivery
        for cluster in self._clusters_with(host):
            message = f'Node on Edge host {host.meta.name} runs provider image "{node.image}"'
            self._events.about_cluster(cluster, "Normal", "NodeRunning", message, Source("palette", host.meta.uid))

    def _note(self, node: NodeRecord, report: dict[str, Any]) -> None:
        node.state = report["state"]
        node.generation = report.get("generation", node.generation)
        node.image = report.get("image", node.image)
        node.digest = report.get("digest", node.digest)
        node.active_slot = report.get("activeSlot", node.active_slot)
        node.boot_id = report.get("bootId", node.boot_id)
        node.message = report.get("message", "")
        node.reported = now()

    def _host_is_idle(self, host: EdgeHostRecord) -> None:
        host.resetting = False
        cluster = self._store.clusters.get(host.cluster_uid or "")
        if cluster is not None and cluster.state == "Deleting":
            host.cluster_uid = None

    # -- profiles ------------------------------------------------------------------------------------------------

    def _apply(self, cluster: ClusterRecord, attached: tuple[Attached, ...], *, later: bool = False) -> None:
        cluster.attached = attached
        try:
            layers = render_layers(self._context, cluster, attached)
        except RenderError as error:
            self._block(cluster, error)
            return
        cluster.blocked = ""
        current = cluster.delivery.layers if cluster.delivery else None
        layers = self._context.behaviour.at(
            APPLY_VERSION, lambda _current, new: new, current, layers, **known_of(cluster)
        )
        self._admit(cluster, layers, self._reasons(cluster, layers), later=later)

    def _admit(self, cluster: ClusterRecord, layers: LayerRecords, reasons: list[Reason], *, later: bool) -> None:
        unfinished = cluster.delivery.reasons if cluster.delivery and _unfinished(cluster) else ()
        every = (*reasons, *(reason for reason in unfinished if reason not in reasons))
        delivery = Delivery(next(self._store.generations), cluster.attached, layers, every)
        cluster.passwords |= {layers.os.written_password} - {""}
        if layers.os.credential and layers.os.credential.password:
            cluster.passwords.add(layers.os.credential.password)
        if later:
            cluster.pending, cluster.later = delivery, True
        elif reasons and self._context.behaviour.at(REQUIRE_APPROVAL, bool, reasons, **known_of(cluster)):
            self._await_approval(cluster, delivery)
        else:
            if cluster.repave == "Pending":
                _set_repave(cluster, "Reverted")
            self._put_in_force(cluster, delivery)

    def _await_approval(self, cluster: ClusterRecord, delivery: Delivery) -> None:
        cluster.pending, cluster.later = delivery, False
        _set_repave(cluster, "Pending")
        message = f"A repave waits for approval: {'; '.join(reason.message for reason in delivery.reasons)}"
        self._events.about_cluster(cluster, "Normal", "RepavePending", message)

    def _put_in_force(self, cluster: ClusterRecord, delivery: Delivery) -> None:
        cluster.delivery, cluster.pending, cluster.later = delivery, None, False
        if delivery.reasons:
            cluster.upgrades.append((now(), tuple(reason.message for reason in delivery.reasons)))
        self._events.about_cluster(cluster, "Normal", "ProfileApplied", _instruction(delivery))

    def _block(self, cluster: ClusterRecord, error: RenderError) -> None:
        cluster.blocked = str(error)
        self._events.about_cluster(cluster, "Error", error.reason, str(error))

    def _reasons(self, cluster: ClusterRecord, layers: LayerRecords) -> list[Reason]:
        if cluster.delivery is None or cluster.state == "Provisioning":
            return []
        current, known = cluster.delivery.layers.os, known_of(cluster)
        reasons: list[Reason] = self._context.behaviour.at(DECIDE_REPAVE, repave_reasons, current, layers.os, **known)
        return reasons

    def _refresh(self, cluster: ClusterRecord) -> None:
        if cluster.state not in {"Provisioning", "Running"} or cluster.later:
            return
        target = cluster.pending or cluster.delivery
        try:
            layers = render_layers(self._context, cluster, cluster.attached)
        except RenderError as error:
            if str(error) != cluster.blocked:
                self._block(cluster, error)
            return
        if cluster.blocked or target is None or layers != target.layers:
            self._apply(cluster, cluster.attached)

    # -- the step to the next state --------------------------------------------------------------------------------

    def settle(self) -> None:
        """Bring turns, states and orders up to date, and wake the agents whose order changed."""
        for cluster in self._store.clusters.values():
            if cluster.present:
                self._assign_turns(cluster)
                self._advance(cluster)
        for host in self._store.hosts.values():
            self._write_order(host)

    def _assign_turns(self, cluster: ClusterRecord) -> None:
        delivery = cluster.delivery
        if delivery is None or cluster.state == "Deleting":
            return
        nodes = [node for node in cluster.nodes if node.running != delivery.generation]
        if delivery.reasons:
            nodes = self._context.behaviour.at(ORDER_NODES, control_plane_first, nodes, **known_of(cluster))
            nodes = self._context.behaviour.at(TAKE_TURNS, one_at_a_time, nodes, **known_of(cluster))
        for node in nodes:
            if node.delivery is not delivery:
                node.repave = bool(delivery.reasons) or _runs_another_image(node, delivery)
                node.delivery = delivery

    def _advance(self, cluster: ClusterRecord) -> None:
        if cluster.state == "Deleting":
            if not self._hosts_of(cluster):
                self._end(cluster)
        elif cluster.delivery and not _unfinished(cluster) and cluster.completed != cluster.delivery.generation:
            cluster.completed = cluster.delivery.generation
            if cluster.state == "Provisioning":
                self._set_state(cluster, "Running")
                self._events.about_cluster(cluster, "Normal", "ClusterRunning", "The cluster is running")
            elif cluster.delivery.reasons:
                self._events.about_cluster(cluster, "Normal", "RepaveCompleted", "Every node runs the new version")

    def _end(self, cluster: ClusterRecord) -> None:
        self._set_state(cluster, "Deleted")
        cluster.pending = None
        self._events.about_cluster(cluster, "Normal", "ClusterDeleted", "The cluster is deleted")

    def _force(self, cluster: ClusterRecord) -> None:
        wait = self._context.settings.force_delete_after_s
        since = cluster.deleting_since or now()
        if (now() - since).total_seconds() < wait:
            message = f"cluster '{cluster.meta.name}' can be deleted by force after {wait:g} s in Deleting"
            raise conflict("ForceDeleteTooEarly", message)
        for host in self._hosts_of(cluster):
            host.cluster_uid = None

    def _set_state(self, cluster: ClusterRecord, state: ClusterState) -> None:
        cluster.state = state
        delay = self._context.settings.strictness.state_delay_s

        def show() -> None:
            cluster.shown_state = state

        if delay:
            asyncio.get_running_loop().call_later(delay, show)
        else:
            show()

    def _write_order(self, host: EdgeHostRecord) -> None:
        known = known_on(host, self._store.clusters.get(host.cluster_uid or ""))
        order = self._context.behaviour.at(DELIVER_ORDER, lambda order: order, self._order(host), **known)
        if order == host.order or host.meta.uid in self._held:
            return
        if seconds := self._seconds_before(host, order):
            self._held.add(host.meta.uid)
            asyncio.get_running_loop().call_later(seconds, self._release, host)
            return
        self._deliver(host, order)

    def _seconds_before(self, host: EdgeHostRecord, order: Mapping[str, Any]) -> float:
        """Return how long a host is made to wait for this order: each phase once, however often its pull is tried."""
        old, new, strict = (host.order or {}).get("cluster"), order["cluster"], self._context.settings.strictness
        if new is None:
            return 0.0
        if old is None or old["uid"] != new["uid"]:
            return strict.deploy_s
        if any(node.running != old["generation"] for node in self._nodes_on(host)):
            return 0.0
        return strict.repave_s if old["image"] != new["image"] or old["credential"] != new["credential"] else 0.0

    def _release(self, host: EdgeHostRecord) -> None:
        self._held.discard(host.meta.uid)
        known = known_on(host, self._store.clusters.get(host.cluster_uid or ""))
        self._deliver(host, self._context.behaviour.at(DELIVER_ORDER, lambda order: order, self._order(host), **known))

    def _deliver(self, host: EdgeHostRecord, order: dict[str, Any]) -> None:
        host.order = order
        host.revision += 1
        for waiter in host.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _order(self, host: EdgeHostRecord) -> dict[str, Any]:
        given = None
        for cluster in self._clusters_with(host):
            node = next(node for node in cluster.nodes if node.host_uid == host.meta.uid)
            if node.delivery is not None and cluster.state != "Deleting":
                given = _cluster_order(cluster, node, node.delivery)
                if self._context.settings.kubernetes:
                    given["realKubernetes"] = given_of_kubernetes(cluster, host, self._store)
        return {"cluster": given, "faults": list(self._context.faults), "reset": host.resets}

    def _hosts_of(self, cluster: ClusterRecord) -> list[EdgeHostRecord]:
        return [host for host in self._store.hosts.values() if host.cluster_uid == cluster.meta.uid]

    def _clusters_with(self, host: EdgeHostRecord) -> list[ClusterRecord]:
        cluster = self._store.clusters.get(host.cluster_uid or "")
        return [cluster] if cluster is not None else []

    def _nodes_on(self, host: EdgeHostRecord) -> list[NodeRecord]:
        return [n for c in self._clusters_with(host) for n in c.nodes if n.host_uid == host.meta.uid]


def _follow(attached: Attached, profile: ProfileRecord) -> Attached:
    if attached.uid != profile.meta.uid or profile.published is None:
        return attached
    return replace(attached, template=profile.published, variables=tuple(profile.variables))


def _unfinished(cluster: ClusterRecord) -> bool:
    return cluster.delivery is None or any(node.running != cluster.delivery.generation for node in cluster.nodes)


def _set_repave(cluster: ClusterRecord, state: RepaveState) -> None:
    cluster.repave = state
    cluster.repave_changed = now()


def _instruction(delivery: Delivery) -> str:
    layer = delivery.layers.os
    profile = delivery.infrastructure
    message = f"Profile '{profile.name}' version {profile.version} is applied: provider image \"{layer.image}\""
    if layer.credential is None:
        return message
    return f"{message} is to be pulled from private registry {layer.credential.registry}"


def _runs_another_image(node: NodeRecord, delivery: Delivery) -> bool:
    """Return whether a node of a cluster not ``Running`` yet got further than the others, with another image."""
    return node.ran is not None and node.ran.layers.os.image != delivery.layers.os.image


def _cluster_order(cluster: ClusterRecord, node: NodeRecord, delivery: Delivery) -> dict[str, Any]:
    profile = delivery.infrastructure
    credential = delivery.layers.os.credential
    return {
        "uid": cluster.meta.uid,
        "name": cluster.meta.name,
        "role": "control-plane" if node.control_plane else "worker",
        "generation": delivery.generation,
        "profileUid": profile.uid,
        "profileVersion": profile.version,
        "image": delivery.layers.os.image,
        "credential": credential.as_order() if credential else None,
        "osValues": delivery.layers.os_values,
        "k8sValues": delivery.layers.k8s_values,
        "kubernetes": list(delivery.layers.kubernetes),
        "turn": delivery is cluster.delivery,
        "repave": node.repave,
    }
