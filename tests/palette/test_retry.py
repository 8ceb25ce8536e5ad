"""When a request is repeated, after which pause, and when it must not be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from palette import Palette, PaletteError, RetryPolicy
from palette.errors import ConflictError, NotFoundError, RateLimitedError, ServerError
from palette.profiles import Pack
from tests.palette.conftest import SteppedClock
from tests.palette.servers import Request, answer, cut_off, hang_up, in_turn, page, refuse, reset, serving

HOST = answer({"metadata": {"uid": "host-1"}})
THEN = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
LONG_AGO = format_datetime(THEN, usegmt=True)
OLD, NEW = "2020-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"


@pytest.mark.parametrize("trouble", [refuse(429), refuse(502), refuse(503), refuse(504), reset, hang_up, cut_off])
def test_a_read_is_repeated_until_it_succeeds(
    trouble: Callable[[Request], None], client: Callable[..., Palette], stepped: SteppedClock
) -> None:
    """Too many requests, statuses above 500 and broken connections are overcome, with pauses doubled each time."""
    with serving(in_turn(trouble, trouble, HOST)) as server:
        host = client(server.url).edge_hosts.get("host-1")

    assert host.uid == "host-1"
    assert stepped.slept == [2.0, 4.0]
    assert len(server.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_a_refusal_is_not_repeated(status: int, client: Callable[..., Palette]) -> None:
    """What was understood and refused, a refused key, and status 500 itself, is raised at once."""
    with serving(refuse(status)) as server, pytest.raises(PaletteError):
        client(server.url).edge_hosts.get("host-1")

    assert len(server.requests) == 1


def test_attempts_are_counted(client: Callable[..., Palette]) -> None:
    """After the policy's attempts the last failure is raised."""
    with serving(refuse(429, "TooManyRequests")) as server, pytest.raises(RateLimitedError, match="TooManyRequests"):
        client(server.url).edge_hosts.get("host-1")

    assert len(server.requests) == 4


@pytest.mark.parametrize("trouble", [refuse(503), reset])
def test_an_outage_is_waited_for_once(trouble: Callable[[Request], None], client: Callable[..., Palette]) -> None:
    """After a request that was given up, others have one attempt each until there is an answer: clean-up goes on."""
    with serving(in_turn(*[trouble] * 6, HOST, trouble, HOST)) as server:
        palette = client(server.url)
        for _ in range(3):
            with pytest.raises(PaletteError):
                palette.edge_hosts.get("host-1")
        assert len(server.requests) == 4 + 1 + 1
        for _ in range(2):
            palette.edge_hosts.get("host-1")

    assert len(server.requests) == 6 + 1 + 2


def test_no_attempt_is_started_after_the_policys_time(client: Callable[..., Palette], stepped: SteppedClock) -> None:
    """Patience is bounded in seconds as well as in attempts."""
    policy = RetryPolicy(attempts=99, first_pause=10, longest_pause=10, jitter=0, give_up_after=35)
    with serving(refuse(503)) as server, pytest.raises(ServerError):
        client(server.url, retry=policy).edge_hosts.get("host-1")

    assert stepped.slept == [10, 10, 10]


@pytest.mark.parametrize(
    ("headers", "pause"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": format_datetime(THEN + timedelta(seconds=11), usegmt=True), "Date": LONG_AGO}, 11.0),
        *[({"Retry_After": odd.encode().decode("latin-1")}, 2.0) for odd in ("soon", "-5", "", "1e3", "٣")],
    ],
)
def test_a_pause_that_the_server_asks_for_is_kept(
    headers: dict[str, str], pause: float, client: Callable[..., Palette], stepped: SteppedClock
) -> None:
    """Seconds count, and a date by the server's own clock, which may be years off; else the policy's own pause does."""
    with serving(in_turn(refuse(429, **headers), HOST)) as server:
        client(server.url).edge_hosts.get("host-1")

    assert stepped.slept == [pause]


def test_a_retry_after_beyond_the_policys_time_ends_the_attempts(client: Callable[..., Palette]) -> None:
    """A server that asks for an hour is not waited for."""
    with serving(refuse(429, Retry_After="3600")) as server, pytest.raises(RateLimitedError):
        client(server.url).edge_hosts.get("host-1")

    assert len(server.requests) == 1


def test_pauses_are_bounded_and_partly_left_to_chance() -> None:
    """A pause lies between the planned one and that less the jitter, and never above the longest."""
    lowest = RetryPolicy(first_pause=8, jitter=0.25, chance=lambda: 1.0)
    highest = RetryPolicy(first_pause=8, jitter=0.25, chance=lambda: 0.0)

    assert (lowest.pause(1), highest.pause(1), highest.pause(2)) == (6.0, 8.0, 16.0)
    assert RetryPolicy(longest_pause=30, jitter=0).pause(10_000 // 16) == 30


@pytest.mark.parametrize(
    "options", [{"attempts": 0}, {"first_pause": -1}, {"factor": 0.5}, {"jitter": 1.5}, {"give_up_after": -1}]
)
def test_a_policy_that_cannot_work_is_refused(options: dict[str, float]) -> None:
    """Bad values are named at once."""
    with pytest.raises(ValueError, match="RetryPolicy"):
        RetryPolicy(**options)  # type: ignore[arg-type]


def profile(created: str) -> Callable[[Request], None]:
    """Answer reads as a Palette that holds one profile, and creations as if a lost one had made it."""

    def act(request: Request) -> None:
        if request.method == "POST":
            reset(request)
        elif request.path.endswith("metadata"):
            item = {"metadata": {"uid": "made", "name": "n"}, "spec": {"version": "1.0.0"}}
            answer({"items": [item]})(request)
        elif request.path == "/v1/clusterprofiles/made":
            answer({"metadata": {"uid": "made", "creationTimestamp": created}})(request)
        else:
            answer({"items": []})(request)

    return act


def create(palette: Palette) -> str:
    """Create a profile after Palette's clock is known."""
    palette.profiles.packs("any")
    return palette.profiles.create("n", [Pack("p")])


def test_a_lost_creation_is_looked_for_before_it_is_repeated(client: Callable[..., Palette]) -> None:
    """When the answer to a creation is lost and the object is there, it is taken and not made twice."""
    with serving(profile(NEW)) as server:
        uid = create(client(server.url))

    assert uid == "made"
    assert server.asked.count("POST /v1/clusterprofiles") == 1


def test_an_older_object_of_the_same_name_is_not_taken_for_ones_own(client: Callable[..., Palette]) -> None:
    """What somebody else made before is never adopted: this run would delete it at its end."""
    with serving(profile(OLD)) as server, pytest.raises(PaletteError, match="may have been carried out"):
        create(client(server.url))


def test_a_lost_creation_that_was_not_done_is_repeated(client: Callable[..., Palette]) -> None:
    """When nothing of the name is there, the creation is sent again."""
    posts = in_turn(reset, answer({"uid": "second"}, 201))

    def act(request: Request) -> None:
        (posts if request.method == "POST" else answer({"items": []}))(request)

    with serving(act) as server:
        uid = create(client(server.url))

    assert uid == "second"
    assert server.asked.count("POST /v1/clusterprofiles") == 2


def test_a_conflict_after_a_lost_creation_is_ones_own_object(client: Callable[..., Palette]) -> None:
    """An object that shows only after the second attempt was refused as a duplicate is found then."""
    posts = in_turn(reset, refuse(409, "Duplicate"))
    listings = in_turn(answer({"items": []}), profile(NEW))

    def act(request: Request) -> None:
        if request.method == "POST":
            posts(request)
        else:
            (listings if request.path.endswith("metadata") else profile(NEW))(request)

    with serving(act) as server:
        assert create(client(server.url)) == "made"


def test_a_plain_conflict_is_raised(client: Callable[..., Palette]) -> None:
    """A name that is taken without any lost answer is a conflict and nothing is looked for."""
    with serving(refuse(409, "Duplicate")) as server, pytest.raises(ConflictError):
        client(server.url).profiles.create("n", [Pack("p")])

    assert len(server.requests) == 1


@pytest.mark.parametrize("trouble", [page(502, b""), page(504, b"")])
def test_a_creation_lost_behind_a_gateway_is_not_blindly_repeated(
    trouble: Callable[[Request], None], client: Callable[..., Palette]
) -> None:
    """A gateway that got no answer in time does not know what happened behind it."""

    def act(request: Request) -> None:
        (trouble if request.method == "POST" else profile(NEW))(request)

    with serving(act) as server:
        assert create(client(server.url)) == "made"

    assert server.asked.count("POST /v1/clusterprofiles") == 1


@pytest.mark.parametrize("trouble", [refuse(429), refuse(503)])
def test_a_creation_that_was_not_attempted_is_repeated(
    trouble: Callable[[Request], None], client: Callable[..., Palette]
) -> None:
    """Too many requests and "unavailable" say that nothing was done."""
    with serving(in_turn(trouble, answer({"uid": "u"}, 201))) as server:
        assert client(server.url).profiles.create("n", [Pack("p")]) == "u"


def test_a_deletion_whose_answer_was_lost_counts_as_done_when_nothing_is_there(client: Callable[..., Palette]) -> None:
    """The second attempt finds nothing because the first one worked."""
    with serving(in_turn(reset, refuse(404))) as server:
        client(server.url).profiles.delete("p")

    assert len(server.requests) == 2


def test_deleting_what_is_not_there_is_not_found(client: Callable[..., Palette]) -> None:
    """Without a lost answer, nothing to delete is an error."""
    with serving(in_turn(refuse(429), refuse(404))) as server, pytest.raises(NotFoundError):
        client(server.url).profiles.delete("p")


def test_a_profile_replaced_by_a_lost_request_is_not_replaced_twice(client: Callable[..., Palette]) -> None:
    """A second PATCH could attach the profile twice, so the cluster is looked at first."""
    attached = answer({"spec": {"clusterProfileTemplates": [{"uid": "new"}]}})

    def act(request: Request) -> None:
        (reset if request.method == "PATCH" else attached)(request)

    with serving(act) as server:
        client(server.url).clusters.replace_profile("c", old="old", new="new")

    assert server.asked == ["PATCH /v1/spectroclusters/c/profiles", "GET /v1/spectroclusters/c"]


def test_a_creation_that_cannot_be_looked_for_is_told_as_uncertain(client: Callable[..., Palette]) -> None:
    """When Palette goes away for good in the middle of a creation, the error says that something may be left."""

    def act(request: Request) -> None:
        (reset if request.method == "POST" else refuse(503))(request)

    with serving(act) as server, pytest.raises(PaletteError) as caught:
        client(server.url).profiles.create("n", [Pack("p")])

    assert caught.value.request == "POST /v1/clusterprofiles"
    assert caught.value.outcome_unknown


def test_a_profile_takes_the_place_of_the_attached_one(client: Callable[..., Palette]) -> None:
    """The PATCH names both versions, because without the old one Palette attaches a second profile."""
    with serving(answer()) as server:
        client(server.url).clusters.replace_profile("c", old="old", new="new")

    assert server.requests[0].body == {
        "profiles": [{"uid": "new", "replaceWithProfile": "old"}],
        "spcApplySettings": {"actionType": "DownloadAndInstall"},
    }
    assert server.requests[0].query == {"resolveNotification": "true"}


def test_an_idle_connection_that_the_server_closed_does_not_fail_a_creation(client: Callable[..., Palette]) -> None:
    """A kept connection that the server closes between two requests is not used for a creation: nothing is lost."""

    def act(request: Request) -> None:
        answer({"uid": "u", "items": []}, 201)(request)
        request.handler.close_connection = True

    with serving(act) as server:
        palette = client(server.url)
        for _ in range(20):
            assert palette.profiles.create("n", [Pack("p")]) == "u"

    assert server.asked == ["POST /v1/clusterprofiles"] * 20
