"""What Palette answers, and the fields of the event that reports a failure."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.errors import ErrorCause
from harness.requirements import requirement
from harness.sites.site import Site


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

        assert (event.kind, event.object_uid) == ("spectrocluster", cluster.uid), (
            f"the event is about {event.kind or 'no kind'} {event.object_uid or 'without uid'}"
        )
        assert event.reason, "the event has no reason"
        assert event.severity not in {"", "Normal"}, f"the event of a failure is {event.severity or 'nothing'}"
        assert event.component, "the event names no component that it comes from"
        assert not event.host or event.host in {host.uid for host in cluster.hosts}, (
            f"the event comes from host {event.host}, which is not of the cluster"
        )
