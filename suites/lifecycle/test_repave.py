"""Repave: an active cluster moves to a new version of its profile."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge import reboot_proof
from fixtures.layers import AnotherRegistry, Layers
from fixtures.shared_clusters import Use
from fixtures.undocumented import require_documented_units
from harness.clusters import Cluster, VacuousPhase
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.run import NotCovered
from harness.sites.site import Site
from registry.tls import Authority
from reports.records import PullRecord


@requirement("REPAVE-01", "REPAVE-05", "REPAVE-02", "HOST-03", phase="repave", witness=True)
def test_a_new_version_repaves_the_cluster(private_registry: SiteRegistry, repaved: Use) -> None:
    """Moved to a version with another image, the cluster pulls it from the private registry and boots it."""
    with repaved() as shared:
        cluster = shared.cluster
        cluster.confirm_repave()

        assert reboot_proof(shared.known["boot"], cluster.host.boot()).new_boot, "after the repave no host has rebooted"
        assert not (wrong := cluster.wrong_boot()), wrong
        assert private_registry.witness.pulls(cluster, phase="repave"), "nothing was pulled at the repave"


@requirement("REPAVE-04", "EVENT-02", "TLS-03", phase="repave", witness=True, repaves=2, ends=1)
def test_the_third_repave_is_like_the_first(layers: Layers, private_registry: SiteRegistry, repaved: Use) -> None:
    """Repave after repave presents the same credentials, boots the image asked for, and refuses a stranger aloud."""
    with repaved() as shared:
        shared.spent, cluster = True, shared.cluster
        cluster.confirm_repave()
        for _ in range(2):
            cluster.repave(layers.with_image(cluster.layer))

            assert not (wrong := cluster.wrong_boot()), wrong
        missing = private_registry.address.reference("conformance/provider", "missing")
        with private_registry.presenting(Authority("a stranger").issue(private_registry.address.host)):
            cluster.begin_repave(layers.with_image(cluster.layer, missing), phase="the fourth")
            event = cluster.fails(ErrorCause.TLS)

            assert ErrorCause.TLS.is_named_in(event.message), f"the event gives no reason: {event.message}"
            assert private_registry.witness.users(cluster, phase="the fourth") == set(), "credentials were sent"
        assert private_registry.witness.changes(cluster) == []


@requirement("REPAVE-07", phase="repave", witness=True, repaves=1)
def test_a_repave_waits_for_approval(site: Site, layers: Layers, private_registry: SiteRegistry, walked: Use) -> None:
    """Before it is approved a planned repave pulls nothing and reboots nobody; afterwards it is done."""
    with walked() as shared:
        cluster, before = shared.cluster, shared.cluster.host.boot()
        new = layers.with_image(cluster.layer)
        cluster.move_to(new)
        planned = site.project.clusters.wait_for_repave(cluster.uid)
        pulled = private_registry.witness.pulls_of_image(new.image)

        assert planned.state == "Pending", f"the repave is {planned.state} before anybody approved it"
        assert (cluster.host.boot(), pulled) == (before, []), "the repave began before it was approved"
        cluster.approve()
        cluster.wait_until_repaved()
        assert reboot_proof(before, cluster.host.boot()).new_boot
        assert not (wrong := cluster.wrong_boot()), wrong


@requirement("REPAVE-02", phase="repave")
def test_palette_foretells_the_repave(layers: Layers, deployed: Use) -> None:
    """Asked beforehand, Palette says that another image repaves the cluster, and names system.uri as the reason."""
    with deployed() as shared:
        forecast = shared.cluster.forecast(layers.with_image(shared.cluster.layer))

        assert forecast.is_required, "Palette foretells no repave for another system.uri"
        assert any("system.uri" in key for reason in forecast.reasons for key in reason.keys), forecast.reasons


@requirement("REPAVE-06", phase="repave", hosts=2, witness=True)
def test_nodes_are_replaced_one_after_the_other(private_registry: SiteRegistry, repaved_pair: Use) -> None:
    """On a cluster of several hosts the control plane is repaved first, and no two hosts pull at the same time."""
    with repaved_pair() as shared:
        assert_one_after_the_other(shared.cluster, private_registry)


@pytest.mark.nightly
@requirement("REPAVE-06", phase="repave", hosts=3, witness=True)
def test_workers_are_replaced_one_after_the_other(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With several workers, too, one host is repaved at a time, after the control plane."""
    with private_registry.account() as account, site.deploy(layers.fresh(account), hosts=3) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        assert_one_after_the_other(cluster, private_registry)


def assert_one_after_the_other(cluster: Cluster, registry: SiteRegistry) -> None:
    """See who pulled when in a repave: first the control plane, then the workers in any order."""
    order = registry.witness.hosts(registry.witness.pulls(cluster, phase="repave"))

    assert sorted(order) == sorted(host.uid for host in cluster.hosts), f"only {order} pulled"
    assert order[0] == cluster.host.uid, f"hosts were repaved in the order {order}"
    assert registry.witness.overlapping(cluster, phase="repave") == []


@requirement("HOST-05", "EVENT-02", "LIFE-01", phase="repave", repaves=2)
def test_a_failed_pull_keeps_the_old_system(layers: Layers, private_registry: SiteRegistry, walked: Use) -> None:
    """After a failed pull the old system runs on untouched, Palette says so and why, and a right image completes it."""
    with walked() as shared:
        cluster, before = shared.cluster, shared.cluster.host.boot()
        good = layers.with_image(cluster.layer)
        missing = private_registry.address.reference("conformance/provider", "missing")
        cluster.begin_repave(layers.with_image(cluster.layer, missing))
        event = cluster.fails(ErrorCause.MISSING)

        assert "missing" in event.message, event.message
        ready = cluster.site.project.clusters.overview(cluster.uid).is_ready
        assert not ready, f"Palette calls the cluster Running and healthy, and {missing} cannot be pulled"
        assert cluster.host.boot() == before, "the failed pull changed the running system"
        for unit in (layout := cluster.host.layout()).cluster_units:
            assert cluster.host.unit(unit).is_running, f"after the failed pull {unit} does not run"
        cluster.repave(good)
        assert not (wrong := cluster.wrong_boot()), wrong
    require_documented_units(layout)


@requirement("REPAVE-05", "REPAVE-09", phase="repave", witness=True, repaves=2)
def test_a_cluster_rolls_back_to_the_version_before(
    layers: Layers, private_registry: SiteRegistry, evidence: Evidence, walked: Use
) -> None:
    """Moved back to the version before, a cluster boots its image; a repave without a pull proves nothing of pulls."""
    with walked() as shared:
        cluster, first = shared.cluster, shared.cluster.layer
        cluster.repave(layers.with_image(first))
        cluster.roll_back(phase="again")
        pulls = private_registry.witness.pulls(cluster, phase="again")
        evidence.note(f"a repave to an image that the node held made {len(pulls)} requests to the registry")

        assert not (wrong := cluster.wrong_boot(first.image)), wrong
        if not pulls:
            with pytest.raises(VacuousPhase, match="no pull"):
                private_registry.witness.changes(cluster, phase="again")


@requirement("LIMIT-03", phase="repave", repaves=1, ends=1)
def test_an_existing_cluster_is_given_no_certificate(another_registry: AnotherRegistry, walked: Use) -> None:
    """An update that brings the authority of another registry fails on TLS at the repave."""
    with another_registry() as others, others.registry.account() as other_account, walked() as shared:
        shared.spent, cluster = True, shared.cluster
        cluster.begin_repave(others.fresh(other_account))
        event = cluster.fails(ErrorCause.TLS)

        assert ErrorCause.TLS.is_named_in(event.message), f"the event gives no reason: {event.message}"
        assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the host has changed"


@requirement("LIMIT-03", "TLS-03", phase="repave", hosts=2, witness=True, repaves=1, ends=1)
def test_no_host_of_an_existing_cluster_is_given_a_certificate(
    layers: Layers, private_registry: SiteRegistry, repaved_pair: Use
) -> None:
    """An update brings a new authority: the first host pulls as before, the next one not from a registry of that."""
    authority, phase = Authority("the next authority"), "next authority"
    with repaved_pair() as shared:
        shared.spent, cluster, credentials = True, shared.cluster, shared.cluster.layer.credentials
        assert credentials is not None
        changed = layers.fresh(None, credentials=replace(credentials, certificates=authority.pem))
        cluster.begin_repave(changed, phase=phase)

        def served_to_others() -> list[PullRecord]:
            pulls = private_registry.witness.pulls(cluster, phase=phase)
            return [pull for pull in pulls if pull.is_served and pull.host != cluster.host.uid]

        assert cluster.first_host_boots_or_fails(), cluster.errors()[0].message
        if served_to_others():
            raise NotCovered("all hosts of a cluster pull at once")
        with private_registry.presenting(authority.issue(private_registry.address.host)):
            is_done = cluster.repaves_or_fails(changed.image)
            assert not served_to_others(), "a host pulled from a registry of an authority that it was not given"
            assert not is_done, "Palette calls the repave done, and one host pulled nothing"
            told = cluster.errors_about(changed.image)
            assert any(ErrorCause.TLS.is_named_in(event.message) for event in told), told[0].message
