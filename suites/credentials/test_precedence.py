"""Which credentials win: those of user data over those of the cluster profile; see also the scenarios."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.user_data import registry_credentials, user_data
from harness.errors import Cause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("PREC-01", phase="deploy", witness=True)
def test_user_data_wins_whether_it_is_right_or_wrong(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """A wrong login in user data keeps a cluster from running though the profile's is right; the other way it runs."""
    with private_registry.account() as account:
        (host,) = site.free_hosts(1)
        address, wrong = private_registry.address, "wrong-on-purpose!"
        with (
            user_data(host, registry_credentials(address, account.username, wrong)),
            private_registry.refusing(account.username, wrong),
            site.begin_deploy(layers.fresh(account), on=(host,)) as cluster,
        ):
            cluster.fails(Cause.LOGIN)
        site.project.edge_hosts.wait_until_free(host.uid)
        profile = layers.fresh(None, credentials=layers.credentials(account, password=wrong))
        with (
            user_data(host, registry_credentials(address, account.username, account.password)),
            site.begin_deploy(profile, on=(host,)) as cluster,
        ):
            assert cluster.runs_or_fails(), "the profile's wrong login was used although user data has a right one"
            assert private_registry.witness.changes(cluster) == []
