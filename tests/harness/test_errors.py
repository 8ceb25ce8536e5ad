"""An error event is a hint: what remains decides, and the cause is told by events and by what the registry answered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.clusters import Cluster, Phase
from harness.errors import ErrorCause, causes_of, is_of_the_machine
from harness.evidence import Evidence
from palette.events import Event
from palette.os_layer import OsLayer
from palette.waiting import Timeouts, Wait, WaitTimeoutError
from reports.records import PullRecord
from tests.palette.conftest import SteppedClock

IMAGE, OLD = "registry.test/edge:v2", "registry.test/edge:v1"
BEGAN = datetime(2026, 11, 28, 12, tzinfo=UTC)
REFUSED = f'Failed to pull image "{IMAGE}": 401 unauthorized'
HEALED = f'Failed to pull image "{IMAGE}": timeout while pulling, will retry'


def event(message: str, *, after: float = 1.0, severity: str = "Error") -> Event:
    """Return an event of a cluster that came some seconds after the phase began."""
    return Event("", BEGAN + timedelta(seconds=after), severity, "FailedPullImage", message, "", "", "", "")


def pull(status: int, reference: str = "v2") -> PullRecord:
    """Return a request as a witness recorded it."""
    return PullRecord(time="2026-11-28T12:00:01.000Z", phase="deploy", puller="agent", host="edge-1", repository="edge",
                reference=reference, presented="intact", status=status)  # fmt: skip


@dataclass
class BrokenPalette:
    """A Palette that says what it is told to at each look: whether the cluster runs, and all its events."""

    script: Iterator[tuple[bool, list[Event]]]
    now: tuple[bool, list[Event]] = (False, [])

    def overview(self, _uid: str) -> Any:  # noqa: ANN401 - what a cluster asks of it
        """Step on, and say whether the cluster runs."""
        self.now = next(self.script, self.now)
        return SimpleNamespace(is_ready=self.now[0])

    def events(self, _uid: str, *, since: datetime | None = None) -> list[Event]:
        """Return the events, newest first, as :meth:`palette.events.Events.of_cluster` does."""
        return [each for each in self.now[1][::-1] if since is None or each.at is None or each.at >= since]


@dataclass
class Scene:
    """A cluster in its deployment, and the evidence that it leaves."""

    cluster: Cluster
    evidence: Evidence
    clock: SteppedClock
    pulls: list[PullRecord] = field(default_factory=list)


AGAIN = [event(REFUSED), event(REFUSED, after=60)]


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Scene]:
    """Return a way to stage a cluster whose looks go as told; two minutes decide."""

    def make(*looks: tuple[bool, list[Event]]) -> Scene:
        clock = SteppedClock()
        wait = Wait(Timeouts(stale_state=120.0, cluster_running=3600.0), clock.clock)
        palette = BrokenPalette(iter(looks))
        clusters = SimpleNamespace(wait=wait, overview=palette.overview)
        events = SimpleNamespace(of_cluster=palette.events)
        evidence = Evidence(tmp_path)
        site: Any = SimpleNamespace(project=SimpleNamespace(clusters=clusters, events=events), evidence=evidence)
        cluster = Cluster(site, "uid", "c", "p", OsLayer(IMAGE, None), (), ["p"], [Phase("deploy", BEGAN, "")])
        staged = Scene(cluster, evidence, clock)
        evidence.witness = cast("Any", SimpleNamespace(pulls=lambda _cluster, **_which: staged.pulls))
        return staged

    return make


def test_an_error_that_heals_is_no_failure(stage: Callable[..., Scene]) -> None:
    """After an error event the cluster becomes Running: it runs, and the report has the error as a note."""
    staged = stage((False, []), (False, [event(HEALED)]), (False, [event(HEALED)]), (True, [event(HEALED)]))

    assert staged.cluster.runs_or_fails()
    assert staged.evidence.notes == [f"an error event, then all was well: {HEALED}"]
    assert staged.evidence.refusals == 0


@pytest.mark.parametrize(("told", "minutes"), [(AGAIN, 2), (AGAIN[:1], 6)], ids=["again", "once"])
def test_an_error_that_stays_is_a_failure(stage: Callable[..., Scene], told: list[Event], minutes: int) -> None:
    """Two minutes after the first of several errors the cluster still does not run; after a single one, in six."""
    staged = stage((False, told))
    staged.pulls = [pull(401)]

    assert staged.cluster.fails(ErrorCause.LOGIN).message == REFUSED
    assert (staged.evidence.refusals, staged.cluster.refused) == (1, True)
    assert 0 <= staged.clock.time - 1000 - minutes * 60 < 10


def test_a_fallback_after_the_first_error_is_seen(stage: Callable[..., Scene]) -> None:
    """A cluster that runs after all, a few tries later, has not failed as it should."""
    staged = stage(*[(False, [event(REFUSED)])] * 5, (True, [event(REFUSED)]))

    with pytest.raises(AssertionError, match="although its login cannot work"):
        staged.cluster.fails(ErrorCause.LOGIN)


def test_what_is_served_after_an_error_is_waited_for(stage: Callable[..., Scene]) -> None:
    """A later try that gets its image may take longer to come right than an error takes to stay."""
    staged = stage(*[(False, AGAIN)] * 60, (True, AGAIN))
    steps = iter(range(1000))
    staged.evidence.witness = cast(
        "Any", SimpleNamespace(pulls=lambda _cluster, **_which: [pull(401 if next(steps) < 3 else 200)])
    )

    assert staged.cluster.runs_or_fails()
    assert staged.clock.time - 1000 > 180


def test_what_is_served_again_and_again_is_waited_for_no_longer_than_half_the_time(stage: Callable[..., Scene]) -> None:
    """A host that is given the image and refuses it each time fails in the end, though it tells so once only."""
    staged = stage((False, AGAIN[:1]))
    steps = iter(range(100_000))
    staged.evidence.witness = cast("Any", SimpleNamespace(pulls=lambda _cluster, **_which: [pull(200)] * next(steps)))

    assert not staged.cluster.runs_or_fails()
    assert 0 <= staged.clock.time - 1000 - 1800 < 10


@pytest.mark.parametrize("looks", [5, 200])
def test_a_runtime_that_comes_up_late_is_waited_for(stage: Callable[..., Scene], looks: int) -> None:
    """On a busy machine a node may have nothing to pull with for a while; that is no error that stays."""
    late = [event("rpc error: unknown service runtime.v1.ImageService"), event("containerd.sock: connect: refused")]
    staged = stage(*[(False, late)] * looks, (True, late))

    assert staged.cluster.runs_or_fails()
    assert staged.evidence.refusals == 0


def test_an_image_that_is_given_after_the_first_error_is_seen(stage: Callable[..., Scene]) -> None:
    """An image that was pulled all the same is no refusal, though the cluster is not Running yet."""
    staged = stage((False, [event(REFUSED)]))
    staged.pulls = [pull(401), pull(200)]

    with pytest.raises(AssertionError, match=r"host edge-1 was given edge:v2, although its login cannot work"):
        staged.cluster.fails(ErrorCause.LOGIN)


@pytest.mark.parametrize(
    ("message", "statuses", "said"),
    [
        ("502 Bad Gateway", [502], "the registry answered 502"),
        (f"{IMAGE}: manifest unknown", [404], "the event gives another reason than a refused login"),
        (REFUSED, [502], "the events tell of a refused login, and the registry answered 502"),
        ("x509: certificate signed by unknown authority", [], "the event gives another reason than a refused login"),
    ],
)
def test_some_error_is_not_the_expected_one(
    stage: Callable[..., Scene], message: str, statuses: list[int], said: str
) -> None:
    """A refused login is told by an event and by a 401, not by whatever goes wrong."""
    staged = stage((False, [event(message)]))
    staged.pulls = [pull(status) for status in statuses]

    with pytest.raises(AssertionError, match=said):
        staged.cluster.fails(ErrorCause.LOGIN)


@pytest.mark.parametrize(
    "message",
    [f'Failed to pull image "10.0.0.1:{port}/{image}": unsupported media type'
     for port, image in (("40312", "a:v1"), ("5000", "authenticator:v401"), ("401", "denied/a@sha256:403"))],
)  # fmt: skip
def test_the_address_of_an_image_is_no_reason(message: str) -> None:
    """A port, a name or a tag that looks like a refused login gives no cause; the words around it do."""
    assert causes_of(message) == []
    assert causes_of(f"{message}: https://10.0.0.1:40312/v2/ answers 401 Unauthorized") == [ErrorCause.LOGIN]


def test_an_event_about_a_longer_tag_is_not_meant(stage: Callable[..., Scene]) -> None:
    """The tag ``v1`` is not in an event about ``v10``; a stop behind it ends it."""
    staged = stage((False, [event(f"{IMAGE}0: 401"), event(f"{IMAGE}-rc: 401"), event(f"no {IMAGE}.")]))
    staged.cluster._earlier += [("p", OsLayer(f"{IMAGE}0", None)), ("p", OsLayer(f"{IMAGE}-rc", None))]
    staged.cluster.site.project.clusters.overview("uid")

    assert [found.message for found in staged.cluster.errors_about(IMAGE)] == [f"no {IMAGE}."]


def test_a_cluster_that_runs_after_all_has_refused_nothing(stage: Callable[..., Scene]) -> None:
    """Waiting for a pull that fails counts no expected failure where there was none."""
    staged = stage((True, []))

    assert staged.cluster.errors_after(lambda: None) == []
    assert (staged.cluster.refused, staged.evidence.refusals) == (False, 0)


@pytest.mark.parametrize("error", [ValueError("x"), AssertionError("x"), pytest.fail.Exception("did not raise")])
def test_a_failed_case_leaves_its_cluster_as_failed(stage: Callable[..., Scene], error: BaseException) -> None:
    """However a case fails, the diagnostics of its hosts are taken."""
    cluster, left = stage((False, [])).cluster, []
    cluster.delete = lambda *, failed=False: left.append(failed)  # type: ignore[method-assign] # it is what is asked
    cluster.leave(error)
    cluster.leave(None)
    cluster.leave(KeyboardInterrupt())

    assert left == [True, False, False]


def test_an_event_that_was_cut_is_judged_by_what_the_registry_answered(stage: Callable[..., Scene]) -> None:
    """Palette before 4.10 keeps a message's first line, in which neither image nor reason stands."""
    staged = stage((False, [event("Failed to pull image:")]))
    staged.pulls = [pull(401)]

    assert staged.cluster.fails(ErrorCause.LOGIN, about=IMAGE).message == "Failed to pull image:"


def test_an_event_about_the_image_before_is_not_meant(stage: Callable[..., Scene]) -> None:
    """Of two failures the one about the image in question counts."""
    staged = stage((False, [event(f"{OLD}: 401 unauthorized")]))
    staged.cluster._earlier.append(("p", OsLayer(OLD, None)))

    with pytest.raises(WaitTimeoutError):
        staged.cluster.wait_for_error(about=IMAGE)


@pytest.mark.parametrize("severity", ["Error", "error", "ERROR"])
def test_an_error_is_one_however_it_is_spelled(stage: Callable[..., Scene], severity: str) -> None:
    """Severities are free texts."""
    told = Event("", BEGAN, severity, "ImagePull", REFUSED, "", "", "", "")
    staged = stage((False, [told]))

    assert not staged.cluster.runs_or_fails()


def test_events_are_put_in_order_and_older_ones_left_out(stage: Callable[..., Scene]) -> None:
    """Events come in any order; those from before the repave began are not its own."""
    staged = stage((False, [event("third", after=3), event("older", after=-5), event("second", after=2)]))
    staged.cluster._phase_began = BEGAN
    staged.cluster.runs_or_fails()

    assert [known.message for known in staged.cluster.errors()] == ["second", "third"]


@pytest.mark.parametrize(
    ("message", "of_the_machine"),
    [
        ("mkdir /var/lib/x: read-only file system", True),
        ("write /run/x: input/output error", True),
        ("fork/exec /usr/bin/unpigz: cannot allocate memory", True),
        ("dial tcp: lookup r.test on 10.0.0.2:53: server misbehaving", True),
        ("dial tcp: lookup r.test: Temporary failure in name resolution", True),
        ("lookup r.test on 10.0.0.2:53: read udp 10.0.0.9:1->10.0.0.2:53: i/o timeout", True),
        ("429 Too Many Requests - toomanyrequests: pull rate limit", True),
        ("dial tcp 10.0.0.5:5443: i/o timeout", False),
        ("dial tcp: lookup r.test on 10.0.0.2:53: no such host", False),
        (REFUSED, False),
    ],
)
def test_what_a_machine_is_short_of_is_no_answer_to_a_pull(message: str, of_the_machine: bool) -> None:  # noqa: FBT001 - a column
    """A disk, memory, name server or quota that fails says nothing of Palette; a refused or silent registry may."""
    assert is_of_the_machine(message) is of_the_machine
