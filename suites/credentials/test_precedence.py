"""Which credentials win: those of user data over those of the cluster profile."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.user_data import registry_credentials, user_data
from harness.errors import Cause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("PREC-01", phase="repave", witness=True)
def test_good_user_data_wins_over_a_bad_profile(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With a right login in user data and a wrong one in the profile the cluster deploys and repaves."""
    with private_registry.account() as account:
        (host,) = site.free_hosts(1)
        right = registry_credentials(private_registry.address, account.username, account.password)
        layer = layers.fresh(None, credentials=layers.credentials(account, password="wrong-in-the-profile!"))
        with user_data(host, right), site.begin_deploy(layer, on=(host,)) as cluster:
            runs = cluster.runs_or_fails()

            assert runs, "the profile's wrong login was used although user data has a right one"
            cluster.try_repave(layers.with_image(layer))
            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("PREC-01", phase="deploy")
def test_bad_user_data_wins_over_a_good_profile(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With a wrong login in user data the profile's right one is ignored: the cluster stays out of Running."""
    with private_registry.account() as account:
        (host,) = site.free_hosts(1)
        wrong = registry_credentials(private_registry.address, account.username, "wrong-in-user-data!")
        with user_data(host, wrong), site.begin_deploy(layers.fresh(account), on=(host,)) as cluster:
            cluster.fails(Cause.LOGIN)


@requirement("PREC-01", phase="repave", witness=True)
def test_of_two_good_logins_user_datas_is_used(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Where both logins are right and their users differ, every pull is made as the user of user data."""
    with private_registry.account() as of_profile, private_registry.account() as of_user_data:
        (host,) = site.free_hosts(1)
        right = registry_credentials(private_registry.address, of_user_data.username, of_user_data.password)
        with user_data(host, right), site.deploy(layers.fresh(of_profile), on=(host,)) as cluster:
            cluster.try_repave(layers.with_image(cluster.layer))
            users = private_registry.witness.users(cluster)
            evidence.note(f"user data and the profile both have a login; pulls were made as {len(users)} of the users")

            assert private_registry.witness.changes(cluster) == []
            assert users == {of_user_data.username}, f"the profile's user {of_profile.username} pulled as well"
            cluster.wait_until_repaved()


@requirement("PREC-01", phase="repave", witness=True)
def test_user_data_that_comes_later_wins_at_the_next_repave(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A login that is added to the user data of a deployed host is the one that its next repave presents."""
    with (
        private_registry.account() as of_profile,
        private_registry.account() as of_user_data,
        site.deploy(layers.fresh(of_profile)) as cluster,
    ):
        right = registry_credentials(private_registry.address, of_user_data.username, of_user_data.password)
        with user_data(cluster.host, right):
            cluster.try_repave(layers.with_image(cluster.layer))
            users = private_registry.witness.users(cluster, phase="repave")

            assert users == {of_user_data.username}, f"the repave was made as {', '.join(sorted(users)) or 'nobody'}"
            cluster.wait_until_repaved()
