"""Clusters that several cases use one after the other, so that a night has fewer deployments.

A case names one by asking for its fixture. Cases of one cluster are run in a row by one worker. A cluster goes after
the last of them, and after each case that failed on it: the next case then has another one, as if it ran alone.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.brief import Brief

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import pytest

    from harness.clusters import Cluster
    from harness.sites.site import Site
    from registry.server import Account

#: The fixtures of shared clusters, with the deployments and repaves that each takes before a case uses it.
KINDS = {
    "deployed": (1, 0),  # runs, and is only looked at
    "repaved": (1, 1),  # was repaved once, and is only looked at
    "refused": (1, 0),  # the registry refuses its login
    "walked": (1, 0),  # runs, and is repaved from case to case; each leaves it running with a login that works
    "trying": (1, 0),  # reads its login and an image that is not there from macros, at every try
    "repaved_pair": (1, 1),  # has two hosts, was repaved once, and is only looked at
    "trusting": (1, 0),  # runs, and trusts a second authority as well
    "pending": (1, 0),  # waits for an image that the registry does not have
    "pending_by_name": (1, 0),  # the same, with the registry named by a name where it has one
}


def group_of(item: pytest.Item) -> str:
    """Return the shared cluster that a case uses; empty when it has its own."""
    return next((name for name in getattr(item, "fixturenames", ()) if name in KINDS), "")


def in_groups(items: Iterable[pytest.Item]) -> list[list[pytest.Item]]:
    """Return cases in their order, those of one shared cluster together; what ends the cluster stands last."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item) or item.nodeid, []).append(item)
    return [sorted(each, key=_ends) for each in groups.values()]


def _ends(item: pytest.Item) -> int:
    marker = item.get_closest_marker("requirement")
    return int(marker.kwargs.get("ends", 0)) if marker else 0


@dataclass(repr=False)
class Shared(Brief):
    """A shared cluster, the account in its profile, and what was ``known`` before it was made.

    What is entered into ``exits`` stays as long as the cluster. Where it ``moves`` from case to case, each sees only
    the pulls since its own beginning. A case after which no other can use the cluster sets ``spent``.
    """

    cluster: Cluster
    account: Account
    exits: ExitStack
    known: dict[str, Any] = field(default_factory=dict)
    moves: bool = False
    spent: bool = False


@dataclass
class SharedClusters:
    """The shared clusters that exist; ``make`` has a function for each kind."""

    site: Site
    make: dict[str, Callable[[ExitStack], Shared]]
    _alive: dict[str, Shared] = field(default_factory=dict)

    @contextmanager
    def use(self, kind: str, *, last: bool) -> Iterator[Shared]:
        """Yield the cluster of a kind to a case; after the ``last`` one, and after a failure, it is deleted."""
        began = datetime.now(UTC)
        if kind not in self._alive:
            self._alive[kind] = self._begin(kind)
        shared = self._alive[kind]
        if shared.moves:
            shared.cluster.since = began
        try:
            yield shared
        except BaseException as error:
            self._end(kind, error)
            raise
        if not (last or shared.spent):
            self.site.look_back(shared.cluster)
        if last or shared.spent or self.site.evidence.gone:  # what this case lost is not charged to the next one
            self._end(kind, None)

    def close(self, kind: str) -> None:
        """Delete the cluster of a kind, if there is one."""
        if kind in self._alive:
            self._end(kind, None)

    def close_all(self) -> None:
        """Delete every shared cluster."""
        for kind in list(self._alive):
            self._end(kind, None)

    def _begin(self, kind: str) -> Shared:
        exits = ExitStack()
        with ExitStack() as until_made:
            until_made.push(exits)
            shared = self.make[kind](exits)
            until_made.pop_all()
            return shared

    def _end(self, kind: str, error: BaseException | None) -> None:
        shared = self._alive.pop(kind)
        with shared.exits:
            shared.cluster.leave(error)


def is_last(item: pytest.Item) -> bool:
    """Return whether the case after this one does not use its shared cluster."""
    items, follows = item.session.items, None
    with suppress(ValueError, IndexError):
        follows = items[items.index(item) + 1]
    return follows is None or group_of(follows) != group_of(item)
