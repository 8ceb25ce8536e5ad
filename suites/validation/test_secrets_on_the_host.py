"""Where the password must not be found."""

from __future__ import annotations

import base64

from fixtures.shared_clusters import Use
from harness.requirements import requirement


@requirement("HOST-06", phase="repave")
def test_the_host_shows_the_password_to_nobody(repaved: Use) -> None:
    """After deployment and repave the password, raw or in base64, is in no journal, process list, event or file."""
    with repaved() as shared:
        account, cluster = shared.account, shared.cluster
        cluster.confirm_repave()
        forms = [account.password, _base64(account.password), _base64(f"{account.username}:{account.password}")]
        events = " ".join(event.message for event in cluster.events())

        assert [form for form in forms if form in events] == [], "an event tells the password"
        assert (shown := cluster.host.shown(forms)) == [], f"everybody may read the password in {', '.join(shown)}"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
