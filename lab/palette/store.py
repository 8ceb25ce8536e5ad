"""What the endpoint knows: plain records, kept in memory for as long as the endpoint runs."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any, Literal, Self

from lab.palette.errors import not_found

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from lab.kubernetes.pki import ClusterPki
    from lab.palette.repave import Reason
    from lab.palette.values import OsLayerValues

ClusterState = Literal["Provisioning", "Running", "Deleting", "Deleted"]
NodeState = Literal["idle", "pulling", "installing", "running", "failed", "resetting"]
RepaveState = Literal["Pending", "Approved", "Reverted"]


def new_uid() -> str:
    """Return an identity in the form Palette uses: 24 hexadecimal digits."""
    return secrets.token_hex(12)


def now() -> datetime:
    """Return the time in UTC."""
    return datetime.now(UTC)


@dataclass
class Meta:
    """What every stored thing has; ``project`` is None for a thing of the tenant."""

    uid: str
    name: str
    project: str | None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    created: datetime = field(default_factory=now)
    modified: datetime = field(default_factory=now)

    def touch(self) -> None:
        """Note that the thing was changed."""
        self.modified = now()


@dataclass(frozen=True)
class PackRecord:
    """One layer of a profile with its values; ``uid`` is the pack's in its registry."""

    name: str
    layer: str
    type: str
    tag: str
    uid: str
    registry_uid: str
    values: str = field(repr=False)
    manifests: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Template:
    """The layers of a profile at one moment."""

    type: str
    cloud_type: str
    packs: tuple[PackRecord, ...]

    def pack(self, name: str) -> PackRecord | None:
        """Return the pack of that name, None where the profile has none."""
        return next((pack for pack in self.packs if pack.name == name), None)


@dataclass
class ProfileRecord:
    """One version of a cluster profile. Edits go to ``draft``; clusters use ``published``."""

    meta: Meta
    version: str
    draft: Template | None
    published: Template | None = None
    variables: list[dict[str, Any]] = field(default_factory=list)

    @property
    def shown(self) -> Template:
        """The layers as an editor sees them."""
        shown = self.draft or self.published
        assert shown is not None, "a profile has a draft or has been published"
        return shown


@dataclass(frozen=True)
class Attached:
    """A profile version as a cluster uses it: a snapshot of its layers, with the cluster's own values over them."""

    uid: str
    name: str
    version: str
    template: Template
    variables: tuple[dict[str, Any], ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)
    variable_values: Mapping[str, str] = field(default_factory=dict, repr=False)

    def values_of(self, pack: PackRecord) -> str:
        """Return the values that this cluster uses for the pack."""
        return self.overrides.get(pack.name, pack.values)


@dataclass(frozen=True)
class LayerRecords:
    """Rendered values: what hosts are sent, and the OS layer as read."""

    os_values: str = field(repr=False)
    k8s_values: str = field(repr=False)
    os: OsLayerValues
    kubernetes: tuple[str, str] = ("", "")
    """Name and tag of the Kubernetes layer's pack."""


@dataclass(frozen=True)
class Delivery:
    """One applied change of a cluster. ``generation`` never repeats in the life of an endpoint."""

    generation: int
    attached: tuple[Attached, ...]
    layers: LayerRecords
    reasons: tuple[Reason, ...] = ()

    def __deepcopy__(self, _known: object) -> Self:
        """Return the delivery itself, which nobody changes: where faults are watched, nodes are copied all the time."""
        return self

    @property
    def infrastructure(self) -> Attached:
        """The profile that holds the OS layer."""
        return next(profile for profile in self.attached if profile.template.type != "add-on")


@dataclass
class NodeRecord:
    """One host of a cluster: what it has been told (``delivery``) and what it reported last."""

    host_uid: str
    pool: str
    control_plane: bool
    uid: str = field(default_factory=new_uid)
    delivery: Delivery | None = None
    repave: bool = False
    """Whether that delivery replaces the node's system."""
    state: NodeState = "idle"
    generation: int = 0
    image: str = ""
    digest: str = ""
    active_slot: str = ""
    boot_id: str = ""
    message: str = ""
    running: int = 0
    """The generation that the host last said it is running; 0 for none."""
    ran: Delivery | None = None
    """What that generation delivered; it stays when a newer one is delivered."""
    joined: datetime = field(default_factory=now)
    reported: datetime = field(default_factory=now)


@dataclass
class Pool:
    """A machine pool as it was asked for."""

    name: str
    control_plane: bool
    config: dict[str, Any]
    hosts: list[dict[str, Any]]


@dataclass
class ClusterRecord:
    """An Edge-native cluster."""

    meta: Meta
    cloud_config: dict[str, Any]
    attached: tuple[Attached, ...]
    pools: list[Pool]
    nodes: list[NodeRecord]
    config_uid: str = field(default_factory=new_uid)
    state: ClusterState = "Provisioning"
    shown_state: ClusterState = "Provisioning"
    delivery: Delivery | None = None
    pending: Delivery | None = None
    repave: RepaveState | None = None
    repave_changed: datetime | None = None
    completed: int = 0
    """The last generation that every node reported running."""
    later: bool = False
    """``DownloadAndInstallLater`` was asked for: ``pending`` waits for ``spcApply`` instead of an approval."""
    blocked: str = ""
    upgrades: list[tuple[datetime, tuple[str, ...]]] = field(default_factory=list)
    deleting_since: datetime | None = None
    kubeconfig: str = field(default="", repr=False)
    certificates: ClusterPki | None = field(default=None, repr=False)
    """The authority of the cluster's Kubernetes, where it has one."""
    kubernetes: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """What each host is given of it, by the host's uid."""
    passwords: set[str] = field(default_factory=set, repr=False)
    log_requests: list[str] = field(default_factory=list)

    @property
    def present(self) -> bool:
        """Whether the cluster still is."""
        return self.state != "Deleted"


@dataclass
class EdgeHostRecord:
    """An Edge host; ``order`` is what its agent is to do and ``revision`` tells that it changed."""

    meta: Meta
    paired: bool
    device: dict[str, Any] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    tunnel: dict[str, Any] = field(default_factory=dict)
    agent_version: str = ""
    registered_with: str = field(default="", repr=False)
    """Text of the token the host registered with; its agent stays welcome when the token is switched off."""
    cluster_uid: str | None = None
    resets: int = 0
    resetting: bool = False
    revision: int = 0
    order: dict[str, Any] = field(default_factory=dict, repr=False)
    last_seen: datetime | None = None
    sends_heartbeats: bool = False
    open_polls: int = 0
    waiters: set[asyncio.Future[None]] = field(default_factory=set, repr=False)


@dataclass
class Token:
    """A registration token; registering with it puts a host into ``meta.project``."""

    meta: Meta
    text: str = field(repr=False)
    expiry: datetime | None = None
    active: bool = True


@dataclass
class Store:
    """Everything by identity."""

    tenant_uid: str = field(default_factory=new_uid)
    projects: dict[str, Meta] = field(default_factory=dict)
    profiles: dict[str, ProfileRecord] = field(default_factory=dict)
    clusters: dict[str, ClusterRecord] = field(default_factory=dict)
    hosts: dict[str, EdgeHostRecord] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    tenant_macros: dict[str, str] = field(default_factory=dict, repr=False)
    project_macros: dict[str, dict[str, str]] = field(default_factory=dict, repr=False)
    system_macros: dict[str, str] = field(default_factory=dict, repr=False)
    generations: count[int] = field(default_factory=lambda: count(1))

    def profile(self, uid: str, project: str | None) -> ProfileRecord:
        """Return a profile of the project or of the tenant. Raises ApiError 404."""
        profile = self.profiles.get(uid)
        if profile is None or profile.meta.project not in {project, None}:
            raise not_found("clusterprofile", uid)
        return profile

    def cluster(self, uid: str, project: str | None) -> ClusterRecord:
        """Return a cluster of the project. Raises ApiError 404."""
        cluster = self.clusters.get(uid)
        if cluster is None or cluster.meta.project != project:
            raise not_found("spectrocluster", uid)
        return cluster

    def cluster_by_config(self, config_uid: str, project: str | None) -> ClusterRecord:
        """Return the cluster that a cloud config belongs to. Raises ApiError 404."""
        for cluster in self.clusters.values():
            if cluster.config_uid == config_uid and cluster.meta.project == project:
                return cluster
        raise not_found("cloudconfig", config_uid)

    def edge_host(self, uid: str, project: str | None) -> EdgeHostRecord:
        """Return an Edge host of the project. Raises ApiError 404."""
        host = self.hosts.get(uid)
        if host is None or host.meta.project != project:
            raise not_found("edgehost", uid)
        return host

    def clusters_of(self, project: str | None) -> list[ClusterRecord]:
        """Return the clusters of a project, oldest first; deleted ones too."""
        return [cluster for cluster in self.clusters.values() if cluster.meta.project == project]

    def users_of(self, profile_uid: str) -> list[ClusterRecord]:
        """Return the clusters that use a profile version now, or wait to."""
        return [c for c in self.clusters.values() if c.present and profile_uid in _profiles_of(c)]


def _profiles_of(cluster: ClusterRecord) -> Iterable[str]:
    deliveries = (cluster.delivery, cluster.pending)
    running = {profile.uid for delivery in deliveries if delivery for profile in delivery.attached}
    return running | {profile.uid for profile in cluster.attached}
