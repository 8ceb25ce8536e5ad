"""Later repaves: what holds at the first repave of a cluster holds at all the others."""

from __future__ import annotations

from fixtures.layers import Layers
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.probes import probes


@requirement("REPAVE-04", phase="repave", witness=True)
def test_later_repaves_present_every_probe_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """The second repave of a cluster, and each one after it, presents its version's password unchanged."""
    with private_registry.account() as first, site.deploy(layers.fresh(first)) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        for probe in filter(lambda probe: probe.registry_accepts, probes()):
            evidence.expected = f"the repave presents {probe.password!r}"
            with private_registry.account(password=probe.password) as account:
                cluster.try_repave(layers.fresh(account))

                assert private_registry.witness.changes(cluster, phase="repave") == [], f"probe {probe.id}"
                cluster.wait_until_repaved()
