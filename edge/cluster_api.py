"""What a cluster's Kubernetes API says of a repave: its nodes, the pods of the upgrade, and the events of their pulls.

The objects are those of the published API (core/v1). Upgrades are made by Rancher's system-upgrade-controller, whose
pods carry the label ``upgrade.cattle.io/plan``; a job is deleted 15 minutes after it ended, events are kept for an hour
(docs/palette.md §5.4, §6). A kubeconfig is a credential: it is guarded, and never part of a message.
"""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bounded import bound, whole
from foreign.yaml_text import BadYamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from protected import Secret

T = TypeVar("T")
PLAN = "upgrade.cattle.io/plan"
"""The label of everything that an upgrade plan made."""

ANSWER_SECONDS = (5.0, 20.0)
"""How long a connection and an answer may take."""

PAGE, MOST_PAGES = 200, 500
"""Objects in one answer, and answers that make a list, at most."""

#: A server to which a credential may go, and which a message may name.
_SERVER = re.compile(r"https://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?")
#: Keys of a kubeconfig that would run a program here, and those that would send a file of this machine somewhere.
_PROGRAMS = frozenset({"exec", "auth-provider"})
_FILES = frozenset({"tokenFile", "client-certificate", "client-key", "certificate-authority"})
#: What reading objects that have not the published shape raises.
_ODD = (AttributeError, TypeError, LookupError, ValueError, RecursionError, OverflowError)

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
        except (config.ConfigException, OSError, *_ODD) as error:
            raise ClusterApiError(f"the kubeconfig cannot be used: {type(error).__name__}") from None
        settings.proxy, settings.retries = None, 1  # directly, as everything else goes
        self._host = settings.host
        self._client = client.ApiClient(settings)
        asked = self._client.rest_client
        bound(asked.pool_manager)
        asked.request = _read_whole(asked.request)  # type: ignore[method-assign] # what reads whole bodies, unbounded
        self._core = client.CoreV1Api(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()  # type: ignore[no-untyped-call] # published without its types
        self._client.rest_client.pool_manager.clear()

    def nodes(self) -> list[Node]:
        """Return the cluster's nodes."""
        return self._read(_node, self._core.list_node)

    def upgrade_pods(self) -> list[UpgradePod]:
        """Return the pods of upgrade plans, of every namespace."""
        found = self._read(_pod, self._core.list_pod_for_all_namespaces, label_selector=PLAN)
        return sorted(found, key=lambda pod: pod.created)

    def pull_events(self) -> list[PullEvent]:
        """Return what was said of the images of pods, also of pods that are gone, in order of time."""
        found = self._read(_event, self._core.list_event_for_all_namespaces, field_selector="involvedObject.kind=Pod")
        return sorted((event for event in found if event is not None), key=lambda event: event.at)

    def _read(self, convert: Callable[[Any], T], ask: Callable[..., Any], **selected: str) -> list[T]:
        """Return every object of a list; what has not the published shape is no answer of such an API."""
        try:
            return [convert(found) for found in self._all(ask, **selected)]
        except _ODD as error:
            raise ClusterApiError(
                f"the Kubernetes API at {self._host} gave an answer that cannot be read: {type(error).__name__}"
            ) from None

    def _all(self, ask: Callable[..., Any], **selected: str) -> Iterator[Any]:
        """Yield every object of a list, page by page."""
        more = ""
        for _ in range(MOST_PAGES):
            page = self._page(ask, {**selected, **({"_continue": more} if more else {})})
            yield from page.items
            more = getattr(page.metadata, "_continue", None) or ""
            if not more:
                return
        raise ClusterApiError(f"the Kubernetes API at {self._host} has lists of more than {MOST_PAGES} pages")

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


def _read_whole(request: Callable[..., Any]) -> Callable[..., Any]:
    def ask(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - the library's own
        answer = request(*arguments, **options)
        answer.data = whole(answer.response)
        return answer

    return ask


def _checked(text: str) -> dict[str, Any]:
    """Read a kubeconfig, and refuse one that would run a program of its own on this machine."""
    try:
        found = read_yaml(text).value
    except BadYamlError:
        found = None
    if not isinstance(found, dict) or "clusters" not in found:
        raise ClusterApiError("the kubeconfig cannot be used: it is no mapping with clusters, users and contexts")
    entries = [entry for kind in ("users", "clusters") for entry in _dicts(found.get(kind))]
    keys = {str(key) for entry in entries for kind in ("user", "cluster") for key in entry.get(kind) or ()}
    if keys & _PROGRAMS:
        raise ClusterApiError("the kubeconfig cannot be used: it runs a program for its credential; give another kind")
    if files := keys & _FILES:
        named = ", ".join(sorted(files))
        raise ClusterApiError(
            f"the kubeconfig cannot be used: it names files of this machine ({named}); "
            "give one that holds their content: kubectl config view --raw --flatten"
        )
    for server in (str(cluster.get("server")) for cluster in _parts(found, "cluster")):
        if not _SERVER.fullmatch(server):
            raise ClusterApiError("the kubeconfig cannot be used: a server in it is not https://host[:port]")
    return found


def credentials_of(kubeconfig: Secret) -> list[str]:
    """Return the tokens, passwords and keys in a kubeconfig, each of which is a secret by itself."""
    try:
        users = list(_parts(read_yaml(kubeconfig.reveal()).value, "user"))
    except BadYamlError:
        return []
    found = [str(user[key]) for user in users for key in ("token", "password") if key in user]
    for data in (user["client-key-data"] for user in users if "client-key-data" in user):
        with suppress(ValueError):
            found.append(base64.b64decode(str(data)).decode())
    return found


def _parts(found: object, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the ``user`` or ``cluster`` of each named entry."""
    entries = _dicts(found.get(f"{kind}s")) if isinstance(found, dict) else []
    return (entry[kind] for entry in entries if isinstance(entry.get(kind), dict))


def _dicts(given: object) -> list[dict[str, Any]]:
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []


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


def _event(found: Any) -> PullEvent | None:  # noqa: ANN401 - CoreV1Event
    if not _is_about_an_image(found):
        return None
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
