"""The infrastructure side of an Edge cluster: endpoint, machine pools, machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palette.once import do_once
from palette.reading import at, dig, flag, items, text
from palette.transport import Call, Scope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from palette.cluster_request import MachinePool

_POOL = "/v1/cloudconfigs/edge-native/{configUid}/machinePools/{machinePoolName}"


@dataclass(frozen=True)
class PoolState:
    """A machine pool as it is; ``hosts`` are uids of Edge hosts."""

    name: str
    control_plane: bool
    size: int
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class CloudConfig:
    """Endpoint and machine pools of a cluster."""

    uid: str
    endpoint: str
    pools: tuple[PoolState, ...]


@dataclass(frozen=True)
class Machine:
    """A node of a cluster.

    ``state`` is Pending, Provisioning, Provisioned, Running, Deleting, Deleted, Failed or Unknown.
    """

    uid: str
    name: str
    edge_host: str
    state: str
    ready: bool
    health: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class CloudConfigs:
    """Cloud configs by their uid, which a cluster tells (``Cluster.cloud_config_uid``)."""

    scope: Scope

    def get(self, uid: str) -> CloudConfig:
        """Read one. Raises NotFoundError."""
        answer = self.scope.ask(Call("GET", at("/v1/cloudconfigs/edge-native/{configUid}", configUid=uid)))
        return CloudConfig(
            uid=text(answer, "metadata", "uid"),
            endpoint=text(answer, "spec", "clusterConfig", "controlPlaneEndpoint", "host"),
            pools=tuple(_pool(item) for item in items(answer, "spec", "machinePoolConfig")),
        )

    def machines(self, uid: str, pool: str) -> tuple[Machine, ...]:
        """Read the machines of a pool."""
        path = at(_POOL + "/machines", configUid=uid, machinePoolName=pool)
        return tuple(_machine(item) for item in items(self.scope.ask(Call("GET", path)), "items"))

    def machine(self, uid: str, pool: str, machine: str) -> Machine:
        """Read one machine. Raises NotFoundError."""
        path = at(_POOL + "/machines/{machineUid}", configUid=uid, machinePoolName=pool, machineUid=machine)
        return _machine(self.scope.ask(Call("GET", path)))

    def delete_machine(self, uid: str, pool: str, machine: str) -> None:
        """Take a machine out of a pool."""
        path = at(_POOL + "/machines/{machineUid}", configUid=uid, machinePoolName=pool, machineUid=machine)
        self.scope.send(Call("DELETE", path))

    def create_pool(self, uid: str, pool: MachinePool) -> None:
        """Add a machine pool."""
        path = at("/v1/cloudconfigs/edge-native/{configUid}/machinePools", configUid=uid)
        call = Call("POST", path, body=pool.body())
        do_once(self.scope, lambda: self.scope.send(call), lambda: self._has_pool(uid, pool.name) or None)

    def update_pool(self, uid: str, pool: MachinePool) -> None:
        """Replace a machine pool."""
        path = at(_POOL, configUid=uid, machinePoolName=pool.name)
        self.scope.send(Call("PUT", path, body=pool.body()))

    def delete_pool(self, uid: str, pool: str) -> None:
        """Delete a machine pool."""
        self.scope.send(Call("DELETE", at(_POOL, configUid=uid, machinePoolName=pool)))

    def _has_pool(self, uid: str, name: str) -> bool:
        return any(pool.name == name for pool in self.get(uid).pools)


def _pool(value: Mapping[str, Any]) -> PoolState:
    size = dig(value, "size")
    return PoolState(
        name=text(value, "name"),
        control_plane=flag(value, "isControlPlane"),
        size=size if isinstance(size, int) else 0,
        hosts=tuple(text(host, "hostUid") for host in items(value, "hosts")),
    )


def _machine(value: Mapping[str, Any]) -> Machine:
    return Machine(
        uid=text(value, "metadata", "uid"),
        name=text(value, "metadata", "name"),
        edge_host=text(value, "spec", "edgeHostUid"),
        state=text(value, "status", "instanceState"),
        ready=flag(value, "status", "ready"),
        health=text(value, "status", "health", "state"),
        addresses=tuple(text(item, "address") for item in items(value, "status", "addresses")),
    )
