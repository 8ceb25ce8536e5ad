"""Passwords: what the profile says is what every pull presents."""

from __future__ import annotations

from hypothesis import given

from fixtures.evidence import Evidence
from fixtures.layers import Layers
from fixtures.private_registry import SiteRegistry
from fixtures.requirements import requirement
from fixtures.site import Site
from fixtures.strategies import passwords


@requirement("REPAVE-03", "DEPLOY-03", phase="repave")
@given(password=passwords())
def test_deploy_and_repave_present_the_password_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, password: str
) -> None:
    """For every password that the registry accepts, deployment and repave both present it unchanged."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}")
    with private_registry.account(password=password) as account, site.deploy(layers.fresh(account)) as cluster:
        assert private_registry.witness.changes(cluster, phase="deploy") == []

        cluster.try_repave(layers.with_image(cluster.layer))
        assert private_registry.witness.changes(cluster, phase="repave") == []
        cluster.wait_until_repaved()
