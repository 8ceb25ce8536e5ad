"""What Palette tells about a password that it was given."""

from __future__ import annotations

import pytest

from fixtures.answers import ask_everything, clear_in, in_place_of_passwords, listening
from fixtures.layers import Layers
from fixtures.macros import held_macro, macro_name
from harness.errors import Cause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.errors import BadRequestError, InvalidError
from palette.os_layer import OsLayer, ProviderCredentials, inside_double_quotes

PASSWORD = "Pa!ss#w0rd*Clear"


@requirement("MASK-01", phase="validation")
def test_no_answer_about_a_cluster_has_the_password(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """From its creation to a repave no answer about a cluster, profile, host, event or bundle has the password."""
    aware, heard = listening(site)
    with private_registry.account(password=PASSWORD) as account, aware.deploy(layers.fresh(account)) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        ask_everything(cluster)
        for note in in_place_of_passwords(heard, PASSWORD):
            evidence.note(note)
        clear = clear_in(heard, PASSWORD, account.username)

        assert clear == [], f"the password comes back in clear from {', '.join(clear)}"


@requirement("MASK-01", "EVENT-02", phase="validation")
def test_no_answer_about_a_failure_has_the_password(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """When the registry refuses the password, events and bundle tell of the refusal and not of the password."""
    aware, heard = listening(site)
    with private_registry.account() as account:
        wrong = layers.credentials(account, password=PASSWORD)
        with aware.begin_deploy(layers.fresh(None, credentials=wrong)) as cluster:
            cluster.wait_for_error(Cause.LOGIN)
            _ = cluster.events()
            clear = clear_in(heard, PASSWORD, account.username)

            assert clear == [], f"the refused password comes back in clear from {', '.join(clear)}"


@requirement("MASK-01", phase="validation")
def test_no_refusal_has_the_password(site: Site) -> None:
    """A profile that Palette refuses is refused without its password being quoted."""
    aware, heard = listening(site)
    layer = OsLayer("registry.example/provider:v1", ProviderCredentials("registry.example", "user", PASSWORD))
    with pytest.raises((BadRequestError, InvalidError)):
        aware.create_profile(f"{site.run}-refused", layer, version="no.version")
    clear = clear_in(heard, PASSWORD, "user")

    assert clear == [], f"the password comes back in clear from {', '.join(clear)}"


@requirement("MASK-02", phase="validation", records=True)
def test_what_palette_tells_about_a_macro_is_recorded(site: Site, evidence: Evidence) -> None:
    """A macro that holds a password is listed by its name; whether with its value is recorded."""
    with held_macro(site, macro_name(site, "masked"), PASSWORD) as held:
        listed = {"the project's macros": site.project.macros.list(), "visible macros": site.project.visible_macros()}
        for place, values in listed.items():
            clear = values.get(held.name) == inside_double_quotes(PASSWORD)
            evidence.note(f"{place} show a macro's value {'in clear' if clear else 'masked'}")

        assert all(held.name in values for values in listed.values()), f"macro {held.name} is not listed"
