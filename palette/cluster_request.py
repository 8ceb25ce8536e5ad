"""What a cluster is asked to be: Edge hosts in machine pools, profiles and an endpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from protected import Secret


CONTROL_PLANE = "control-plane"
WORKER = "worker"
EndpointType = Literal["VIP", "External", "DDNS"]


@dataclass(frozen=True)
class PoolHost:
    """An Edge host in a machine pool (``v1EdgeNativeMachinePoolHostEntity``).

    ``role`` is its part in a two-node cluster, ``nic`` what it is to make of a network interface (``v1Nic``).
    """

    uid: str
    role: Literal["", "primary", "secondary"] = ""
    name: str = ""
    nic: Mapping[str, object] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """Return the host in Palette's spelling."""
        more = {"hostName": self.name, "nic": dict(self.nic), "twoNodeCandidatePriority": self.role}
        return {"hostUid": self.uid, **{key: value for key, value in more.items() if value}}


@dataclass(frozen=True)
class MachinePool:
    """A machine pool. ``architecture`` is that of its hosts."""

    name: str
    hosts: tuple[PoolHost, ...]
    control_plane: bool = True
    also_worker: bool = True
    architecture: str = "amd64"

    def body(self) -> dict[str, object]:
        """Return the pool in Palette's spelling (``v1EdgeNativeMachinePoolConfigEntity``)."""
        pool: dict[str, object] = {
            "name": self.name,
            "labels": [CONTROL_PLANE if self.control_plane else WORKER],
            "isControlPlane": self.control_plane,
            "useControlPlaneAsWorker": self.control_plane and self.also_worker,
            "size": len(self.hosts),
            "updateStrategy": {"type": "RollingUpdateScaleOut"},
            "machinePoolProperties": {"archType": self.architecture},
        }
        return {"cloudConfig": {"edgeHosts": [host.body() for host in self.hosts]}, "poolConfig": pool}


@dataclass(frozen=True)
class AttachedProfile:
    """A profile version for a cluster, with the values of its ``variables``.

    ``replaces`` is the uid of the attached version that it takes the place of.
    """

    uid: str
    replaces: str = ""
    variables: Mapping[str, str | Secret] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """Return the profile in Palette's spelling (``v1SpectroClusterProfileEntity``)."""
        values = [{"name": name, "value": value} for name, value in self.variables.items()]
        more = {"replaceWithProfile": self.replaces, "variables": values}
        return {"uid": self.uid, **{key: value for key, value in more.items() if value}}


@dataclass(frozen=True)
class ClusterRequest:
    """An Edge cluster to be made (``v1SpectroEdgeNativeClusterEntity``), as the vendor's Terraform provider sends it.

    ``vip`` is its virtual IP, none of its hosts' addresses; with an ``overlay`` (a range) the first address of it. It
    is a name where the ``endpoint`` is of another type; a ``search_domain`` completes a name that is given by DDNS.
    Without either Palette is asked to assign one. ``ssh_keys`` give access to the hosts as the user ``spectro``.
    """

    name: str
    profiles: tuple[AttachedProfile, ...]
    pools: tuple[MachinePool, ...]
    vip: str = ""
    overlay: str = ""
    endpoint: EndpointType = "VIP"
    search_domain: str = ""
    ssh_keys: tuple[str, ...] = ()
    ntp_servers: tuple[str, ...] = ()
    two_node: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, object]:
        """Return the request in Palette's spelling; ``machinepoolconfig`` is lower case in the published API."""
        overlay = {"cidr": self.overlay, "enable": True} if self.overlay else {"enable": False}
        domain = {"ddnsSearchDomain": self.search_domain} if self.search_domain else {}
        cloud: dict[str, object] = {
            "controlPlaneEndpoint": {"host": self.vip, "type": self.endpoint, **domain} if self.vip else {},
            "overlayNetworkConfiguration": overlay,
            "sshKeys": list(self.ssh_keys),
            "ntpServers": list(self.ntp_servers),
            "isTwoNodeCluster": self.two_node,
        }
        return {
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {
                "cloudConfig": cloud,
                "machinepoolconfig": [pool.body() for pool in self.pools],
                "profiles": [profile.body() for profile in self.profiles],
                "policies": {},
            },
        }
