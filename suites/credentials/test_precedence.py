"""Which credentials win: those of user data over those of the cluster profile; see also the scenarios."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.user_data import registry_credentials, user_data
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("PREC-01", phase="deploy")
def test_bad_user_data_wins_over_a_good_profile(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """With a wrong login in user data the profile's right one is ignored: the cluster stays out of Running."""
    with private_registry.account() as account:
        (host,) = site.free_hosts(1)
        address, wrong = private_registry.address, "wrong-on-purpose!"
        with (
            user_data(host, registry_credentials(address, account.username, wrong)),
            private_registry.refusing(account.username, wrong),
            site.begin_deploy(layers.fresh(account), on=(host,)) as cluster,
        ):
            cluster.fails(ErrorCause.LOGIN)
