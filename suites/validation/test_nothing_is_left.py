"""A password that nobody needs any more is nowhere on a host."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.traces import traces
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

FIRST, SECOND = "First!pass#1-of-the-host", "Second!pass#2-of-the-host"


@requirement("HOST-08", phase="repave")
def test_no_form_of_a_password_is_left_on_a_host(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After a rotation and its repave no form of the old password is on the host, after a deletion of the new one."""
    with private_registry.account(password=FIRST) as first, site.deploy(layers.fresh(first)) as cluster:
        host = cluster.host
        with private_registry.account(first.username, SECOND) as second:
            cluster.repave(layers.fresh(second))
        kept = host.kept(traces(FIRST))

        assert kept == [], f"after the rotation the old password is in {', '.join(kept)}"
    site.project.edge_hosts.wait_until_free(host.uid)
    left = host.kept(traces(FIRST, SECOND))

    assert left == [], f"after the cluster's deletion a password is in {', '.join(left)}"
