"""Rotation: the password changes between deployment and repave, and back."""

from __future__ import annotations

from fixtures.layers import Layers
from harness.errors import Cause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("CRED-02", phase="repave", witness=True)
def test_a_rotated_password_is_used_at_the_next_repave(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A new password in a new version is the one that the repave presents; the old one is never sent again."""
    with private_registry.account(password="First!pass#1") as account, site.deploy(layers.fresh(account)) as cluster:
        with private_registry.account(account.username, "Second!pass#2") as rotated:
            cluster.try_repave(layers.fresh(rotated))

            assert private_registry.witness.changes(cluster, phase="repave") == []
            cluster.wait_until_repaved()


@requirement("CRED-02", phase="repave", witness=True)
def test_a_password_is_rotated_back(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After a rotation and its reversal each repave presents the password that its version has."""
    with private_registry.account(password="First!pass#1") as account, site.deploy(layers.fresh(account)) as cluster:
        with private_registry.account(account.username, "Second!pass#2") as rotated:
            cluster.repave(layers.fresh(rotated))
        cluster.try_repave(layers.fresh(account))

        assert private_registry.witness.changes(cluster, phase="repave") == []
        cluster.wait_until_repaved()


@requirement("CRED-03", phase="repave")
def test_a_broken_password_shows_at_the_next_pull(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """When only the registry's password changes, the cluster stays Running, its next repave fails and says why."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        with private_registry.account(account.username, "Changed!behind#its*back"):
            stays = cluster.state()
            cluster.begin_repave(layers.fresh(account))
            cluster.fails(Cause.LOGIN)

            assert stays == "Running", f"the cluster was {stays} after the registry's password had changed"
            assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the failed pull changed the host"


@requirement("CRED-04", phase="repave", witness=True)
def test_an_encoded_password_is_decoded_once(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With encodedPassword set, the password in the profile is base64, and what it stands for is presented."""
    with private_registry.account(password="Clear!text#1") as account:
        encoded = layers.credentials(account, password="Q2xlYXIhdGV4dCMx", encoded_password=True)
        with site.deploy(layers.fresh(None, credentials=encoded)) as cluster:
            cluster.try_repave(layers.fresh(None, credentials=encoded))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("CRED-04", phase="repave", witness=True)
def test_a_password_that_is_not_encoded_is_left_alone(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """With encodedPassword explicitly false, a password that is valid base64 is presented as it stands."""
    with private_registry.account(password="Q2xlYXIhdGV4dCMx") as account:
        plain = layers.credentials(account, encoded_password=False)
        with site.deploy(layers.fresh(None, credentials=plain)) as cluster:
            cluster.try_repave(layers.fresh(None, credentials=plain))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()
