"""What a cluster's own Kubernetes says of it, as evidence, where the site has the feature ``kubernetes``.

Nothing is judged by it: where the API cannot be asked a case is neither better nor worse, and the evidence says so.
"""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge.cluster_api import ClusterApi, ClusterApiError, credentials_of
from engine.tempdirs import temporary_directory
from palette.errors import PaletteError
from protected import Secret
from reports.leak_forms import Protected
from reports.records import EventRow, Moment, utc

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.cluster_api import PullEvent
    from harness.clusters import Cluster

#: Seconds for all that is asked of a cluster.
LONGEST_LOOK = 90.0
#: Characters of a credential that can be told from ordinary text.
SHORTEST_TOKEN = 8
#: The feature of a site, and where its facts come from when nothing else is known of them.
FEATURE, SOURCE = "kubernetes", "Kubernetes"


@dataclass(frozen=True)
class Seen:
    """What was seen: events for the record and the report, moments for the picture."""

    events: tuple[EventRow, ...] = ()
    moments: tuple[Moment, ...] = ()


def seen_in_kubernetes(cluster: Cluster, protected: list[Protected]) -> Seen:
    """Look at nodes, upgrade pods and pulls of a cluster that is about to go; nothing where a site has no such API.

    What Palette's kubeconfig holds of credentials is added to what is ``protected``.
    """
    if FEATURE not in cluster.site.features or not cluster.uid:
        return Seen()
    try:
        return within(LONGEST_LOOK, partial(look, _kubeconfig(cluster, protected)))
    except (ClusterApiError, PaletteError) as error:
        return Seen((EventRow(time=utc(), reason=SOURCE, message=f"not asked: {error}"),))


def within(seconds: float, work: Callable[[], Seen]) -> Seen:
    """Return what the work finds in time; its library bounds each answer, and no answer that drips. Raises as it."""
    found: queue.SimpleQueue[Seen | Exception] = queue.SimpleQueue()

    def do() -> None:
        try:
            found.put(work())
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            found.put(error)

    threading.Thread(target=do, name="Kubernetes API", daemon=True).start()
    try:
        seen = found.get(timeout=seconds)
    except queue.Empty:
        raise ClusterApiError(f"the Kubernetes API does not answer within {seconds:g} s") from None
    if isinstance(seen, Exception):
        raise seen
    return seen


def look(kubeconfig: Secret) -> Seen:
    """Ask a cluster's API. Of pods that belong to no upgrade only troubles are kept. Raises ClusterApiError."""
    with temporary_directory("kubeconfig") as area, ClusterApi(kubeconfig, area) as api:
        pulls = [event for event in api.pull_events() if event.is_of_an_upgrade or event.is_warning]
        events = [
            *(_event("Node", str(node), wrong=not node.is_ready) for node in api.nodes()),
            *(_event("UpgradePod", str(pod), wrong=pod.cannot_pull) for pod in api.upgrade_pods()),
            *(
                EventRow(time=utc(e.at), severity=_severity(e.is_warning), reason=e.reason, message=_told(e))
                for e in pulls
            ),
        ]
    moments = (Moment(time=utc(e.at), lane="host", label=f"{e.reason}: {e.message}", host=e.node) for e in pulls)
    return Seen(tuple(events), tuple(moments))


def _kubeconfig(cluster: Cluster, protected: list[Protected]) -> Secret:
    """Return the kubeconfig that the site file refers to, else the one that Palette has of the cluster."""
    if cluster.site.file.kubeconfig is not None:
        return cluster.site.file.kubeconfig
    found = Secret(cluster.site.project.clusters.kubeconfig(cluster.uid).decode("utf-8", "replace"))
    parts = (Secret(part) for part in credentials_of(found) if len(part) >= SHORTEST_TOKEN)
    protected += [Protected("credential in Palette's kubeconfig", part) for part in parts]
    return found


def _event(what: str, message: str, *, wrong: bool) -> EventRow:
    return EventRow(time=utc(), severity=_severity(wrong), reason=what, message=message)


def _severity(wrong: bool) -> str:  # noqa: FBT001 - private, one flag
    return "Error" if wrong else "Info"


def _told(event: PullEvent) -> str:
    return f"pod {event.pod} on {event.node or 'no node'}: {event.message}"
