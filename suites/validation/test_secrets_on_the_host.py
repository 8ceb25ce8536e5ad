"""Where the password must not be found."""

from __future__ import annotations

from fixtures.layers import Layers
from fixtures.private_registry import SiteRegistry
from fixtures.requirements import requirement
from fixtures.sites.site import Site

SEARCH = (
    "find /oem /etc /run /tmp /var/log /usr/local -xdev -type f -perm -o=r -size -2M "
    "-exec grep -lF -e %s {} + 2>/dev/null"
)


@requirement("HOST-06", phase="repave")
def test_the_host_shows_the_password_to_nobody(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After deployment and repave the password is in no journal, process list, event or file that others may read."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        password, host = account.password, cluster.host
        # looked for first what is only read; the search itself puts the password into sudo's log
        shown = {
            "the journal": host.journal(),
            "a process's arguments": host.processes(),
            "an event": " ".join(event.message for event in cluster.events()),
        }
        readable = host.run(SEARCH, password).stdout.split()

        assert [place for place, text in shown.items() if password in text] == []
        assert readable == [], f"everybody may read the password in {', '.join(readable)}"
