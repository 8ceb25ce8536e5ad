"""The faults of cloned profiles are caught by the case that claims them, and by nothing that is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.sites.site import Site
from lab.faults import behaviour_of, specify
from suites.profile.test_profile_shape import test_a_new_version_leaves_the_old_one_as_it_was as new_version
from tests.harness.palette_site import palette_site

CATCH = {
    "": "",
    "cloned-values-ignored": "does not name the new image",
    "a-clone-loses-stages": "lost lines of the OS layer that were not changed",
}


@pytest.mark.parametrize("name", CATCH)
def test_a_new_version_that_is_not_what_was_asked_for_is_caught(name: str, tmp_path: Path) -> None:
    """A healthy Palette passes; with each fault the case fails, and says with what."""
    with palette_site(tmp_path) as found:
        with Site.open(found.file(profile="edge-base"), "own-faults", Ledger(), Evidence(tmp_path)) as site:
            found.endpoint.behaviour = behaviour_of([specify(name)] if name else [])
            if not name:
                new_version(site)
                return
            with pytest.raises(AssertionError, match=CATCH[name]):
                new_version(site)
