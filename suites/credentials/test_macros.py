"""Credentials held by macros."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.macros import Scope, held_macro, macro_name
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.os_layer import macro

#: Each breaks another of the ways in which a macro's value can be put into a text: YAML, templates, shells, base64.
HOSTILE = (
    'a"b\\c:#* $HOME $(id) `id` ${x}',
    "two\nlines: {x} {{.spectro.macro.another}} {{x}} %s \\1 \\g<0>",
    "Passw0rdPassw0rd",
)


@requirement("MACRO-01", phase="repave", witness=True)
@pytest.mark.parametrize("scope", ["project", "tenant"])
def test_a_macro_holds_the_password(site: Site, layers: Layers, private_registry: SiteRegistry, scope: Scope) -> None:
    """A password that stands in a macro of the project or of the tenant is presented by deployment and repave."""
    with (
        private_registry.account(password="Passw0rd!") as account,
        held_macro(site, macro_name(site, "password"), account.password, scope=scope) as held,
    ):
        layer = layers.fresh(None, credentials=layers.credentials(account, password=held.reference))
        with site.begin_deploy(layer) as cluster:
            assert cluster.runs_or_fails(), f"the cluster does not run: {cluster.errors()[0].message}"
            cluster.try_repave(layers.with_image(layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("MACRO-01", phase="deploy", witness=True)
def test_macros_hold_all_of_the_credentials(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Registry, user and password can each stand in a macro of their own."""
    with (
        private_registry.account() as account,
        held_macro(site, macro_name(site, "registry"), str(private_registry.address)) as registry,
        held_macro(site, macro_name(site, "user"), account.username) as user,
        held_macro(site, macro_name(site, "password"), account.password) as password,
    ):
        credentials = layers.credentials(
            account, registry=registry.reference, username=user.reference, password=password.reference
        )
        with site.begin_deploy(layers.fresh(None, credentials=credentials)) as cluster:
            assert cluster.runs_or_fails(), f"the cluster does not run: {cluster.errors()[0].message}"
            assert private_registry.witness.changes(cluster, phase="deploy") == []


@requirement("MACRO-05", phase="repave", witness=True)
@pytest.mark.parametrize("password", HOSTILE)
def test_a_macro_holds_any_characters(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, password: str
) -> None:
    """Whatever characters a macro's value has, also those of templates and macros, none is interpreted again."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}", password=password)
    with (
        private_registry.account(password=password) as account,
        held_macro(site, macro_name(site, "hostile"), password) as held,
    ):
        layer = layers.fresh(None, credentials=layers.credentials(account, password=held.reference))
        with site.begin_deploy(layer) as cluster:
            assert cluster.runs_or_fails(), f"the cluster does not run: {cluster.errors()[0].message}"
            cluster.try_repave(layers.with_image(layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("MACRO-02", phase="deploy")
@pytest.mark.parametrize("right", ["project", "tenant"])
def test_the_projects_macro_wins(site: Site, layers: Layers, private_registry: SiteRegistry, right: Scope) -> None:
    """Of two macros of one name the project's is used: right there means Running, right at the tenant does not."""
    name = macro_name(site, "precedence")
    with private_registry.account() as account:
        passwords = {"project": "of-the-project!", "tenant": "of-the-tenant!", right: account.password}
        with (
            held_macro(site, name, passwords["tenant"], scope="tenant"),
            held_macro(site, name, passwords["project"], scope="project") as held,
        ):
            credentials = layers.credentials(account, password=held.reference)
            with site.begin_deploy(layers.fresh(None, credentials=credentials)) as cluster:
                runs = cluster.runs_or_fails()

                assert runs == (right == "project"), (
                    f"the password of the {right} was right, and the cluster ran: {runs}"
                )


@requirement("MACRO-03", phase="repave", witness=True)
def test_a_changed_macro_reaches_a_live_cluster(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """After a macro was changed, the next repave of a live cluster presents the new value and never the old one."""
    with (
        private_registry.account(password="First!pass#1") as account,
        held_macro(site, macro_name(site, "changing"), account.password) as held,
    ):
        layer = layers.fresh(None, credentials=layers.credentials(account, password=held.reference))
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
def test_a_missing_macro_is_reported(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """A profile that names a macro which is nowhere does not deploy: an event names the macro, nothing is presented."""
    name = macro_name(site, "missing")
    with private_registry.account() as account:
        layer = layers.fresh(None, credentials=layers.credentials(account, password=macro(name)))
        with site.begin_deploy(layer) as cluster:
            runs = cluster.runs_or_fails()
            event = cluster.errors()[0]

            assert not runs, f"the cluster runs although the macro {name} is nowhere"
            assert name in event.message, f"the event does not name the macro {name}: {event.message}"
            assert private_registry.witness.pulls(cluster) == [], "the reference itself was presented as the password"


@requirement("MACRO-04", phase="deploy", witness=True)
def test_a_missing_macro_can_be_added(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """A cluster that waits for a macro becomes Running once the macro exists."""
    name = macro_name(site, "late")
    with private_registry.account() as account:
        layer = layers.fresh(None, credentials=layers.credentials(account, password=macro(name)))
        with site.begin_deploy(layer) as cluster:
            cluster.wait_for_error()
            with held_macro(site, name, account.password):
                cluster.wait_until_running()

                assert private_registry.witness.changes(cluster, phase="deploy") == []
