"""The guide's advice, and what it opens: passwords with special characters."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

ADVISED = ("Pa!sw#rd*Passw0r", "a:b: c", "pa$word", "q\"u'o\\te", "pässwörd")
MORE = ("!abc1", "#abc1", "*abc1", "abc #x", "{{x}}")


@requirement("CRED-01", phase="repave", witness=True)
@pytest.mark.parametrize("password", [*ADVISED, *(pytest.param(each, marks=pytest.mark.nightly) for each in MORE)])
def test_special_characters_arrive_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, password: str
) -> None:
    """A password with special characters, quoted in the profile, is presented unchanged by deployment and repave."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}", password=password)
    with private_registry.account(password=password) as account, site.deploy(layers.fresh(account)) as cluster:
        cluster.try_repave(layers.with_image(cluster.layer))

        assert private_registry.witness.changes(cluster) == []
        cluster.wait_until_repaved()
