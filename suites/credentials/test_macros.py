"""Credentials held by macros."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.macros import held_macro, macro_name
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.os_layer import macro


@requirement("MACRO-02", phase="deploy", witness=True)
def test_the_projects_macro_wins(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Of two macros of one name the project's is used: a cluster runs once that one is right, and not before."""
    name, wrong = macro_name(site, "precedence"), "wrong-on-purpose!"
    with (
        private_registry.account() as account,
        held_macro(site, name, account.password, scope="tenant") as of_tenant,
        held_macro(site, name, wrong) as of_project,
        site.begin_deploy(
            layers.fresh(None, credentials=layers.registry.credentials(account, password=of_project.reference))
        ) as cluster,
    ):
        with private_registry.refusing(account.username, wrong):
            cluster.fails(ErrorCause.LOGIN)
            of_project.change(account.password)
            of_tenant.change(wrong)
            cluster.wait_until_running()

            assert private_registry.witness.changes(cluster) == []


@requirement("MACRO-03", phase="repave", witness=True)
def test_a_changed_macro_reaches_a_live_cluster(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """After a macro was changed, the next repave of a live cluster presents the new value and never the old one."""
    with (
        private_registry.account(password="First!pass#1") as account,
        held_macro(site, macro_name(site, "changing"), account.password) as held,
    ):
        layer = layers.fresh(None, credentials=layers.registry.credentials(account, password=held.reference))
        with site.deploy(layer) as cluster, private_registry.account(account.username, "Second!pass#2") as rotated:
            held.change(rotated.password)
            waiting = site.project.clusters.profile_updates(cluster.uid)
            evidence.note(
                f"after a macro changed, profile updates wait for the cluster: {', '.join(waiting) or 'none'}"
            )
            cluster.try_repave(layers.with_image(layer))

            assert private_registry.witness.changes(cluster, phase="repave") == []
            cluster.wait_until_repaved()


@requirement("MACRO-04", phase="deploy", witness=True)
def test_a_missing_macro_is_reported_and_can_be_added(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """While a macro is nowhere an event names it and nothing is presented; once it exists the cluster runs."""
    name = macro_name(site, "missing")
    with private_registry.account() as account:
        layer = layers.fresh(None, credentials=layers.registry.credentials(account, password=macro(name)))
        with site.begin_deploy(layer) as cluster:
            runs = cluster.runs_or_fails()
            event = cluster.errors()[0]

            assert not runs, f"the cluster runs although the macro {name} is nowhere"
            assert name in event.message, f"the event does not name the macro {name}: {event.message}"
            assert private_registry.witness.pulls(cluster) == [], "the reference itself was presented as the password"
            with held_macro(site, name, account.password):
                cluster.wait_until_running()

                assert private_registry.witness.changes(cluster, phase="deploy") == []
