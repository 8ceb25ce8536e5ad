"""Whatever happens to a cluster, in whatever order."""

from __future__ import annotations

from hypothesis.stateful import run_state_machine_as_test

from fixtures.layers import Layers
from fixtures.life import Life, settings_of_a_life
from fixtures.private_registry import SiteRegistry
from fixtures.requirements import requirement
from fixtures.running.evidence import Evidence
from fixtures.sites.site import Site


@requirement("LIFE-01", phase="repave")
def test_a_cluster_keeps_its_promises_all_its_life(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Through rotations, edits, repaves, failures, reboots and rollbacks, pulls, image and state stay right."""
    run_state_machine_as_test(
        lambda: Life(site, layers, private_registry, evidence),  # type: ignore[arg-type] # any maker of machines will do
        settings=settings_of_a_life(),
    )
