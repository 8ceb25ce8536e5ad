"""Where the password must not be found."""

from __future__ import annotations

from fixtures.shared_clusters import Use
from fixtures.traces import traces
from harness.requirements import requirement


@requirement("HOST-06", phase="repave")
def test_the_host_shows_the_password_to_nobody(repaved: Use) -> None:
    """After deployment and repave no form of the password is in an event, or where others may read it on the host."""
    with repaved() as shared:
        account, cluster = shared.account, shared.cluster
        cluster.confirm_repave()
        forms = traces(account.password)
        events = " ".join(event.message for event in cluster.events())

        assert [form for form in forms if form in events] == [], "an event tells the password"
        assert (shown := cluster.host.shown(forms)) == [], f"everybody may read the password in {', '.join(shown)}"
