"""A pull that fails is tried again: patiently."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from fixtures.walks import PAUSE
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.tls import Authority

TRIES = 3
#: Seconds after so many failures: what repeats its pulls without a pause has many more by then.
LONG_ENOUGH = 2.0


@requirement("HOST-07", phase="deploy", witness=True)
def test_a_failed_pull_is_repeated_with_pauses(site: Site, private_registry: SiteRegistry, refused: Use) -> None:
    """A login that is refused is tried again after half a second and more, as Palette and the registry see it."""
    with refused() as shared:
        wait, cluster = site.project.clusters.wait, shared.cluster
        wait.until(
            f"cluster {cluster.name} to try its pull {TRIES} times",
            cluster.errors,
            lambda errors: len(errors) >= TRIES,
            within=wait.timeouts.cluster_running,
            state=lambda errors: f"{len(errors)} failures",
        )
        wait.clock.sleep(LONG_ENOUGH)
        failures = cluster.errors()
        told = pauses(event.at for event in failures)
        asked = pauses(datetime.fromisoformat(pull.time) for pull in private_registry.witness.pulls(cluster))
        rests = [seconds for seconds in asked if seconds >= PAUSE]

        assert min(told) >= PAUSE, f"pulls that failed were repeated after {min(told):.2f} s"
        assert len(rests) >= len(failures) - 1, f"{len(failures)} pulls failed, with {len(rests)} pauses of {PAUSE} s"


@pytest.mark.nightly
@requirement("TLS-01", "HOST-07", phase="deploy", hosts=3, witness=True)
def test_each_host_of_a_cluster_refuses_a_stranger_with_pauses(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """No host of a cluster, whatever its role, presents a login to a stranger's registry, or storms it."""
    stranger, wait = Authority("a stranger").issue(private_registry.address.host), site.project.clusters.wait
    with (
        private_registry.account() as account,
        private_registry.presenting(stranger),
        site.begin_deploy(layers.fresh(account), hosts=3) as cluster,
    ):
        wait.until(
            f"each host of {cluster.name} to be refused {TRIES} times",
            lambda: private_registry.witness.users(cluster) or len(cluster.errors()) >= TRIES * len(cluster.hosts),
            bool,
            within=wait.timeouts.cluster_running,
        )

        assert private_registry.witness.users(cluster) == set(), "a login was presented to a stranger's registry"
        for host in cluster.hosts:
            told = pauses(event.at for event in cluster.errors() if event.host == host.uid)
            assert min(told, default=PAUSE) >= PAUSE, f"{host.uid} repeated a pull after {min(told):.2f} s"


def pauses(times: Iterable[datetime | None]) -> list[float]:
    """Return the seconds between each two of the times that are known."""
    known = [time for time in times if time is not None]
    return [(later - earlier).total_seconds() for earlier, later in pairwise(known)]
