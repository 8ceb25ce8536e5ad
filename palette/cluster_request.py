"""What a cluster is asked to be: Edge hosts in machine pools, profiles and an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from palette.profiles import covered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protected import Secret

CONTROL_PLANE = "control-plane"
WORKER = "worker"


@dataclass(frozen=True)
class PoolHost:
    """An Edge host in a machine pool; ``nic`` and ``static_ip`` only where the host has several networks."""

    uid: str
    name: str = ""
    nic: str = ""
    static_ip: str = ""

    def body(self) -> dict[str, object]:
        """Return the host in Palette's spelling."""
        body: dict[str, object] = {"hostUid": self.uid}
        if self.name:
            body["hostName"] = self.name
        if self.nic or self.static_ip:
            body["nic"] = {key: value for key, value in (("nicName", self.nic), ("ip", self.static_ip)) if value}
        return body


@dataclass(frozen=True)
class MachinePool:
    """A machine pool. ``repave_interval`` is seconds between nodes and counts for worker pools only."""

    name: str
    hosts: tuple[PoolHost, ...]
    control_plane: bool = True
    also_worker: bool = True
    architecture: Literal["amd64", "arm64"] = "amd64"
    repave_interval: int = 0
    update: Literal["RollingUpdateScaleOut", "RollingUpdateScaleIn", "OverrideScaling"] = "RollingUpdateScaleOut"
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """Return the pool in Palette's spelling (``v1EdgeNativeMachinePoolConfigEntity``)."""
        size = len(self.hosts)
        pool: dict[str, object] = {
            "name": self.name,
            "labels": [CONTROL_PLANE if self.control_plane else WORKER],
            "isControlPlane": self.control_plane,
            "useControlPlaneAsWorker": self.control_plane and self.also_worker,
            "size": size,
            "minSize": size,
            "maxSize": size,
            "nodeRepaveInterval": self.repave_interval,
            "updateStrategy": {"type": self.update},
            "machinePoolProperties": {"archType": self.architecture},
        }
        if self.labels:
            pool["additionalLabels"] = dict(self.labels)
        return {"cloudConfig": {"edgeHosts": [host.body() for host in self.hosts]}, "poolConfig": pool}


@dataclass(frozen=True)
class AttachedProfile:
    """A profile for a cluster: which version, values of its variables, values of packs that differ from the profile's.

    ``replaces`` is the uid of the attached profile version that this one takes the place of.
    """

    uid: str
    variables: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    pack_values: Mapping[str, str] = field(default_factory=dict, repr=False)
    replaces: str = ""

    def body(self) -> dict[str, object]:
        """Return the profile in Palette's spelling (``v1SpectroClusterProfileEntity``)."""
        body: dict[str, object] = {"uid": self.uid}
        if self.replaces:
            body["replaceWithProfile"] = self.replaces
        if self.pack_values:
            body["packValues"] = [
                {"name": name, "values": covered(values)} for name, values in self.pack_values.items()
            ]
        if self.variables:
            body["variables"] = [{"name": name, "value": value} for name, value in self.variables.items()]
        return body


@dataclass(frozen=True)
class ClusterRequest:
    """An Edge cluster to be made (``v1SpectroEdgeNativeClusterEntity``).

    ``endpoint`` is its virtual address, outside those of its hosts. ``ssh_keys`` give access to
    the hosts as the user ``spectro``.
    """

    name: str
    profiles: tuple[AttachedProfile, ...]
    pools: tuple[MachinePool, ...]
    endpoint: str
    endpoint_type: Literal["VIP", "External", "DDNS", "IP"] = "VIP"
    ssh_keys: tuple[str, ...] = ()
    ntp_servers: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    parallel_worker_pools: bool = False

    def body(self) -> dict[str, object]:
        """Return the request in Palette's spelling; ``machinepoolconfig`` is lower case in the published API."""
        cloud: dict[str, object] = {
            "controlPlaneEndpoint": {"host": self.endpoint, "type": self.endpoint_type},
            "sshKeys": list(self.ssh_keys),
            "ntpServers": list(self.ntp_servers),
            "staticIp": False,
            "overlayNetworkConfiguration": {"enable": False},
        }
        return {
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {
                "cloudConfig": cloud,
                "machinepoolconfig": [pool.body() for pool in self.pools],
                "profiles": [profile.body() for profile in self.profiles],
                "clusterConfig": {"updateWorkerPoolsInParallel": self.parallel_worker_pools},
                "policies": {},
            },
        }


def simple_cluster(
    name: str, *, profile: str, host: str, endpoint: str, labels: Mapping[str, str] | None = None
) -> ClusterRequest:
    """Return the request for a cluster of one Edge host and one profile."""
    pool = MachinePool(f"{CONTROL_PLANE}-pool", (PoolHost(host),))
    return ClusterRequest(name, (AttachedProfile(profile),), (pool,), endpoint, labels=labels or {})
