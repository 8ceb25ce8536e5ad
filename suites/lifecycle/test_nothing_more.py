"""A deployment or a repave is one pull and one boot of each host, and then nothing more happens."""

from __future__ import annotations

from collections import Counter

from fixtures.layers import Layers
from harness.clusters import Cluster
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

#: A journal that outlives boots counts them; of one that does not only the running boot is known.
BOOTS = "journalctl --list-boots --no-pager --quiet | wc -l"


@requirement("REPAVE-12", phase="repave", hosts=2, witness=True)
def test_each_host_pulls_once_and_boots_once(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Each host pulls once and boots once, at deployment and at repave; then hosts, events and registry are quiet."""
    hosts = site.free_hosts(2)
    with private_registry.account() as account:
        before = {host.uid: int(host.run(BOOTS).stdout) for host in hosts}
        cluster = site.deploy(layers.fresh(account), on=hosts)
        with cluster:
            happened_once(cluster, private_registry, before)
            before = {host.uid: int(host.run(BOOTS).stdout) for host in hosts}
            cluster.repave(layers.with_image(cluster.layer))
            happened_once(cluster, private_registry, before)


def happened_once(cluster: Cluster, registry: SiteRegistry, before: dict[str, int]) -> None:
    """Require that each host did everything once in the present phase, and that it is over."""
    phase, wait = cluster.phases[-1].name, cluster.site.project.clusters.wait
    quiet = _seen(cluster, registry)
    wait.clock.sleep(2 * wait.timeouts.stale_state)
    assert _seen(cluster, registry) == quiet, f"after the {phase} something goes on"

    pulls = (pull for pull in registry.seen.pulls(cluster.name, phase=phase) if pull.status == 200 and pull.reference)
    often = Counter((pull.place, pull.method, pull.action, pull.reference) for pull in pulls)
    again = [f"{host} asked {count} times for {what}" for (host, _, _, what), count in often.items() if count > 1]
    assert not again, f"in the {phase} {again[0]}"
    for host in cluster.hosts:
        boots = int(host.run(BOOTS).stdout)
        assert boots == 1 or boots == before[host.uid] + 1, (
            f"{host.uid} booted {boots - before[host.uid]} times in the {phase}"
        )


def _seen(cluster: Cluster, registry: SiteRegistry) -> tuple[object, ...]:
    """Return what changes when something happens: boots, requests, errors, a repave that waits."""
    return (
        [cluster.boot_of(host).boot_id for host in cluster.hosts],
        len(registry.seen.pulls(cluster.name)),
        len(cluster.events()),
        str(cluster.site.project.clusters.overview(cluster.uid)),
    )
