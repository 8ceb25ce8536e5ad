"""A pull that fails is tried again: patiently."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from fixtures.shared_clusters import Use
from fixtures.walks import PAUSE
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

TRIES = 3


@requirement("HOST-07", phase="deploy", witness=True)
def test_a_failed_pull_is_repeated_with_pauses(site: Site, private_registry: SiteRegistry, refused: Use) -> None:
    """A login that is refused is tried again after half a second and more, as Palette and the registry see it."""
    with refused() as shared:
        wait, cluster = site.project.clusters.wait, shared.cluster
        failures = wait.until(
            f"cluster {cluster.name} to try its pull {TRIES} times",
            cluster.errors,
            lambda errors: len(errors) >= TRIES,
            within=wait.timeouts.cluster_running,
            state=lambda errors: f"{len(errors)} failures",
        )
        told = [event.at for event in failures if event.at is not None]
        pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(told)]
        asked = [datetime.fromisoformat(pull.time) for pull in private_registry.witness.pulls(cluster)]
        rests = sum((later - earlier).total_seconds() >= PAUSE for earlier, later in pairwise(asked))

        assert min(pauses) >= PAUSE, f"pulls that failed were repeated after {min(pauses):.2f} s"
        assert rests >= TRIES - 1, f"the registry was asked {len(asked)} times with {rests} pauses of {PAUSE} s"
