"""What Palette answers, and the fields of the event that reports a failure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.requirements import requirement
from harness.sites.site import Site
from palette.events import Event

#: How far the clocks of hosts and Palette may be apart.
CLOCKS_DIFFER = timedelta(minutes=5)


@requirement("API-01", phase="repave")
def test_answers_have_the_fields_that_are_read(site: Site, layers: Layers, repaved: Use) -> None:
    """Every answer of a cluster's life has the published fields that are read of it, each of its type."""
    project = site.project
    with repaved() as shared:
        cluster = shared.cluster
        cluster.confirm_repave()
        project.clusters.get(cluster.uid)
        project.clusters.profiles(cluster.uid)
        cluster.forecast(layers.with_image(cluster.layer))
        cluster.events()
        project.edge_hosts.get(cluster.host.uid)
        odd = list(project.scope.transport.odd)

        assert odd == [], f"answers are not as published: {'; '.join(odd[:5])}"


@requirement("EVENT-02", phase="validation")
def test_the_event_of_a_failure_says_what_it_is_about(pending: Use) -> None:
    """The event of a failed pull is about its cluster, has a reason, a severity, and a component that says it."""
    with pending() as shared:
        cluster, event = shared.cluster, shared.cluster.fails(ErrorCause.MISSING)

        assert not (odd := list(oddities_of(event, cluster))), odd[0]
        assert event.reason, "the event has no reason"
        assert event.severity not in {"", "Normal"}, f"the event of a failure is {event.severity or 'nothing'}"
        assert event.component, "the event names no component that it comes from"


@requirement("EVENT-01", phase="validation")
def test_every_event_of_a_life_is_about_its_cluster(repaved: Use) -> None:
    """Each event of a deployment and a repave is of its cluster, its hosts and its time; a good one is no error."""
    with repaved() as shared:
        shared.cluster.confirm_repave()
        events = shared.cluster.events()
        odd = [f"{event.reason}: {said}" for event in events for said in oddities_of(event, shared.cluster)]

        assert odd == [], odd[0]
        assert any(event.severity != "Error" for event in events), "every event of a healthy cluster is an error"


def oddities_of(event: Event, cluster: Cluster) -> Iterator[str]:
    """Yield a sentence for each thing about an event that does not fit its cluster."""
    if (event.kind, event.object_uid) != ("spectrocluster", cluster.uid):
        yield f"the event is about {event.kind or 'no kind'} {event.object_uid or 'without uid'}"
    if event.object_name not in {"", cluster.name}:
        yield f"the event names {event.object_name}, and the cluster is {cluster.name}"
    if event.host and event.host not in {host.uid for host in cluster.hosts}:
        yield f"the event comes from host {event.host}, which is not of the cluster"
    now = cluster.site.project.time()
    if event.at and now and event.at > now + CLOCKS_DIFFER:
        yield f"the event is of the future: {event.at.isoformat(timespec='seconds')}"
