"""The registry's address in the profile: name or number, with a port, with a path."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("PROFILE-15", phase="deploy", witness=True)
def test_a_registry_is_named_by_address_or_domain(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Every address under which the site's hosts reach the registry, a domain or a number, can stand in the profile."""
    with private_registry.account() as account:
        for address in private_registry.addresses:
            fresh = layers.images.fresh()
            image = fresh.at(address).reference
            credentials = layers.credentials(account, registry=str(address))
            with site.deploy(layers.fresh(None, image=image, credentials=credentials)) as cluster:
                assert private_registry.witness.changes(cluster, phase="deploy") == [], f"registry {address}"


@requirement("PROFILE-15", phase="deploy", witness=True)
def test_a_registry_is_named_with_a_path(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """An address with a project behind it, as Harbor has it, is used for images of that project."""
    with private_registry.account() as account:
        credentials = layers.credentials(account, registry=f"{private_registry.address}/conformance")
        with site.deploy(layers.fresh(None, credentials=credentials)) as cluster:
            assert private_registry.witness.changes(cluster, phase="deploy") == []


@requirement("PROFILE-05", phase="deploy", witness=True)
@pytest.mark.parametrize("tag", ["1.10", "0474915", "72044e0", "v1.4.5"])
def test_a_tag_that_looks_like_a_number_is_a_tag(
    site: Site, layers: Layers, private_registry: SiteRegistry, tag: str
) -> None:
    """A tag that YAML could read as a number is pulled exactly as it stands in system.uri."""
    with private_registry.account() as account:
        image = layers.images.named(tag).reference
        with site.deploy(layers.fresh(account, image=image)) as cluster:
            asked = {pull.reference for pull in private_registry.witness.pulls(cluster)}

            assert tag in asked, f"the registry was asked for {sorted(asked)}"


@requirement("PROFILE-05", phase="repave", records=True)
def test_an_image_that_is_named_by_its_digest_is_no_other(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """An image that system.uri names by its digest is booted, or refused; no tag of its repository stands in for it."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        layers.images.named("latest")  # a trap: what a reader gets that overlooks the digest
        image, before = layers.images.fresh(), cluster.host.boot().image
        done = cluster.try_repave(layers.with_image(cluster.layer, image.pinned), about=image.digest)
        booted = cluster.host.boot().image
        evidence.note(f"an image that system.uri names by its digest is {'booted' if done else 'refused'} at a repave")

        expected = image.label if done else before
        assert booted.endswith(expected), (
            f"the host runs {booted}; the profile names {image.pinned}, which is {image.label}"
        )
