"""What an update of the profile may change: the credentials, the image, both, or nothing that must be pulled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("REPAVE-08", phase="repave", records=True, witness=True, repaves=1)
def test_an_edit_of_the_credentials_alone_repaves(
    layers: Layers, private_registry: SiteRegistry, evidence: Evidence, walked: Use
) -> None:
    """Moved to a version that differs in its credentials alone, the cluster is repaved; a newer page denies it (X1)."""
    with walked() as shared:
        cluster, other = shared.cluster, shared.exits.enter_context(private_registry.account())
        edited = replace(cluster.layer, credentials=layers.registry.credentials(other))
        foretold = cluster.forecast(edited).is_required
        evidence.note(f"X1: an edit of the credentials alone {'repaves' if foretold else 'does not repave'}")

        assert foretold, "Palette foretells no repave for other credentials; the guide says that one is triggered"
        before = cluster.host.boot()
        cluster.repave(edited)
        pulls = private_registry.witness.pulls(cluster, phase="repave")
        evidence.note(f"X1: that repave {'pulls the image again' if pulls else 'pulls nothing'}")
        assert cluster.host.boot().image == before.image, "the host booted another image than it had"


@requirement("CRED-06", phase="repave", records=True, witness=True, repaves=1)
def test_credentials_and_image_change_together(
    layers: Layers, private_registry: SiteRegistry, evidence: Evidence, walked: Use
) -> None:
    """When one version brings another user and another image, the repave presents the new login and boots the image."""
    with walked() as shared:
        cluster, now = shared.cluster, shared.exits.enter_context(private_registry.account())
        cluster.try_repave(layers.fresh(now))
        users = private_registry.witness.users(cluster, phase="repave")
        taken = "takes" if users == {now.username} else "does not take"
        evidence.note(f"X3: an existing cluster {taken} other credentials with an update")

        assert private_registry.witness.changes(cluster, phase="repave") == []
        assert users == {now.username}, f"the repave was made as {', '.join(sorted(users))}, not as {now.username}"
        cluster.wait_until_repaved()
        assert not (wrong := cluster.wrong_boot()), wrong


@pytest.mark.nightly
@requirement("CRED-06", phase="repave", witness=True, clusters=1, repaves=2)
def test_credentials_first_and_the_image_later(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Credentials that came with an earlier version are the ones that the repave to the next image presents."""
    with (
        private_registry.account() as before,
        site.deploy(layers.fresh(before)) as cluster,
        private_registry.account() as now,
    ):
        cluster.repave(replace(cluster.layer, credentials=layers.registry.credentials(now)), phase="edit")
        cluster.try_repave(layers.with_image(cluster.layer))
        users = private_registry.witness.users(cluster, phase="repave")

        assert private_registry.witness.changes(cluster, phase="repave") == []
        assert users == {now.username}, f"the repave was made as {', '.join(sorted(users))}, the first version's user"
        cluster.wait_until_repaved()


@requirement("REPAVE-01", "REPAVE-09", phase="repave", witness=True)
def test_a_tag_that_was_never_pulled_is_pulled_by_the_node(private_registry: SiteRegistry, repaved: Use) -> None:
    """A repave to a tag that no host has seen asks the private registry for exactly this tag, and is given it."""
    with repaved() as shared:
        image, host = shared.cluster.layer.image, shared.cluster.host.uid
        asked = private_registry.witness.pulls_of_image(image)

        assert {pull.phase for pull in asked} <= {"repave"}, f"{image} was asked for before the repave"
        assert any(pull.status == 200 for pull in asked), f"the repave never got {image} from the private registry"
        assert private_registry.witness.hosts(asked) == [host], "another host asked for the image as well"
        shared.cluster.confirm_repave()
