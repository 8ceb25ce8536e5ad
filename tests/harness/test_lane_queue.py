"""What lanes take from the queue, and what the first one does when another breaks off."""

from __future__ import annotations

import os
import signal
import subprocess
from multiprocessing.connection import Pipe
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness import lanes
from harness.lanes import MOST_TROUBLES, Following, Lane, Queue, in_order
from harness.plugin import RUN
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable


def session_with(protocol: Callable[..., None]) -> Any:  # noqa: ANN401 - of a pytest session what a lane asks of it
    """Return a session whose cases ``protocol`` runs."""
    stash, run = pytest.Stash(), cast("Any", SimpleNamespace(cases=[]))
    stash[RUN] = run
    config = SimpleNamespace(stash=stash, hook=SimpleNamespace(pytest_runtest_protocol=protocol))
    return SimpleNamespace(config=config, shouldfail=False, shouldstop=False)


def queue(session: Any, *cases: object) -> Any:  # noqa: ANN401 - as above
    """Return the queue of a session's cases; each case knows ``what`` it is."""
    return Queue([cast("Any", SimpleNamespace(what=each, config=session.config)) for each in cases])


def ran(verdicts: list[Verdict], *, stops_at: int = -1) -> int:
    """Run cases that end so in one lane; gives how many ran."""

    def protocol(*, item: SimpleNamespace, **_next: object) -> None:
        cases = session.config.stash[RUN].cases
        cases.append(SimpleNamespace(verdict=item.what))
        session.shouldfail = len(cases) == stops_at

    session = session_with(protocol)
    queue(session, *verdicts).run(session)
    return len(session.config.stash[RUN].cases)


def test_a_lane_in_trouble_leaves_the_rest_to_others() -> None:
    """After some cases in a row that told nothing of the product a lane takes no more."""
    assert ran([Verdict.ERROR, Verdict.DEAD] * 10) == MOST_TROUBLES + 1
    assert ran([Verdict.ERROR, Verdict.DEAD, Verdict.FAIL] * 10) == 30


def test_where_pytest_stops_a_lane_takes_no_more() -> None:
    """The case that is run when the session is to stop is the last."""
    assert ran([Verdict.FAIL] * 10, stops_at=4) == 4


def test_every_case_is_taken_once_from_both_ends() -> None:
    """The first lane takes from the end and the others from the front; they meet, and nothing is taken twice."""
    items: Any = [*"longest", "shortest"]
    work: Any = Queue(items)
    taken = [work.take_last(), *(work.take() for _ in range(4)), work.take_last(), *(work.take() for _ in items)]

    assert taken[:6] == ["shortest", "l", "o", "n", "g", "t"]
    assert [each for each in taken[6:] if each is not None] == ["e", "s"]
    assert work.take_last() is None


def test_a_lane_holds_no_case_back_while_it_runs_one() -> None:
    """What another lane takes meanwhile is not run twice, and what is left then is run."""
    ran: list[str] = []

    def protocol(*, item: SimpleNamespace, nextitem: object) -> None:
        ran.append(item.what)
        session.config.stash[RUN].cases.append(SimpleNamespace(verdict=Verdict.PASS))
        if len(ran) == 1:
            assert work.take().what == "second"  # by another lane
        assert bool(nextitem) == (item.what == "first")

    session = session_with(protocol)
    work = queue(session, "first", "second", "third")
    work.run(session)

    assert ran == ["first", "third"]


def test_the_first_case_tells_what_is_under_test() -> None:
    """The first lane begins with the shortest case that needs provider images; the others take the longest first."""
    with_images, without = ("provider_images", "site"), ("site",)
    names = {"long": (9, with_images), "short": (2, with_images), "shorter": (1, without), "middle": (5, without)}
    items: Any = [SimpleNamespace(nodeid=name, fixturenames=found) for name, (_, found) in names.items()]
    costs: Any = {name: SimpleNamespace(seconds=seconds) for name, (seconds, _) in names.items()}

    assert [item.nodeid for item in in_order(items, costs)] == ["long", "middle", "shorter", "short"]
    assert [item.nodeid for item in in_order(items[2:], costs)] == ["middle", "shorter"]


def test_the_case_that_follows_is_taken_when_pytest_asks() -> None:
    """While a lane runs a long case it holds none back from the others; then it keeps to the one that it took."""
    one, other = (SimpleNamespace(listchain=lambda: ["session", "module"]) for _ in range(2))
    cases: Any = iter([one, other])
    following: Any = Following(lambda: next(cases))

    assert next(cases) is one  # somebody else took it
    assert following
    assert following.case is other
    assert following.listchain() == ["session", "module"]
    assert not Following(lambda: None)
    assert Following(lambda: None).listchain() == []


def test_a_word_that_is_half_said_ends_the_listening() -> None:
    """What cannot be understood is a trouble of the lane, and the end of what is heard of it."""
    ours, theirs = Pipe()
    theirs.send_bytes(b"no pickle")
    theirs.close()
    lane = Lane(2, 0, ours)
    lane._receive()
    kind, said = lane._inbox.get() or ("", "")

    assert (kind, said) == ("trouble", "lane 2 broke off: UnpicklingError")
    assert lane._inbox.get() is None
    ours.close()


def test_a_lane_that_does_not_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane that was told to end and does not, is killed after a while, and the run says so."""
    monkeypatch.setattr(lanes, "PATIENCE", 0.05)
    monkeypatch.setattr(lanes, "CLEARING", 0.1)
    monkeypatch.setattr(lanes, "speaker", lambda _config: lambda _text: None)
    ours, theirs = Pipe()
    program = "trap '' TERM; echo ready; while :; do sleep 1; done"
    with subprocess.Popen(
        ["sh", "-c", program], stdout=subprocess.PIPE, pass_fds=(theirs.fileno(),), start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        theirs.close()
        lane = Lane(2, process.pid, ours)
        lane.end()
        monkeypatch.setattr(os, "kill", os.killpg)  # its sleep has the wire, too
        lane.wait(cast("Any", SimpleNamespace(config=None)))
        process.returncode = -signal.SIGKILL  # it was waited for

    assert lane.trouble == "lane 2 ended with -9 in no case"
    ours.close()
