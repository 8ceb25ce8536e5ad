"""What a cluster's own Kubernetes says of it, as evidence, where the site has the feature ``kubernetes``.

Nothing is judged by it: where the API cannot be asked a case is neither better nor worse, and the evidence says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.cluster_api import ClusterApi, ClusterApiError
from engine.tempdirs import temporary_directory
from palette.errors import PaletteError
from protected import Secret
from reports.records import Event, Moment, utc

if TYPE_CHECKING:
    from edge.cluster_api import PullEvent
    from harness.clusters import Cluster

#: The feature of a site, and where its facts come from when nothing else is known of them.
FEATURE, SOURCE = "kubernetes", "Kubernetes"


@dataclass(frozen=True)
class Seen:
    """What was seen: events for the record and the story, moments for the picture."""

    events: tuple[Event, ...] = ()
    moments: tuple[Moment, ...] = ()


def seen_in_kubernetes(cluster: Cluster) -> Seen:
    """Look at nodes, upgrade pods and pulls of a cluster that is about to go; nothing where a site has no such API."""
    if FEATURE not in cluster.site.features or not cluster.uid:
        return Seen()
    try:
        return look(_kubeconfig(cluster))
    except (ClusterApiError, PaletteError) as error:
        return Seen((Event(time=utc(), reason=SOURCE, message=f"not asked: {error}"),))


def look(kubeconfig: Secret) -> Seen:
    """Ask a cluster's API. Of pods that belong to no upgrade only troubles are kept. Raises ClusterApiError."""
    with temporary_directory("kubeconfig") as area, ClusterApi(kubeconfig, area) as api:
        pulls = [event for event in api.pull_events() if event.is_of_an_upgrade or event.is_warning]
        events = [
            *(_event("Node", str(node), wrong=not node.is_ready) for node in api.nodes()),
            *(_event("UpgradePod", str(pod), wrong=pod.cannot_pull) for pod in api.upgrade_pods()),
            *(
                Event(time=utc(e.at), severity=_severity(e.is_warning), reason=e.reason, message=_told(e))
                for e in pulls
            ),
        ]
    moments = (Moment(time=utc(e.at), lane="host", label=f"{e.reason}: {e.message}", host=e.node) for e in pulls)
    return Seen(tuple(events), tuple(moments))


def _kubeconfig(cluster: Cluster) -> Secret:
    """Return the kubeconfig that the site file refers to, else the one that Palette has of the cluster."""
    given = cluster.site.file.kubeconfig
    return given or Secret(cluster.site.project.clusters.kubeconfig(cluster.uid).decode("utf-8", "replace"))


def _event(what: str, message: str, *, wrong: bool) -> Event:
    return Event(time=utc(), severity=_severity(wrong), reason=what, message=message)


def _severity(wrong: bool) -> str:  # noqa: FBT001 - private, one flag
    return "Error" if wrong else "Info"


def _told(event: PullEvent) -> str:
    return f"pod {event.pod} on {event.node or 'no node'}: {event.message}"
