"""Rotation behind the profile's back, and passwords that the profile has encoded; the rest is among the scenarios.

A newer kubelet checks a pod's login again also where the image is present. Each repave here names an image that no host
has pulled, so that the verdict is the same with such a kubelet and without it.
"""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

ENCODED = "Q2xlYXIhdGV4dCMx"  # of Clear!text#1


@requirement("CRED-03", phase="repave", repaves=1, ends=1)
def test_a_broken_password_shows_at_the_next_pull(
    layers: Layers, private_registry: SiteRegistry, deployed: Use
) -> None:
    """When only the registry's password changes, the cluster stays Running, its next repave fails and says why."""
    with deployed() as shared:
        cluster, account = shared.cluster, shared.account
        shared.exits.enter_context(private_registry.account(account.username, "Changed!behind#its*back"))
        shared.exits.enter_context(private_registry.refusing(account.username, account.password))
        stays = cluster.state()
        cluster.begin_repave(layers.fresh(account))
        cluster.fails(ErrorCause.LOGIN)

        assert stays == "Running", f"the cluster was {stays} after the registry's password had changed"
        assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the failed pull changed the host"


@pytest.mark.nightly
@requirement("CRED-02", "CRED-06", phase="repave", hosts=2, witness=True, clusters=2, repaves=1)
def test_two_clusters_at_once_have_their_own_logins(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """While another cluster runs with another login of the same registry, a repave presents its cluster's own."""
    with (
        private_registry.account() as account,
        private_registry.account() as other,
        site.deploy(layers.fresh(account)) as cluster,
        site.deploy(layers.fresh(other)) as beside,
    ):
        cluster.try_repave(layers.with_image(cluster.layer))

        users = private_registry.witness.users(cluster, phase="repave")
        assert users == {account.username}, f"the repave was made as {', '.join(sorted(users)) or 'nobody'}"
        assert private_registry.witness.users(beside) == {other.username}
        cluster.wait_until_repaved()


@requirement("CRED-04", phase="repave", witness=True, clusters=1, repaves=2)
def test_a_password_is_decoded_once_exactly_where_the_profile_says_so(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """With encodedPassword what base64 stands for is presented; with false, valid base64 is presented as it stands."""
    with (
        private_registry.account(password="Clear!text#1") as clear,
        private_registry.account(password=ENCODED) as plain,
    ):
        encoded = layers.registry.credentials(clear, password=ENCODED, encoded_password=True)
        with site.deploy(layers.fresh(None, credentials=encoded)) as cluster:
            for credentials in (encoded, layers.registry.credentials(plain, encoded_password=False)):
                done = cluster.try_repave(layers.fresh(None, credentials=credentials))

                assert private_registry.witness.changes(cluster) == []
                assert done, f"the repave fails: {cluster.errors()[0].message}"
