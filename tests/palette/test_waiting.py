"""The wait loop and the waits made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from palette import Palette, Timeouts, WaitAbortedError, WaitTimeoutError
from palette.errors import ForbiddenError, NotFoundError, ServerError
from palette.waiting import Wait
from tests.palette.conftest import SteppedClock
from tests.palette.servers import answer, in_turn, refuse, serving


def looks(*values: Any) -> Callable[[], Any]:  # noqa: ANN401 - whatever a look gives
    """Return one value after the other, the last one for ever; exceptions are raised."""
    waiting = list(values)

    def look() -> Any:  # noqa: ANN401 - see above
        value = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(value, Exception):
            raise value
        return value

    return look


def broken() -> ServerError:
    """Make a failure of Palette itself."""
    return ServerError(method="GET", path="/v1/x", message="down", status=503)


def test_the_wait_ends_with_what_was_seen(stepped: SteppedClock) -> None:
    """The first look that satisfies is given back, and pauses grow up to the slowest."""
    wait = Wait(Timeouts(first_look=2, slowest_look=4), stepped.clock)

    assert wait.until("x", looks(1, 2, 3, 4), lambda seen: seen == 4, within=60) == 4
    assert stepped.slept == [2, 3, 4]


def test_what_is_already_so_costs_no_pause(stepped: SteppedClock) -> None:
    """The first look comes before the first pause."""
    Wait(clock=stepped.clock).until("x", looks("yes"), lambda seen: seen == "yes", within=1)

    assert stepped.slept == []


def test_a_timeout_tells_the_states_seen(stepped: SteppedClock) -> None:
    """The error names what was waited for, for how long, and which states were seen from when to when."""
    wait = Wait(Timeouts(first_look=2, slowest_look=2), stepped.clock)

    with pytest.raises(WaitTimeoutError) as caught:
        wait.until("cluster c to run", looks("Pending", "Pending", "Provisioning"), lambda _: False, within=10)

    assert str(caught.value) == (
        "waited for cluster c to run: not so within 10 s; states seen: Pending (0.0-2.0 s) -> Provisioning (4.0-10.0 s)"
    )
    assert caught.value.states == [("Pending", 0.0, 2.0), ("Provisioning", 4.0, 10.0)]


def test_an_overloaded_machine_has_longer(stepped: SteppedClock) -> None:
    """Where everything takes four times as long, what comes after three times its time-out has come in time."""
    wait = Wait(Timeouts(first_look=6, slowest_look=6), stepped.clock, lambda: 4.0)

    assert wait.until("x", lambda: stepped.time >= 1030, bool, within=10)


def test_a_timeout_on_an_overloaded_machine_tells_both_times(stepped: SteppedClock) -> None:
    """The time-out of the site and the seconds that were waited stand beside one another; a wait ends all the same."""
    wait = Wait(Timeouts(first_look=6, slowest_look=6), stepped.clock, lambda: 4.0)

    with pytest.raises(WaitTimeoutError, match=r"not so within 10 s \(40 s on an overloaded machine\); states seen"):
        wait.until("x", looks("Pending"), lambda _: False, within=10)


def test_a_look_that_takes_long_is_no_overloaded_machine(stepped: SteppedClock) -> None:
    """A wait whose look ended long after the time was up names its time-out alone."""

    def slow_look() -> str:
        stepped.clock.sleep(60)
        return "Pending"

    with pytest.raises(WaitTimeoutError, match=r"not so within 10 s; states seen"):
        Wait(clock=stepped.clock).until("x", slow_look, lambda _: False, within=10)


def test_the_last_look_is_at_the_deadline(stepped: SteppedClock) -> None:
    """What becomes so during the last pause still counts, and no wait is longer than allowed."""
    wait = Wait(Timeouts(first_look=6, slowest_look=6), stepped.clock)

    assert wait.until("x", lambda: stepped.time >= 1010, bool, within=10)
    assert sum(stepped.slept) == 10


def test_a_hopeless_state_ends_the_wait_early(stepped: SteppedClock) -> None:
    """A reason given by ``abort`` stops the wait and is told."""
    with pytest.raises(WaitAbortedError, match=r"given up after .*: quota used up"):
        Wait(clock=stepped.clock).until(
            "x",
            looks("a", "b"),
            lambda _: False,
            within=999,
            abort=lambda seen: "quota used up" if seen == "b" else None,
        )


def test_an_outage_of_palette_is_borne_for_a_while(stepped: SteppedClock) -> None:
    """A long wait survives minutes without Palette and shows them in its history."""
    wait = Wait(Timeouts(outage=300), stepped.clock)

    assert wait.until("x", looks("a", broken(), broken(), "b"), lambda seen: seen == "b", within=999) == "b"


def test_outages_are_counted_one_by_one(stepped: SteppedClock) -> None:
    """Many short outages with answers between them never add up to a long one."""
    seen = [broken() if number % 3 else "a" for number in range(60)]
    wait = Wait(Timeouts(outage=30, first_look=10, slowest_look=10), stepped.clock)

    assert wait.until("x", looks(*seen, "b"), lambda found: found == "b", within=9999) == "b"


def test_a_long_outage_ends_the_wait(stepped: SteppedClock) -> None:
    """When Palette stays away longer than an outage may last, its failure is raised and not a time-out."""
    with pytest.raises(ServerError):
        Wait(Timeouts(outage=60), stepped.clock).until("x", looks("a", broken()), lambda _: False, within=9999)

    assert 60 < sum(stepped.slept) < 90


@pytest.mark.parametrize("first", [("a",), ()], ids=["after a look", "from the beginning"])
def test_an_outage_that_lasts_when_the_time_is_up_is_no_time_out(stepped: SteppedClock, first: tuple[str, ...]) -> None:
    """An outage may last as long as a whole wait: what was not seen did not fail to happen."""
    with pytest.raises(ServerError):
        Wait(Timeouts(outage=300), stepped.clock).until("x", looks(*first, broken()), lambda _: False, within=300)


def test_a_refusal_ends_the_wait_at_once(stepped: SteppedClock) -> None:
    """What is not an outage is raised by the first look."""
    refused = ForbiddenError(method="GET", path="/v1/x", message="no")
    with pytest.raises(ForbiddenError):
        Wait(clock=stepped.clock).until("x", looks(refused), lambda _: False, within=9)

    assert stepped.slept == []


def test_a_long_history_is_cut_at_its_beginning(stepped: SteppedClock) -> None:
    """The message keeps the last dozen states, the error all of them."""
    states = iter(range(1000))
    wait = Wait(Timeouts(first_look=1, slowest_look=1), stepped.clock)

    with pytest.raises(WaitTimeoutError) as caught:
        wait.until("x", lambda: next(states), lambda _: False, within=50)

    assert "states seen: … -> 39 (39.0-39.0 s)" in str(caught.value)
    assert len(caught.value.states) == 51


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_that_cannot_be_waited_for_is_refused(seconds: float) -> None:
    """Time-outs are seconds above zero, and the message names the field."""
    with pytest.raises(ValueError, match=r"Timeouts\.repave is"):
        Timeouts(repave=seconds)


def overview(state: str, health: str = "") -> Callable[..., None]:
    """Answer with a cluster's overview."""
    return answer({"status": {"state": state, "health": {"state": health}}})


def test_a_cluster_is_running_when_it_is_healthy_too(client: Callable[..., Palette]) -> None:
    """Running alone is not enough, which is the rule of the vendor's own Terraform provider."""
    looks_at_it = (overview("Provisioning"), overview("Running"), overview("Running", "UnHealthy"))
    with serving(in_turn(*looks_at_it, overview("Running", "Healthy"))) as server:
        seen = client(server.url).clusters.wait_until_running("c")

    assert str(seen) == "Running/Healthy"
    assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("state", "kind", "told"),
    [
        ("Deleting", WaitAbortedError, "the cluster is Deleting"),
        ("Provisioning", WaitTimeoutError, "Provisioning/no health"),
    ],
)
def test_a_cluster_that_does_not_run_tells_its_states(
    state: str, kind: type[Exception], told: str, client: Callable[..., Palette]
) -> None:
    """Waiting for a cluster on its way out ends at once, and for one that never runs when the time is up."""
    with serving(overview(state)) as server, pytest.raises(kind, match=told):
        client(server.url).clusters.wait_until_running("c", within=30)


def test_a_cluster_is_gone_when_it_is_not_found_or_listed_as_deleted(client: Callable[..., Palette]) -> None:
    """Both ways in which Palette shows a deleted cluster end the wait."""
    deleting, deleted = (answer({"status": {"state": state}}) for state in ("Deleting", "Deleted"))
    with serving(in_turn(deleting, refuse(404))) as first, serving(in_turn(deleting, deleted)) as second:
        client(first.url).clusters.wait_until_gone("c")
        client(second.url).clusters.wait_until_gone("c")

    assert len(first.requests) == len(second.requests) == 2


def test_a_repave_is_waited_for_until_it_is_planned(client: Callable[..., Palette]) -> None:
    """A repave that is not there yet is not an error."""
    pending = answer({"status": {"state": "Pending"}, "spec": {"reasons": [{"code": "c", "message": "m"}]}})
    with serving(in_turn(refuse(404), answer({}), pending)) as server:
        repave = client(server.url).clusters.wait_for_repave("c")

    assert (repave.state, repave.reasons[0].message) == ("Pending", "m")


def test_a_host_is_free_when_it_is_ready_healthy_and_in_no_cluster(client: Callable[..., Palette]) -> None:
    """A host that still names a cluster is not free, whatever its state says."""
    healthy = {"state": "ready", "health": {"state": "healthy"}}
    busy = answer({"status": {**healthy, "inUseClustersRef": [{"uid": "c"}]}})
    with serving(in_turn(answer({"status": {"state": "in-use"}}), busy, answer({"status": healthy}))) as server:
        assert client(server.url).edge_hosts.wait_until_free("h").is_free

    assert len(server.requests) == 3


def test_waiting_for_what_is_not_there_is_not_found(client: Callable[..., Palette]) -> None:
    """A host that Palette does not know is not waited for."""
    with serving(refuse(404)) as server, pytest.raises(NotFoundError):
        client(server.url).edge_hosts.wait_until_free("h")
