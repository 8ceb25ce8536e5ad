"""What a cluster must be like before its hosts are touched."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from lab.injection import ENDPOINT_OWNER
from lab.palette import profile_rules, shapes
from lab.palette.errors import ApiError, conflict, invalid
from lab.palette.profile_rules import template_problems
from lab.palette.store import Attached, ClusterRecord, EdgeHostRecord, Meta, NodeRecord, Pool, new_uid

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from lab.palette.context import ApiContext

Json = dict[str, Any]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_CONTROL_PLANE_SIZES = (1, 3, 5)


@dataclass(frozen=True)
class Problem:
    """What is wrong with one pool; a ``conflict`` may pass by itself, the rest is the sender's to correct."""

    pool: str
    code: str
    message: str
    conflict: bool = False


def attach_profiles(
    context: ApiContext, project: str, sent: Sequence[Json], place: str = "spec.profiles"
) -> list[Attached]:
    """Make what a new cluster uses. Raises ApiError."""
    attached = []
    for position, one in enumerate(sent):
        profile = context.store.profile(one["uid"], project)
        attached.append(profile_rules.attach(profile, one, f"{place}[{position}]", context.settings.strictness.masks))
    check_profiles(attached, place)
    return attached


def check_profiles(attached: Sequence[Attached], place: str) -> None:
    """Raise ApiError 400 unless exactly one of the profiles is one for infrastructure, and no pack is there twice."""
    infrastructure = [profile for profile in attached if profile.template.type != "add-on"]
    if len(infrastructure) != 1:
        names = ", ".join(f"'{profile.name}' {profile.version}" for profile in infrastructure) or "none"
        message = f"a cluster has exactly one infrastructure profile; there is {names}"
        raise invalid(place, message, "InvalidClusterProfiles")
    packs = [pack.name for profile in attached for pack in profile.template.packs]
    doubled = sorted({name for name in packs if packs.count(name) > 1})
    if doubled:
        raise invalid(place, f"pack {', '.join(doubled)} is in more than one profile", "InvalidClusterProfiles")
    problems = template_problems(infrastructure[0].template)
    if problems:
        raise invalid(place, problems[0][2], problems[0][1])


def make_pools(sent: Sequence[Json]) -> list[Pool]:
    """Make machine pools of what was sent."""
    pools = []
    for pool in sent:
        config = dict(pool["poolConfig"])
        labels = config.get("labels", [])
        control_plane = bool(config.get("isControlPlane") or {"control-plane", "master"} & set(labels))
        config["isControlPlane"] = control_plane
        pools.append(Pool(config["name"], control_plane, config, [dict(h) for h in pool["cloudConfig"]["edgeHosts"]]))
    return pools


def make_nodes(pools: Iterable[Pool]) -> list[NodeRecord]:
    """Make one node for every host of the pools."""
    return [NodeRecord(host["hostUid"], pool.name, pool.control_plane) for pool in pools for host in pool.hosts]


def pool_problems(
    context: ApiContext, project: str, pools: Sequence[Pool], taken: Collection[str] = (), *, two_node: bool = False
) -> list[Problem]:
    """Name everything that is wrong with pools and their hosts; ``taken`` hosts are the cluster's already."""
    problems = []
    names = [pool.name for pool in pools]
    problems += [
        Problem(n, "MachinePoolDoubled", f"pool '{n}' is there twice") for n in set(names) if names.count(n) > 1
    ]
    leaders = [pool for pool in pools if pool.control_plane]
    if len(leaders) != 1:
        message = f"a cluster has exactly one control plane pool, not {len(leaders)}"
        problems.append(Problem("", "ControlPlanePool", message))
    problems += [p for pool in leaders for p in _size_problems(pool, two_node=two_node)]
    seen: set[str] = set()
    for pool in pools:
        problems += _count_problems(pool)
        for host in pool.hosts:
            uid = host["hostUid"]
            if uid in seen:
                problems.append(Problem(pool.name, "EdgeHostDoubled", f"Edge host '{uid}' is there twice"))
            elif uid not in taken:
                problems += _host_problems(context, project, pool, uid)
            seen.add(uid)
    return problems


def _size_problems(pool: Pool, *, two_node: bool) -> list[Problem]:
    allowed, right = ((2,), "2, for it is a two-node cluster") if two_node else (_CONTROL_PLANE_SIZES, "1, 3 or 5")
    if len(pool.hosts) in allowed:
        return []
    message = f"the control plane pool has {len(pool.hosts)} hosts; it takes {right}"
    return [Problem(pool.name, "ControlPlaneSize", message)]


def _count_problems(pool: Pool) -> list[Problem]:
    if pool.config["size"] == len(pool.hosts):
        return []
    message = f"pool '{pool.name}' has size {pool.config['size']} and {len(pool.hosts)} hosts"
    return [Problem(pool.name, "MachinePoolSize", message)]


def _host_problems(context: ApiContext, project: str, pool: Pool, uid: str) -> list[Problem]:
    host = context.store.hosts.get(uid)
    if host is None or host.meta.project != project:
        return [Problem(pool.name, "EdgeHostNotFound", f"Edge host '{uid}' does not exist in this project")]
    return [Problem(pool.name, code, text, conflict=True) for code, text in _unusable(context, host)] + _arch(
        pool, host
    )


def _unusable(context: ApiContext, host: EdgeHostRecord) -> list[tuple[str, str]]:
    uid = host.meta.uid
    if not host.paired:
        return [("EdgeHostDeviceNotRegistered", f"Edge host '{uid}' has not registered yet")]
    if host.cluster_uid:
        name = context.store.clusters[host.cluster_uid].meta.name
        return [("EdgeHostInUse", f"Edge host '{uid}' is in use by cluster '{name}'")]
    if host.resetting:
        return [("EdgeHostResetting", f"Edge host '{uid}' is being reset")]
    if not shapes.host_is_alive(host, context):
        return [("EdgeHostUnhealthy", f"Edge host '{uid}' is unhealthy: no heartbeat")]
    return []


def _arch(pool: Pool, host: EdgeHostRecord) -> list[Problem]:
    wanted = pool.config.get("machinePoolProperties", {}).get("archType")
    has = host.device.get("archType", "amd64")
    if wanted in {None, has}:
        return []
    message = f"Edge host '{host.meta.uid}' is {has}; pool '{pool.name}' takes {wanted}"
    return [Problem(pool.name, "EdgeHostArchitecture", message)]


def sent_pools(spec: Json) -> list[Json]:
    """Return the pools of a cluster's specification, in either spelling of the key (docs/palette.md §3.3)."""
    pools = spec.get("machinepoolconfig") or spec.get("machinePoolConfig") or []
    if not pools:
        raise invalid("spec.machinepoolconfig", "is missing")
    return list(pools)


def check_cluster(context: ApiContext, project: str, name: str, cloud_config: Json) -> None:
    """Raise ApiError 400 or 409 for what is wrong with the cluster itself."""
    if not _NAME.fullmatch(name):
        raise invalid(
            "metadata.name", f"'{name}' is no cluster name; use lower case letters, digits and '-', at most 63"
        )
    if any(cluster.present and cluster.meta.name == name for cluster in context.store.clusters_of(project)):
        raise conflict("ClusterAlreadyExists", f"there is already a cluster named '{name}' in this project")
    check_endpoint(context, cloud_config)


def check_endpoint(context: ApiContext, cloud_config: Json) -> None:
    """Raise ApiError for a control-plane endpoint that is missing, an Edge host's own, or another cluster's.

    The published pages say that it must not be a host's address and that each cluster has its own; what Palette
    answers they do not say. Endpoints inside an overlay network are not compared: each overlay has its own addresses.
    """
    if _has_overlay(cloud_config):
        return
    place, endpoint = "spec.cloudConfig.controlPlaneEndpoint.host", _endpoint(cloud_config)
    if not endpoint:
        raise invalid(place, "is missing; write the cluster's virtual IP address")
    for host in context.store.hosts.values():
        if endpoint in _addresses(host):
            raise invalid(place, f"'{endpoint}' is the address of Edge host '{host.meta.uid}'; write a free one")
    if owner := context.behaviour.at(ENDPOINT_OWNER, partial(_owner, context), endpoint):
        message = f"control plane endpoint '{endpoint}' is in use by cluster '{owner}'"
        raise conflict("ControlPlaneEndpointInUse", message)


def _owner(context: ApiContext, endpoint: str) -> str:
    present = (each for each in context.store.clusters.values() if each.present and not _has_overlay(each.cloud_config))
    return next((each.meta.name for each in present if _endpoint(each.cloud_config) == endpoint), "")


def is_two_node(cloud_config: Json) -> bool:
    """Return whether the control plane is two hosts, of which one leads."""
    return bool(cloud_config.get("isTwoNodeCluster", False))


def _endpoint(cloud_config: Json) -> str:
    return str(cloud_config.get("controlPlaneEndpoint", {}).get("host", ""))


def _has_overlay(cloud_config: Json) -> bool:
    return bool(cloud_config.get("overlayNetworkConfiguration", {}).get("enable", False))


def _addresses(host: EdgeHostRecord) -> set[str]:
    nics = host.device.get("nics", [])
    return {str(host.host.get("hostAddress", "")), *(str(nic.get("ip", "")) for nic in nics)} - {""}


def make_cluster(context: ApiContext, project: str, body: Json) -> ClusterRecord:
    """Make a cluster of what was sent. Raises ApiError 400, 404 or 409 for the first thing that is wrong."""
    sent, spec = body["metadata"], body["spec"]
    check_cluster(context, project, sent["name"], spec["cloudConfig"])
    attached = attach_profiles(context, project, spec["profiles"])
    pools = make_pools(sent_pools(spec))
    refuse(pool_problems(context, project, pools, two_node=is_two_node(spec["cloudConfig"])))
    meta = Meta(new_uid(), sent["name"], project, sent.get("labels", {}), sent.get("annotations", {}))
    return ClusterRecord(meta, spec["cloudConfig"], tuple(attached), pools, make_nodes(pools))


def refuse(problems: Sequence[Problem]) -> None:
    """Raise ApiError for the first problem; all are in the details."""
    if not problems:
        return
    details = {"errors": [{"pool": p.pool, "code": p.code, "message": p.message} for p in problems]}
    status = 409 if all(problem.conflict for problem in problems) else 400
    raise ApiError(status, problems[0].code, problems[0].message, details)
