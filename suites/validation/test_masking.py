"""What Palette tells about a password that it was given."""

from __future__ import annotations

import pytest

from fixtures.answers import ask_everything, clear_in, in_place_of_passwords, listening
from fixtures.macros import held_macro, macro_name
from fixtures.shared_clusters import PASSWORD, Use
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.requirements import requirement
from harness.sites.site import Site
from palette.errors import BadRequestError, InvalidError
from palette.os_layer import OsLayer, ProviderCredentials, inside_double_quotes


@requirement("MASK-01", phase="validation")
def test_no_answer_about_a_cluster_has_the_password(evidence: Evidence, repaved: Use) -> None:
    """From its creation to a repave no answer about a cluster, profile, host, event or bundle has the password."""
    with repaved() as shared:
        heard, account = shared.known["heard"], shared.account
        ask_everything(shared.cluster)
        for note in in_place_of_passwords(heard, account.password):
            evidence.note(note)
        clear = clear_in(heard, account.password, account.username)

        assert clear == [], f"the password comes back in clear from {', '.join(clear)}"
        shared.cluster.confirm_repave()


@requirement("MASK-01", "EVENT-02", phase="validation")
def test_no_answer_about_a_failure_has_the_password(refused: Use) -> None:
    """When the registry refuses the password, events and bundle tell of the refusal and not of the password."""
    with refused() as shared:
        shared.cluster.wait_for_error(ErrorCause.LOGIN)
        _ = shared.cluster.events()
        clear = clear_in(shared.known["heard"], PASSWORD, shared.account.username)

        assert clear == [], f"the refused password comes back in clear from {', '.join(clear)}"


@requirement("MASK-01", phase="validation", clusters=0, repaves=0)
def test_no_refusal_has_the_password(site: Site) -> None:
    """A profile that Palette refuses is refused without its password being quoted."""
    aware, heard = listening(site)
    layer = OsLayer("registry.example/provider:v1", ProviderCredentials("registry.example", "user", PASSWORD))
    with pytest.raises((BadRequestError, InvalidError)):
        aware.create_profile(f"{site.run}-refused", layer, version="no.version")
    clear = clear_in(heard, PASSWORD, "user")

    assert clear == [], f"the password comes back in clear from {', '.join(clear)}"


@requirement("MASK-02", phase="validation", records=True, clusters=0, repaves=0)
def test_what_palette_tells_about_a_macro_is_recorded(site: Site, evidence: Evidence) -> None:
    """A macro that holds a password is listed by its name; whether with its value is recorded."""
    with held_macro(site, macro_name(site, "masked"), PASSWORD) as held:
        listed = {"the project's macros": site.project.macros.list(), "visible macros": site.project.visible_macros()}
        for place, values in listed.items():
            clear = values.get(held.name) == inside_double_quotes(PASSWORD)
            evidence.note(f"{place} show a macro's value {'in clear' if clear else 'masked'}")

        assert all(held.name in values for values in listed.values()), f"macro {held.name} is not listed"
