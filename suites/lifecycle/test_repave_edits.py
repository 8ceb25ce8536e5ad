"""What an update of the profile may change: the credentials, the image, both, or nothing that must be pulled."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fixtures.layers import Layers
from harness.clusters import VacuousPhase
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("REPAVE-08", phase="repave", records=True, witness=True)
def test_an_edit_of_the_credentials_alone_repaves(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Moved to a version that differs in its credentials alone, the cluster is repaved; a newer page denies it (X1)."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        with private_registry.account() as other:
            edited = replace(cluster.layer, credentials=layers.credentials(other))
            foretold = cluster.forecast(edited).is_required
            evidence.note(f"X1: an edit of the credentials alone {'repaves' if foretold else 'does not repave'}")

            assert foretold, "Palette foretells no repave for other credentials; the guide says that one is triggered"
            before = cluster.host.boot()
            cluster.repave(edited)
            pulls = private_registry.witness.pulls(cluster, phase="repave")
            evidence.note(f"X1: that repave {'pulls the image again' if pulls else 'pulls nothing'}")
            assert cluster.host.boot().image == before.image, "the host booted another image than it had"


@requirement("CRED-06", phase="repave", records=True, witness=True)
def test_credentials_and_image_change_together(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """When one version brings another user and another image, the repave presents the new login and boots the image."""
    with (
        private_registry.account() as before,
        site.deploy(layers.fresh(before)) as cluster,
        private_registry.account() as now,
    ):
        cluster.try_repave(layers.fresh(now))
        users = private_registry.witness.users(cluster, phase="repave")
        taken = "takes" if users == {now.username} else "does not take"
        evidence.note(f"X3: an existing cluster {taken} other credentials with an update")

        assert private_registry.witness.changes(cluster, phase="repave") == []
        assert users == {now.username}, f"the repave was made as {', '.join(sorted(users))}, the version before's user"
        cluster.wait_until_repaved()
        assert not (wrong := cluster.wrong_boot()), wrong


@pytest.mark.nightly
@requirement("CRED-06", phase="repave", witness=True)
def test_credentials_first_and_the_image_later(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """Credentials that came with an earlier version are the ones that the repave to the next image presents."""
    with (
        private_registry.account() as before,
        site.deploy(layers.fresh(before)) as cluster,
        private_registry.account() as now,
    ):
        cluster.repave(replace(cluster.layer, credentials=layers.credentials(now)), phase="edit")
        cluster.try_repave(layers.with_image(cluster.layer))
        users = private_registry.witness.users(cluster, phase="repave")

        assert private_registry.witness.changes(cluster, phase="repave") == []
        assert users == {now.username}, f"the repave was made as {', '.join(sorted(users))}, the first version's user"
        cluster.wait_until_repaved()


@requirement("REPAVE-01", "REPAVE-09", phase="repave", witness=True)
def test_a_tag_that_was_never_pulled_is_pulled_by_the_node(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A repave to a tag that no host has seen asks the private registry for exactly this tag, and is given it."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        new = layers.with_image(cluster.layer)
        earlier = private_registry.witness.pulls_of_image(new.image)
        cluster.repave(new)
        asked = private_registry.witness.pulls_of_image(new.image)

        assert earlier == [], f"{new.image} was asked for before the repave"
        assert any(pull.status == 200 for pull in asked), f"the repave never got {new.image} from the private registry"
        assert {pull.host for pull in asked} == {cluster.host.uid}, "another host asked for the image as well"


@requirement("REPAVE-09", phase="repave", witness=True)
def test_a_repave_that_pulls_nothing_is_vacuous(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """A repave to an image that the node holds already may pull nothing; then it proves nothing, and that is said."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        first, second = cluster.layer, layers.with_image(cluster.layer)
        for layer in (second, first):
            cluster.repave(layer)
        cluster.repave(second, phase="again")
        pulls = private_registry.witness.pulls(cluster, phase="again")
        evidence.note(f"a repave to an image that the node held made {len(pulls)} requests to the registry")

        if not pulls:
            with pytest.raises(VacuousPhase, match="no pull"):
                private_registry.witness.changes(cluster, phase="again")
        assert not (wrong := cluster.wrong_boot()), wrong
