"""Passwords: what the profile says is what every pull presents."""

from __future__ import annotations

from hypothesis import given

from fixtures.layers import Layers
from fixtures.strategies import passwords
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.probes import probes


@requirement("DEPLOY-03", phase="deploy", witness=True)
@given(password=passwords())
def test_deploy_presents_the_password_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, password: str
) -> None:
    """For every password that the registry accepts, a deployment presents exactly that password."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}", password=password)
    with private_registry.account(password=password) as account:
        with site.begin_deploy(layers.fresh(account)) as cluster:
            cluster.runs_or_fails()

            assert private_registry.witness.changes(cluster, phase="deploy") == []
            cluster.wait_until_running()


@requirement("REPAVE-03", phase="repave", witness=True)
@given(password=passwords())
def test_repave_presents_the_password_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, password: str
) -> None:
    """For every password that the registry accepts, a repave presents exactly that password."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}", password=password)
    with private_registry.account(password=password) as account, site.deploy(layers.fresh(account)) as cluster:
        cluster.try_repave(layers.with_image(cluster.layer))

        assert private_registry.witness.changes(cluster, phase="repave") == []
        cluster.wait_until_repaved()


@requirement("REPAVE-03", "CRED-05", phase="repave", witness=True)
def test_the_probe_set_arrives_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """No probe is changed at deployment or repave; together they tell any two known changes of a password apart."""
    found = []
    for probe in filter(lambda probe: probe.registry_accepts, probes()):
        expected = "every probe is presented unchanged"
        evidence.example(probe.id, expected=expected, password=probe.password, together=True)
        with private_registry.account(password=probe.password) as account:
            with site.begin_deploy(layers.fresh(account)) as cluster:
                if cluster.runs_or_fails():
                    cluster.try_repave(layers.with_image(cluster.layer))
                found += [f"{change} ({probe.id})" for change in private_registry.witness.changes(cluster)]
    assert not found, found[0]
