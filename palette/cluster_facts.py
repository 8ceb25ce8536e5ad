"""What Palette tells about a cluster, reduced to what this project uses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from palette.profiles import Pack, read_pack
from palette.reading import flag, items, moment, text, texts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

RUNNING = "Running"
HEALTHY = "healthy"
GONE = "Deleted"


@dataclass(frozen=True)
class ClusterProfile:
    """A profile version as it is attached to a cluster."""

    uid: str
    name: str
    version: str
    packs: tuple[Pack, ...]


@dataclass(frozen=True)
class ClusterFacts:
    """A cluster. ``state`` is a free text: Pending, Provisioning, Running, Deleting, Deleted are documented."""

    uid: str
    name: str
    state: str
    labels: Mapping[str, str]
    cloud_config_uid: str
    profiles: tuple[ClusterProfile, ...]
    created: datetime | None


@dataclass(frozen=True)
class Overview:
    """The dashboard's view of a cluster, which adds its health to its state."""

    uid: str
    state: str
    health: str

    @property
    def is_ready(self) -> bool:
        """Running and healthy: when the vendor's own Terraform provider calls a cluster done."""
        return self.state == RUNNING and self.health.lower() == HEALTHY

    def __str__(self) -> str:
        return f"{self.state or 'no state'}/{self.health or 'no health'}"


@dataclass(frozen=True)
class RepaveReason:
    """Why a change would replace nodes; ``keys`` are the settings of the pack that differ."""

    code: str
    message: str
    pack: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class RepaveForecast:
    """Palette's answer to "would this repave the cluster?"."""

    is_required: bool
    reasons: tuple[RepaveReason, ...]


@dataclass(frozen=True)
class Repave:
    """A repave that Palette has planned; ``state`` is Pending, Approved, Reverted or empty."""

    state: str
    message: str
    source: str
    reasons: tuple[RepaveReason, ...]
    at: datetime | None


def read_cluster(value: Mapping[str, Any]) -> ClusterFacts:
    """Read a cluster (``v1SpectroCluster``)."""
    return ClusterFacts(
        uid=text(value, "metadata", "uid"),
        name=text(value, "metadata", "name"),
        state=text(value, "status", "state"),
        labels=texts(value, "metadata", "labels"),
        cloud_config_uid=text(value, "spec", "cloudConfigRef", "uid"),
        profiles=tuple(read_profile_template(item) for item in items(value, "spec", "clusterProfileTemplates")),
        created=moment(value, "metadata", "creationTimestamp"),
    )


def read_overview(value: Mapping[str, Any]) -> Overview:
    """Read the dashboard's view (``v1SpectroClusterUidSummary``)."""
    return Overview(
        uid=text(value, "metadata", "uid"),
        state=text(value, "status", "state"),
        health=text(value, "status", "health", "state"),
    )


def read_forecast(value: Mapping[str, Any]) -> RepaveForecast:
    """Read the answer to a repave validation (``v1SpectroClusterRepaveValidationResponse``)."""
    return RepaveForecast(flag(value, "isRepaveRequired"), _reasons(items(value, "reasons")))


def read_repave(value: Mapping[str, Any]) -> Repave:
    """Read the planned repave (``v1SpectroClusterRepave``)."""
    return Repave(
        state=text(value, "status", "state"),
        message=text(value, "status", "message"),
        source=text(value, "spec", "source"),
        reasons=_reasons(items(value, "spec", "reasons")),
        at=moment(value, "status", "repaveTransitionTime"),
    )


def read_profile_template(value: object) -> ClusterProfile:
    """Read a profile as a cluster holds it (``v1ClusterProfileTemplate``)."""
    packs = tuple(read_pack(pack) for pack in items(value, "packs"))
    return ClusterProfile(text(value, "uid"), text(value, "name"), text(value, "profileVersion"), packs)


def _reasons(values: list[Any]) -> tuple[RepaveReason, ...]:
    return tuple(
        RepaveReason(
            code=text(item, "code"),
            message=text(item, "message"),
            pack=text(item, "pack", "target", "name") or text(item, "pack", "current", "name"),
            keys=tuple(str(key) for key in items(item, "pack", "diffConfigKeys")),
        )
        for item in values
    )
