"""The infrastructure side of an Edge cluster."""

from __future__ import annotations

from dataclasses import dataclass

from palette.reading import at, text
from palette.transport import Call, Scope


@dataclass(frozen=True)
class CloudConfig:
    """What a cluster has of its network: ``endpoint`` is the address of its control plane."""

    uid: str
    endpoint: str


@dataclass(frozen=True)
class CloudConfigs:
    """Cloud configs by their uid, which a cluster tells (``Cluster.cloud_config_uid``)."""

    scope: Scope

    def get(self, uid: str) -> CloudConfig:
        """Read one. Raises NotFoundError."""
        answer = self.scope.ask(Call("GET", at("/v1/cloudconfigs/edge-native/{configUid}", configUid=uid)))
        endpoint = text(answer, "spec", "clusterConfig", "controlPlaneEndpoint", "host")
        return CloudConfig(text(answer, "metadata", "uid"), endpoint)
