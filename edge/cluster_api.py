"""What a cluster's Kubernetes API says of a repave: its nodes, the pods of the upgrade, and the events of their pulls.

The objects are those of the published API (core/v1). Upgrades are made by Rancher's system-upgrade-controller, whose
pods carry the label ``upgrade.cattle.io/plan``; a job is deleted 15 minutes after it ended, events are kept for an hour
(docs/palette.md §5.4, §6). A kubeconfig is a credential: it is guarded, and never part of a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from foreign.yaml_text import BadYamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

    from protected import Secret

PLAN = "upgrade.cattle.io/plan"
"""The label of everything that an upgrade plan made."""

ANSWER_SECONDS = (5.0, 20.0)
"""How long a connection and an answer may take."""

PAGE = 200
"""Objects in one answer."""

#: Reasons of kubelet's events that are about images alone, those that may be, and of containers that wait for one.
PULLING = frozenset({"Pulling", "Pulled", "FailedToRetrieveImagePullSecret", "InspectFailed", "ErrImageNeverPull"})
OF_MORE = frozenset({"Failed", "BackOff"})
NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"})


class ClusterApiError(Exception):
    """A cluster's Kubernetes API cannot be used, or did not answer; the message is one line without a credential."""


@dataclass(frozen=True)
class Node:
    """A node as the cluster knows it."""

    name: str
    is_ready: bool
    version: str
    runtime: str
    image: str
    takes_pods: bool

    def __str__(self) -> str:
        state = "Ready" if self.is_ready else "NotReady"
        return f"node {self.name}: {state}{'' if self.takes_pods else ', cordoned'}, {self.version}, {self.runtime}"


@dataclass(frozen=True)
class UpgradePod:
    """A pod of an upgrade plan: on which node, which images with which pull secrets, and what it waits for."""

    namespace: str
    name: str
    node: str
    phase: str
    images: tuple[str, ...]
    pull_secrets: tuple[str, ...]
    service_account: str
    waiting: tuple[str, ...]
    created: datetime

    @property
    def cannot_pull(self) -> bool:
        """Whether a container of it waits for an image that could not be pulled."""
        return any(reason.partition(":")[0] in NO_IMAGE for reason in self.waiting)

    def __str__(self) -> str:
        secrets = ", ".join(self.pull_secrets) or "none"
        waits = f"; waiting: {'; '.join(self.waiting)}" if self.waiting else ""
        images = ", ".join(self.images)
        return f"pod {self.name} on {self.node or 'no node'}: {self.phase}, {images}, pull secrets: {secrets}{waits}"


@dataclass(frozen=True)
class PullEvent:
    """What kubelet said of an image of a pod."""

    at: datetime
    pod: str
    node: str
    reason: str
    message: str
    is_warning: bool

    @property
    def is_of_an_upgrade(self) -> bool:
        """Return whether it is a pod of the controller's jobs, ``apply-PLAN-on-NODE-with-HASH``."""
        return self.pod.startswith("apply-") and "-on-" in self.pod


class ClusterApi:
    """A cluster's Kubernetes API, read only; a context manager.

    ``area`` is a folder that only this user can read, for the certificates and keys of the kubeconfig: TLS takes them
    from files. Every method raises :exc:`ClusterApiError`.
    """

    def __init__(self, kubeconfig: Secret, area: Path) -> None:
        # half a second and some 40 MiB: only who has a cluster with Kubernetes pays for it
        from kubernetes import client, config  # noqa: PLC0415 - see above

        settings = client.Configuration()
        loaded = _checked(kubeconfig.reveal())
        try:
            config.load_kube_config_from_dict(  # type: ignore[no-untyped-call] # published without its types
                loaded, client_configuration=settings, temp_file_path=str(area)
            )
        except (config.ConfigException, ValueError, OSError) as error:
            raise ClusterApiError(f"the kubeconfig cannot be used: {type(error).__name__}") from None
        settings.proxy, settings.retries = None, 1  # directly, as everything else goes
        self._host = settings.host
        self._client = client.ApiClient(settings)
        self._core = client.CoreV1Api(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call] # published without its types
        self._client.rest_client.pool_manager.clear()

    def nodes(self) -> list[Node]:
        """Return the cluster's nodes."""
        return [_node(found) for found in self._all(self._core.list_node)]

    def upgrade_pods(self) -> list[UpgradePod]:
        """Return the pods of upgrade plans, of every namespace."""
        found = self._all(self._core.list_pod_for_all_namespaces, label_selector=PLAN)
        return sorted(map(_pod, found), key=lambda pod: pod.created)

    def pull_events(self) -> list[PullEvent]:
        """Return what was said of the images of pods, also of pods that are gone, in order of time."""
        found = self._all(self._core.list_event_for_all_namespaces, field_selector="involvedObject.kind=Pod")
        return sorted((_event(event) for event in found if _is_about_an_image(event)), key=lambda event: event.at)

    def _all(self, ask: Callable[..., Any], **selected: str) -> Iterator[Any]:
        """Yield every object of a list, page by page."""
        more = ""
        while True:
            page = self._page(ask, {**selected, **({"_continue": more} if more else {})})
            yield from page.items
            more = getattr(page.metadata, "_continue", None) or ""
            if not more:
                return

    def _page(self, ask: Callable[..., Any], options: dict[str, str]) -> Any:  # noqa: ANN401 - a list of any kind
        from kubernetes.client import ApiException  # noqa: PLC0415 - as in __init__
        from urllib3.exceptions import HTTPError  # noqa: PLC0415 - beside what raises it

        try:
            return ask(limit=PAGE, _request_timeout=ANSWER_SECONDS, **options)
        except ApiException as error:
            raise ClusterApiError(f"the Kubernetes API at {self._host} answers {error.status} {error.reason}") from None
        except (HTTPError, OSError, ValueError) as error:
            kind = type(getattr(error, "reason", None) or error).__name__
            raise ClusterApiError(f"the Kubernetes API at {self._host} cannot be asked: {kind}") from None


def _checked(text: str) -> dict[str, Any]:
    """Read a kubeconfig, and refuse one that would run a program of its own on this machine."""
    try:
        found = read_yaml(text).value
    except BadYamlError:
        found = None
    if not isinstance(found, dict) or "clusters" not in found:
        raise ClusterApiError("the kubeconfig cannot be used: it is no mapping with clusters, users and contexts")
    users = [entry.get("user") or {} for entry in found.get("users") or ()]
    if any("exec" in user or "auth-provider" in user for user in users):
        raise ClusterApiError("the kubeconfig cannot be used: it runs a program for its credential; give another kind")
    return found


def _is_about_an_image(event: Any) -> bool:  # noqa: ANN401 - CoreV1Event
    return event.reason in PULLING or (event.reason in OF_MORE and "image" in (event.message or "").lower())


def _node(found: Any) -> Node:  # noqa: ANN401 - V1Node
    conditions = {condition.type: condition.status for condition in found.status.conditions or ()}
    info = found.status.node_info
    return Node(
        found.metadata.name,
        conditions.get("Ready") == "True",
        info.kubelet_version,
        info.container_runtime_version,
        info.os_image,
        not found.spec.unschedulable,
    )


def _pod(found: Any) -> UpgradePod:  # noqa: ANN401 - V1Pod
    spec, status = found.spec, found.status
    return UpgradePod(
        found.metadata.namespace,
        found.metadata.name,
        spec.node_name or "",
        status.phase or "Unknown",
        tuple(dict.fromkeys(each.image for each in (*(spec.init_containers or ()), *spec.containers))),
        tuple(secret.name for secret in spec.image_pull_secrets or ()),
        spec.service_account_name or "default",
        tuple(_waiting(status)),
        found.metadata.creation_timestamp or datetime.fromtimestamp(0, UTC),
    )


def _waiting(status: Any) -> Iterator[str]:  # noqa: ANN401 - V1PodStatus
    for each in (*(status.init_container_statuses or ()), *(status.container_statuses or ())):
        waits = each.state.waiting if each.state else None
        if waits is not None and waits.reason:
            yield f"{waits.reason}: {waits.message}" if waits.message else waits.reason


def _event(found: Any) -> PullEvent:  # noqa: ANN401 - CoreV1Event
    at = found.last_timestamp or found.event_time or found.first_timestamp or found.metadata.creation_timestamp
    node = getattr(found.source, "host", None) or found.reporting_instance or ""
    return PullEvent(
        at or datetime.now(UTC),
        found.involved_object.name,
        node,
        found.reason,
        " ".join((found.message or "").split()),
        found.type == "Warning",
    )
