"""A password or an authority that nobody needs any more is nowhere on a host."""

from __future__ import annotations

import secrets

from fixtures.layers import Layers
from fixtures.traces import traces
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.cluster_facts import RUNNING
from palette.os_layer import ProviderCredentials
from registry.server import Account
from registry.tls import Authority

#: Others in each run, so that what an earlier one left is not found again.
FIRST, SECOND = (f"{which}!pass#{secrets.token_hex(8)}" for which in ("First", "Second"))


@requirement("HOST-08", "LIFE-01", phase="repave")
def test_no_form_of_a_password_is_left_on_a_host(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After a rotation no form of the old password is left, after a deletion no password, authority or Running."""
    authority = Authority("an authority of this cluster alone").pem
    with (
        private_registry.account(password=FIRST) as first,
        site.deploy(layers.fresh(None, credentials=trusting(layers, first, authority))) as cluster,
    ):
        host = cluster.host
        with private_registry.account(first.username, SECOND) as second:
            cluster.repave(layers.fresh(None, credentials=trusting(layers, second, authority)))
        kept = host.kept(traces(FIRST))

        assert kept == [], f"after the rotation the old password is in {', '.join(kept)}"
    site.project.edge_hosts.wait_until_free(host.uid)
    state = site.project.clusters.state_or_gone(cluster.uid)

    assert state != RUNNING, f"the cluster is deleted, Edge host {host.uid} is free, and Palette calls it {state}"
    left = host.kept([*traces(FIRST, SECOND), *authority.splitlines()[1:-1]])

    assert left == [], f"after the cluster's deletion a password or its authority is in {', '.join(left)}"


def trusting(layers: Layers, account: Account, authority: str) -> ProviderCredentials:
    """Return credentials with the registry's authority and another one."""
    return layers.registry.credentials(account, certificates=layers.registry.authority.pem + authority)
