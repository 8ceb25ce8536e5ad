"""Clusters that several cases use: when they come, when they go, and which cases have them together."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.shared_clusters import Shared, SharedClusters, is_last
from harness.costs import group_of, in_groups


class Made:
    """A cluster that notes how it went."""

    def __init__(self) -> None:
        self.gone: list[BaseException | None] = []
        self.since = None

    def leave(self, error: BaseException | None) -> None:
        """Note the end."""
        self.gone.append(error)


def shared(*, moves: bool = False) -> tuple[SharedClusters, list[Made], list[str]]:
    """Return shared clusters, those that were made, and what was done."""
    made: list[Made] = []
    done: list[str] = []

    def make(exits: ExitStack) -> Shared:
        made.append(Made())
        exits.callback(done.append, "account gone")
        return Shared(made[-1], SimpleNamespace(), exits, moves=moves)  # type: ignore[arg-type] # as much as is used

    evidence = SimpleNamespace(gone=[])
    site: Any = SimpleNamespace(look_back=lambda _cluster: done.append("evidence"), evidence=evidence)
    return SharedClusters(site, {"deployed": make}), made, done


def test_a_shared_cluster_is_made_once_and_goes_after_its_last_case() -> None:
    """Each case but the last takes its evidence and leaves the cluster; the account goes with the cluster."""
    clusters, made, done = shared()
    for last in (False, False, True):
        with clusters.use("deployed", last=last):
            pass

    assert len(made) == 1
    assert made[0].gone == [None]
    assert done == ["evidence", "evidence", "account gone"]


@pytest.mark.parametrize("spent", [True, False], ids=["spent", "failed"])
def test_the_case_after_a_failure_or_an_end_has_another_cluster(spent: bool) -> None:  # noqa: FBT001 - parametrised
    """A cluster on which a case failed, or that a case has changed for good, is seen by no other case."""
    clusters, made, _ = shared()
    failure = ValueError("red")
    try:
        with clusters.use("deployed", last=False) as first:
            first.spent = spent
            if not spent:
                raise failure
    except ValueError:
        pass
    with clusters.use("deployed", last=False) as second:
        assert second is not first

    assert made[0].gone == [None if spent else failure]
    assert made[1].gone == []
    clusters.close_all()
    assert made[1].gone == [None]


def test_the_case_after_one_that_lost_a_host_has_another_cluster() -> None:
    """A power cut that one case met, and passed or not, would be found on its cluster by every later case."""
    clusters, made, _ = shared()
    site: Any = clusters.site
    with clusters.use("deployed", last=False):
        site.look_back = lambda _cluster: site.evidence.gone.append("edge-1 lost its power")
    with clusters.use("deployed", last=False):
        pass

    assert made[0].gone == [None]
    assert len(made) == 2


def test_what_cannot_be_made_leaves_nothing() -> None:
    """An account that was made for a cluster goes when the cluster cannot be had, and the next case tries again."""
    gone: list[str] = []

    def fail(exits: ExitStack) -> Shared:
        exits.callback(gone.append, "account")
        raise RuntimeError("no host")

    clusters = SharedClusters(SimpleNamespace(), {"deployed": fail})  # type: ignore[arg-type] # it is not used
    for _ in range(2):
        with pytest.raises(RuntimeError, match="no host"), clusters.use("deployed", last=False):
            pass

    assert gone == ["account", "account"]


def test_a_case_on_a_cluster_that_moves_sees_its_own_pulls_only() -> None:
    """What was pulled before the case began is another case's, also where the phase has the same name."""
    clusters, made, _ = shared(moves=True)
    with clusters.use("deployed", last=False):
        first = made[0].since
    with clusters.use("deployed", last=False):
        assert first is not None
        assert made[0].since > first


def items(*cases: str) -> list[Any]:
    """Return cases, each written as its name and its fixture; the more ``!``, the later it ends a shared cluster."""
    session: Any = SimpleNamespace(items=[])
    for case in cases:
        name, _, fixture = case.partition(":")
        marker = SimpleNamespace(kwargs={"ends": fixture.count("!"), "hosts": 1})
        session.items.append(
            SimpleNamespace(
                nodeid=name, fixturenames=[fixture.rstrip("!")], session=session,
                get_closest_marker=lambda _name, marker=marker: marker,
            )
        )  # fmt: skip
    return session.items  # type: ignore[no-any-return]


def test_cases_of_one_shared_cluster_stand_together_and_what_ends_it_stands_last() -> None:
    """Others keep their order."""
    found = in_groups(items("a:deployed", "b:site", "c:deployed!!", "d:repaved", "e:deployed!", "f:deployed"))

    assert [[item.nodeid for item in group] for group in found] == [["a", "f", "e", "c"], ["b"], ["d"]]


def test_the_last_case_of_a_shared_cluster_is_known_in_any_order() -> None:
    """It is the one after which another cluster's case comes, or none."""
    found = items("a:deployed", "b:deployed", "c:site", "d:deployed")

    assert [is_last(item) for item in found] == [False, True, True, True]
    assert [group_of(item) for item in found] == ["deployed", "deployed", "", "deployed"]
