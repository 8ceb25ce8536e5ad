"""Where the password must not be found."""

from __future__ import annotations

import base64

from fixtures.layers import Layers
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site

#: Reads what to look for, so that the search itself shows it to nobody.
SEARCH = (
    "umask 077; wanted=$(mktemp); cat > $wanted; "
    "find /oem /etc /run /tmp /root /home /opt /persistent /var/log /var/tmp /var/lib/kubelet /var/lib/rancher "
    "/var/lib/spectro /usr/local -xdev -type f -perm -o=r -size -2M "
    "-exec grep -lF -f $wanted {} + 2>/dev/null; rm $wanted"
)


@requirement("HOST-06", phase="repave")
def test_the_host_shows_the_password_to_nobody(site: Site, layers: Layers, private_registry: SiteRegistry) -> None:
    """After deployment and repave the password, raw or in base64, is in no journal, process list, event or file."""
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        cluster.repave(layers.with_image(cluster.layer))
        login, host = f"{account.username}:{account.password}", cluster.host
        forms = [account.password, _base64(account.password), _base64(login)]
        shown = {
            "the journal": host.journal(),
            "a process's arguments": host.processes(),
            "an event": " ".join(event.message for event in cluster.events()),
        }
        readable = host.feed("\n".join(forms), SEARCH).split()

        assert [place for place, text in shown.items() if any(form in text for form in forms)] == []
        assert readable == [], f"everybody may read the password in {', '.join(readable)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
