"""How cases are handed out to workers, and what becomes of a case whose worker is lost."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import execnet
import pytest
from _pytest.outcomes import Exit

from harness import workers
from harness.scheduler import Queue
from harness.worker import Wire
from harness.workers import Workers
from protected import Secret
from reports.leak_forms import Protected
from reports.records import CaseFinished
from reports.verdicts import ExitCode, Verdict


class WorkerNode:
    """A worker as the queue sees it: what it was sent."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.sent: list[int] = []
        self.over = False

    def send_runtest_some(self, numbers: list[int]) -> None:
        """Take a case."""
        self.sent += numbers

    def shutdown(self) -> None:
        """Take the word that nothing more comes."""
        self.over = True

    @property
    def shutting_down(self) -> bool:
        """Whether it has been told so."""
        return self.over


def started(count: int, cases: str) -> tuple[Any, list[Any]]:
    """Return a queue whose workers are all ready, and the workers."""
    queue: Any = Queue(list(cases))
    nodes = [WorkerNode(f"gw{number}") for number in range(count)]
    for node in nodes:
        queue.add_node(node)
        queue.add_node_collection(node, list(cases))
        queue.schedule()
    return queue, nodes


def test_each_worker_has_one_case_at_a_time() -> None:
    """The next case goes to whoever is done first; nobody holds one back, and nothing is handed out twice."""
    queue, (one, other) = started(2, "abcd")
    assert (one.sent, other.sent) == ([0], [1])

    queue.mark_test_complete(other, 1)
    queue.mark_test_complete(other, 2)

    assert (one.sent, other.sent) == ([0], [1, 2, 3])
    assert not queue.has_pending
    assert not queue.tests_finished


def test_a_worker_for_which_no_case_is_left_ends_at_once() -> None:
    """Its lab goes while others still run; the run is over when the last of them is."""
    queue, (one, other) = started(2, "ab")
    queue.mark_test_complete(other, 1)

    assert (one.over, other.over) == (False, True)
    assert not queue.tests_finished
    queue.mark_test_complete(one, 0)
    assert queue.tests_finished


def test_a_worker_that_was_told_to_end_is_given_no_case() -> None:
    """Where ``-x`` ends a run, a worker whose case is over a moment later has not lost another one."""
    queue, (one, _other) = started(2, "abc")
    one.shutdown()
    queue.mark_test_complete(one, 0)

    assert one.sent == [0]
    assert queue.remove_node(one) is None
    assert queue.has_pending


def test_the_case_of_a_lost_worker_is_named_and_not_run_again() -> None:
    """Another worker takes the place of the lost one and goes on with the next case."""
    queue, (one, other) = started(2, "abcd")
    queue.mark_test_complete(other, 1)
    assert queue.remove_node(one) == "a"
    assert queue.remove_node(other) == "c"
    assert not queue.tests_finished, "another worker is on its way"

    clone: Any = WorkerNode("gw2")
    queue.add_node(clone)
    queue.add_node_collection(clone, list("abcd"))
    queue.schedule()

    assert (one.sent, other.sent, clone.sent) == ([0], [1, 2], [3])
    with pytest.raises(KeyError):
        queue.remove_node(one)


def test_a_worker_in_trouble_leaves_the_rest_to_others() -> None:
    """A worker that leaves has no more cases, and when all have left the run is over with cases left."""
    queue, (one, other) = started(2, "abcd")
    queue.leaving.add("gw0")
    queue.mark_test_complete(one, 0)
    assert one.over
    assert one.sent == [0]
    assert not queue.tests_finished

    queue.leaving.add("gw1")
    queue.mark_test_complete(other, 1)
    assert queue.tests_finished
    assert queue.has_pending


def test_a_worker_that_was_told_to_end_has_lost_no_case() -> None:
    """Its case is unfinished, not an error."""
    queue, (one, _other) = started(2, "ab")
    queue.leaving.add("gw0")

    assert queue.remove_node(one) is None


def test_a_worker_that_collected_other_cases_ends_the_run() -> None:
    """A worker that would run other cases than those of the run is refused."""
    queue: Any = Queue(["a", "b"])
    with pytest.raises(RuntimeError, match="gw0 collected other cases"):
        queue.add_node_collection(WorkerNode("gw0"), ["b", "a"])


def test_what_has_no_utf_8_reaches_the_controller() -> None:
    """A lone surrogate in a message, a fact or a left-behind line ends no worker."""
    sent: list[Any] = []
    channel = SimpleNamespace(send=lambda message: sent.append(execnet.loads(execnet.dumps(message))))
    Wire(channel).say("cluster \ud800")

    assert json.loads(sent[0]) == ["says", "cluster \ud800"]


def test_a_secret_is_sent_once_and_before_the_record_that_needs_it() -> None:
    """The controller masks and searches by what it knows when it writes a record."""
    sent: list[Any] = []
    protected, case = [Protected("key", Secret("very-secret"))], CaseFinished(case="x", verdict=Verdict.PASS)
    run: Any = SimpleNamespace(protected=protected, facts={"palette.version": "4.9.0"}, features=frozenset())
    wire = Wire(SimpleNamespace(send=lambda message: sent.append(json.loads(message))), run)
    wire.write(case)
    wire.write(case)

    assert [kind for kind, _ in sent] == ["secret", "facts", "record", "record"]
    assert sent[0][1] == ["key", "very-secret"]


def test_cases_of_one_shared_cluster_are_handed_out_together() -> None:
    """What a lost worker had not begun of them is given to the next one."""
    queue: Any = Queue(list("abcd"), [3, 1])
    one, other = WorkerNode("gw0"), WorkerNode("gw1")
    for node in (one, other):
        queue.add_node(node)
        queue.add_node_collection(node, list("abcd"))
    queue.schedule()
    assert (one.sent, other.sent) == ([0, 1, 2], [3])

    queue.mark_test_complete(one, 0)
    assert queue.remove_node(one) == "b"
    queue.mark_test_complete(other, 3)
    assert other.sent == [3, 2]


def lending(hosts: str | list[str], needs: list[int], count: int) -> tuple[Any, list[Any], list[tuple[str, list[str]]]]:
    """Return a queue that lends hosts, its workers, and what it told them."""
    told: list[tuple[str, list[str]]] = []
    cases = [str(number) for number in range(len(needs))]
    queue: Any = Queue(
        cases, needs=needs, hosts=list(hosts), tell=lambda name, lent: told.append((name, list(lent))),
        clear=lambda _name, lent: lent[1:],
    )  # fmt: skip
    nodes = [WorkerNode(f"gw{number}") for number in range(count)]
    for node in nodes:
        queue.add_node(node)
        queue.add_node_collection(node, cases)
    queue.schedule()
    return queue, nodes, told


def test_no_two_workers_hold_one_host_and_a_case_for_several_is_not_overtaken() -> None:
    """A case has all of its hosts at once or none; while it waits, hosts that become free are kept for it."""
    queue, (one, other), told = lending("xyz", [1, 3, 1], 2)
    assert told == [("gw0", ["x"])]
    assert (one.sent, other.sent) == ([0], []), "a case for three hosts was given two, or was overtaken"

    queue.mark_test_complete(one, 0)
    assert told[1:] == [("gw0", ["y", "z", "x"])]
    queue.mark_test_complete(one, 1)
    assert (one.sent, other.sent) == ([0, 1, 2], [])
    assert other.over


def test_a_case_for_more_hosts_than_there_are_is_given_all() -> None:
    """The case itself says that it is not covered."""
    _queue, _nodes, told = lending("x", [3], 1)

    assert told == [("gw0", ["x"])]


def test_hosts_of_a_lost_worker_are_lent_again_when_they_are_cleared() -> None:
    """A host that does not become free is lent no more; the others go on."""
    queue, (one, other), told = lending("xyz", [2, 1, 1, 2], 2)
    assert told == [("gw0", ["x", "y"]), ("gw1", ["z"])]
    assert queue.remove_node(one) == "0"
    queue.mark_test_complete(other, 1)
    queue.mark_test_complete(other, 2)

    assert told[2:] == [("gw1", ["y"]), ("gw1", ["z", "y"])]


def test_a_host_that_was_gone_is_set_aside_unless_it_is_the_last() -> None:
    """A worker that holds it does not give it back."""
    queue, (one, *_), told = lending("xy", [1, 1, 1], 1)
    assert queue.set_aside("x")
    assert not queue.set_aside("y")
    queue.mark_test_complete(one, 0)
    queue.mark_test_complete(one, 1)

    assert told == [("gw0", ["x"]), ("gw0", ["y"]), ("gw0", ["y"])]


def test_a_host_that_was_gone_in_two_cases_in_a_row_is_lent_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A case in between that had its host counts it as there; another worker's host is not blamed."""
    said: list[str] = []
    monkeypatch.setattr(workers, "speaker", lambda _config: said.append)
    queue, _nodes, _told = lending(["edge-1", "edge-2"], [1, 1, 1], 2)
    controller: Any = SimpleNamespace(queue=queue, _losses={}, config=None)
    gone = CaseFinished(case="x", verdict=Verdict.DEAD, reason="Edge host edge-2 does not answer")
    for record in (gone, CaseFinished(case="x", verdict=Verdict.PASS), gone):
        Workers._look_at_hosts(controller, "gw1", record)
        Workers._look_at_hosts(controller, "gw0", gone)
    assert said == []

    Workers._look_at_hosts(controller, "gw1", gone)
    assert said == ["Edge host edge-2 was gone 2 times; the others go on without it"]
    assert queue.lent == {"gw0": ["edge-1"], "gw1": []}


@pytest.mark.parametrize(
    ("text", "is_named"),
    [
        ("Edge host edge-1 does not answer", True),
        ("edge-1: Connection refused", True),
        ("lost: edge-2, edge-1.", True),
        ("Edge host edge-10 does not answer", False),
        ("Edge host edge-1-b does not answer", False),
        ("Edge host edge-1.example does not answer", False),
        ("Edge host my-edge-1 does not answer", False),
    ],
)
def test_a_host_is_not_blamed_for_one_whose_name_is_longer(text: str, is_named: bool) -> None:  # noqa: FBT001 - a row
    """Of ten hosts the first is not set aside because the tenth is gone."""
    assert workers._names(text, "edge-1") == is_named


def test_a_worker_that_is_killed_while_it_starts_ends_the_run_in_one_line() -> None:
    """What pytest-xdist does not foresee is no traceback: the run ends with the others cleared up."""
    ended: list[str] = []

    def start(_session: object) -> None:
        raise EOFError("expected 1 bytes, got 0")

    xdist = SimpleNamespace(pytest_sessionstart=start, pytest_sessionfinish=lambda: ended.append("xdist"))
    controller: Any = SimpleNamespace(
        config=SimpleNamespace(), session=None, _xdist=xdist, _end=lambda: ended.append("workers")
    )
    with pytest.raises(Exit, match="a worker was lost while it started: expected 1 bytes") as told:
        Workers.go(controller)

    assert told.value.returncode == ExitCode.ERROR
    assert ended == ["workers", "xdist"]
