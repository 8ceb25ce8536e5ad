"""Between a deployment and a repave: reboots, restarts, outages, and a cluster that goes and comes again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fixtures.layers import Layers
from fixtures.once import boots_of
from fixtures.shared_clusters import Use
from fixtures.user_data import restart_agent, stopped_agent
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.edge_hosts import HEALTHY

Interruption = Callable[[Cluster, SiteRegistry], object]

INTERRUPTIONS: dict[str, Interruption] = {
    "reboot-of-the-host": lambda cluster, _registry: cluster.host.reboot(),
    "restart-of-the-agent": lambda cluster, _registry: restart_agent(cluster.host),
    "restart-of-the-registry": lambda _cluster, registry: registry.restart(),
}


@requirement("HOST-09", phase="deploy", clusters=0, repaves=0)
def test_a_host_that_falls_silent_is_called_unhealthy(site: Site) -> None:
    """While its agent is stopped a host in no cluster is called unhealthy, and healthy again once the agent runs."""
    host, known = site.free_hosts(1)[0], site.project.edge_hosts
    with stopped_agent(host):
        known.wait.until(
            f"Edge host {host.uid}, whose agent is stopped, to be called unhealthy",
            lambda: known.get(host.uid),
            lambda seen: seen.health != HEALTHY,
            within=known.wait.timeouts.edge_host_ready,
        )
    known.wait_until_free(host.uid)


@requirement("HOST-04", phase="deploy")
def test_a_plain_reboot_changes_nothing(walked: Use) -> None:
    """A reboot brings back the same image from the same slot, in the same cluster, which stays Running."""
    with walked() as shared:
        before = shared.cluster.host.boot()
        after = shared.cluster.host.reboot()
        overview = shared.cluster.wait_until_running()

        assert after.boot_id != before.boot_id, "the host has not rebooted"
        assert (after.image, after.slot) == (before.image, before.slot), f"the host booted {after.image} ({after.slot})"
        assert overview.state == "Running"


@requirement("REPAVE-10", "REPAVE-12", phase="repave", witness=True, repaves=1)
@pytest.mark.parametrize(
    "interruption",
    [
        "reboot-of-the-host",
        "restart-of-the-agent",
        pytest.param("restart-of-the-registry", marks=pytest.mark.nightly),  # an outage is more than a restart
    ],
)
def test_a_repave_after_an_interruption_is_like_any_other(
    layers: Layers, private_registry: SiteRegistry, walked: Use, interruption: str
) -> None:
    """After a reboot or a restart of agent or registry a repave presents the same login; nothing is done twice."""
    with walked() as shared:
        cluster, image = shared.cluster, shared.cluster.layer.image
        before, asked = boots_of(cluster.hosts), len(private_registry.witness.pulls_of_image(image))
        INTERRUPTIONS[interruption](cluster, private_registry)
        cluster.wait_until_running()
        cluster.try_repave(layers.with_image(cluster.layer))

        assert private_registry.witness.changes(cluster, phase="repave") == []
        cluster.wait_until_repaved()
        assert not (wrong := cluster.wrong_boot()), wrong
        assert len(private_registry.witness.pulls_of_image(image)) == asked, f"{image} was pulled again"
        boots = 1 + (interruption == "reboot-of-the-host")
        for uid, count in boots_of(cluster.hosts).items():
            assert count in {1, before[uid] + boots}, f"{uid} booted {count - before[uid]} times, {boots} is right"


@requirement("REPAVE-10", "HOST-05", phase="repave", witness=True, repaves=1)
def test_a_repave_waits_out_an_outage_of_the_registry(
    layers: Layers, private_registry: SiteRegistry, walked: Use
) -> None:
    """While the registry is away a repave fails and the old system runs on; when it is back the repave is completed."""
    with walked() as shared:
        cluster, new = shared.cluster, layers.with_image(shared.cluster.layer)
        with private_registry.outage():
            cluster.begin_repave(new)
            cluster.wait_for_error(ErrorCause.UNREACHABLE)

            assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the failed pull changed the running system"
        cluster.wait_until_repaved()
        assert not (wrong := cluster.wrong_boot()), wrong


@requirement("DEPLOY-04", phase="deploy", witness=True, clusters=1, ends=3)
def test_a_host_is_deployed_again_with_other_credentials(
    site: Site, layers: Layers, private_registry: SiteRegistry, deployed: Use
) -> None:
    """A host whose cluster was deleted joins another one with that one's login alone; nothing of the first is left."""
    with deployed() as shared:
        shared.spent, host = True, shared.cluster.host
        shared.cluster.delete()
        site.project.edge_hosts.wait_until_free(host.uid)
        with private_registry.account() as second, site.begin_deploy(layers.fresh(second), on=(host,)) as cluster:
            runs = cluster.runs_or_fails()
            users = private_registry.witness.users(cluster)

            assert users == {second.username}, f"{host.uid} pulled as {', '.join(sorted(users)) or 'nobody'}"
            assert runs, "the host does not deploy a second time"
            assert not (wrong := cluster.wrong_boot()), wrong
