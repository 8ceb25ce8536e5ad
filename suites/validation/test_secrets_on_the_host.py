"""Where the password must not be found."""

from __future__ import annotations

import base64

from fixtures.layers import Layers
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


@requirement("HOST-06", phase="repave")
def test_the_host_shows_the_password_to_nobody(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After deployment and repave the password, raw or in base64, is in no journal, process list, event or file."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        login, host = f"{account.username}:{account.password}", cluster.host
        forms = [account.password, _base64(account.password), _base64(login)]
        events = " ".join(event.message for event in cluster.events())

        assert [form for form in forms if form in events] == [], "an event tells the password"
        assert (shown := host.shown(forms)) == [], f"everybody may read the password in {', '.join(shown)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
