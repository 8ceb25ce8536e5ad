"""The registry's address in the profile: name or number, with a port, with a path."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.run import NotCovered
from harness.sites.site import Site


@requirement("PROFILE-15", phase="deploy", witness=True)
def test_a_registry_is_named_by_number(private_registry: SiteRegistry, deployed: Use) -> None:
    """The number under which the site's hosts reach the registry can stand in the profile."""
    with deployed() as shared:
        assert private_registry.witness.changes(shared.cluster, phase="deploy") == []


@requirement("PROFILE-15", phase="deploy", witness=True, clusters=0)
def test_a_registry_is_named_by_domain(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Each domain under which the site's hosts reach the registry can stand in the profile."""
    _number, *names = private_registry.addresses
    if not names:
        raise NotCovered("the site file gives the registry no name beside its address (registry.names)")
    with private_registry.account() as account:
        for address in names:
            image = layers.images.fresh().at(address).reference
            credentials = layers.registry.credentials(account, registry=str(address))
            with site.deploy(layers.fresh(None, image=image, credentials=credentials)) as cluster:
                assert private_registry.witness.changes(cluster, phase="deploy") == [], f"registry {address}"


@requirement("PROFILE-05", phase="repave", records=True, repaves=1)
def test_an_image_that_is_named_by_its_digest_is_no_other(layers: Layers, evidence: Evidence, walked: Use) -> None:
    """An image that system.uri names by its digest is booted, or refused; no tag of its repository stands in for it."""
    with walked() as shared:
        cluster = shared.cluster
        layers.images.named("latest")  # a trap: what a reader gets that overlooks the digest
        image, before = layers.images.fresh(), cluster.host.boot().image
        done = cluster.try_repave(layers.with_image(cluster.layer, image.pinned), about=image.digest)
        shared.spent = not done
        booted = cluster.boot_told_by(cluster.host)
        evidence.note(f"an image that system.uri names by its digest is {'booted' if done else 'refused'} at a repave")

        expected = image.label if done else before
        assert booted is None or booted.image.endswith(expected), (
            f"the host runs {booted.image}; the profile names {image.pinned}, which is {image.label}"
        )
