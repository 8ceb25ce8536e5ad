"""A deployment or a repave is one pull and one boot of each host, and then nothing more happens."""

from __future__ import annotations

from collections import Counter

from fixtures.shared_clusters import Use
from harness.clusters import DEPLOY, REPAVE
from harness.private_registry import SiteRegistry
from harness.pull_addresses import distinct_hosts, sharing
from harness.requirements import requirement


@requirement("HOST-01", "LIFE-01", phase="repave", hosts=2)
def test_every_host_of_a_cluster_is_in_use(repaved_pair: Use) -> None:
    """Each host of a cluster is in use for as long as it belongs to it, and nothing runs before a host has pulled."""
    with repaved_pair() as shared:
        known = shared.cluster.site.project.edge_hosts
        free = [host.uid for host in shared.cluster.hosts if known.get(host.uid).is_free]

        assert free == [], f"Edge host {free[0]} belongs to a cluster and says it is free"
        assert shared.known["state before a pull"] != "Running", (
            "Palette calls a cluster Running that has pulled nothing"
        )


@requirement("REPAVE-12", phase="repave", hosts=2, witness=True)
def test_each_host_pulls_once_and_boots_once(private_registry: SiteRegistry, repaved_pair: Use) -> None:
    """Each host pulls once and boots once, at deployment and at repave; then hosts, events and registry are quiet."""
    places: list[str] = []
    with repaved_pair() as shared:
        for phase in (DEPLOY, REPAVE):
            before, after = shared.known["boots"][phase]
            assert phase not in shared.known["goes on"], f"after the {phase} something goes on"

            requests = private_registry.seen.pulls(shared.cluster.name, phase=phase)
            pulls = [pull for pull in requests if pull.status == 200 and pull.reference]
            often = Counter((pull.place, pull.method, pull.action, pull.reference) for pull in pulls)
            again = [
                f"{host} asked {count} times for {what}"
                for (host, _, _, what), count in often.items()
                if count > len(sharing(host))
            ]
            assert not again, f"in the {phase} {again[0]}"
            refused = [pull for pull in requests if pull.status not in {200, 206, 307, 401}]
            told = [] if refused else shared.known["errors"][phase]
            assert not told, f"in the {phase} the registry refused nothing, and an event says: {told[0].message}"
            for uid, boots in after.items():
                assert boots in {1, before[uid] + 1}, f"{uid} booted {boots - before[uid]} times in the {phase}"
            places += [pull.place for pull in pulls]
    distinct_hosts(places)  # of two that share an address one might pull for both
