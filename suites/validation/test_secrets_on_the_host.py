"""Where the password must not be found."""

from __future__ import annotations

from fixtures.shared_clusters import PASSWORD, Use
from fixtures.traces import traces
from harness.errors import ErrorCause
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


@requirement("HOST-06", phase="deploy")
def test_a_host_that_waits_for_its_image_shows_the_password_to_nobody(refused: Use) -> None:
    """While pulls are refused and tried again, others find no form of the password on the host."""
    with refused() as shared:
        shared.cluster.wait_for_error(ErrorCause.LOGIN)

        shown = shared.cluster.host.shown(traces(PASSWORD))
        assert shown == [], f"everybody may read the password in {', '.join(shown)}"
