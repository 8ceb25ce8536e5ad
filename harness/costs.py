"""What a case costs: how many clusters it deploys, how often it repaves them, how long that takes.

Counts are those of earlier runs, of whatever site, for a case does the same everywhere. A case that never ran is taken
to do what its marker or its phase says; so is one that shares a cluster, for whoever comes first makes it. Time is what
the case took on the same site before; else the counts times what a deployment and a repave take on real hosts, or on
the lab.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from reports import history, results, runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pytest

    from reports.records import CaseFinished
    from reports.results import Results

#: Seconds, where nothing was measured: on real hosts (10 to 15 minutes each: docs/palette.md §7.1) and on the lab.
REAL, LAB = (600.0, 720.0), (1.5, 2.0)
#: Seconds of a case that deploys nothing, and of everything before the first case.
LEAST, SETTING_UP = 2.0, 30.0
_RUNS_LOOKED_AT = 40
#: Looks at a shared cluster that take as long as a deployment: each waits for an event, or for an agent's next pull.
_LOOKS = 20
_LONGEST = 10**7  # seconds, and clusters, that no case takes
#: Clusters and repaves of a case that never ran, by the phase of its requirement.
_BY_PHASE = {"": (0, 0), "profile": (0, 0), "deploy": (1, 0), "limits": (1, 0)}
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


@dataclass(frozen=True)
class Cost:
    """Clusters, repaves and seconds of one case; ``measured`` where the seconds are from this very site."""

    clusters: int
    repaves: int
    seconds: float
    measured: bool = False


@dataclass
class Costs:
    """What earlier runs tell about costs on the site of this name."""

    site: str
    each: tuple[float, float]
    _last: dict[str, CaseFinished] = field(default_factory=dict)
    _times: dict[str, list[CaseFinished]] = field(default_factory=dict)

    def learn(self, earlier: Iterable[Results]) -> None:
        """Take in earlier runs, the latest last."""
        for run in earlier:
            for case in filter(_is_possible, run.cases):
                if case.clusters or not case.hosts:  # a journal from before cases were counted has hosts and no counts
                    self._last[case.case] = case
                if run.started.site == self.site and case.verdict.value in {"pass", "known"}:
                    self._times.setdefault(case.case, []).append(case)

    def of(self, item: pytest.Item, made: tuple[int, int] = (0, 0)) -> Cost:
        """Return the cost of a case, with the clusters and repaves that are ``made`` for its shared cluster."""
        clusters, repaves = self._counts(item)
        own = [case for case in self._times.get(item.nodeid, ()) if not group_of(item) or case.clusters <= clusters]
        deploy, repave = self.each
        seconds = median(case.seconds for case in own) if own else clusters * deploy + repaves * repave
        least = max(LEAST, deploy / _LOOKS) if group_of(item) else LEAST
        seconds = max(seconds + made[0] * deploy + made[1] * repave, 0 if own else least)
        return Cost(clusters + made[0], repaves + made[1], seconds, measured=bool(own) and not any(made))

    def alone(self, item: pytest.Item) -> Cost:
        """Return the cost of a case that makes its shared cluster itself."""
        return self.of(item, KINDS.get(group_of(item), (0, 0)))

    def together(self, items: Iterable[pytest.Item]) -> dict[str, Cost]:
        """Return the cost of each case, where the first one of a shared cluster makes it."""
        found: dict[str, Cost] = {}
        for group in in_groups(items):
            found[group[0].nodeid] = self.alone(group[0])
            found.update({item.nodeid: self.of(item) for item in group[1:]})
        return found

    def _counts(self, item: pytest.Item) -> tuple[int, int]:
        group = group_of(item)
        if not group and (case := self._last.get(item.nodeid)):
            return case.clusters, case.repaves
        marker = item.get_closest_marker("requirement")
        said = marker.kwargs if marker else {}
        phase = (0, 0) if group else _BY_PHASE.get(str(said.get("phase", "")), (1, 1))
        given = (said.get("clusters"), said.get("repaves"))
        clusters, repaves = (usual if count is None else count for count, usual in zip(given, phase, strict=True))
        return clusters, repaves


def known_costs(site: str, home: Path, *, real: bool, past: Path | None = None) -> Costs:
    """Return what the runs of this machine, and those of a history file, know about costs."""
    costs = Costs(site, REAL if real else LAB)
    costs.learn(history.read(past)[-_RUNS_LOOKED_AT:] if past else ())
    costs.learn(_readable(runs.every(home)[-_RUNS_LOOKED_AT:]))
    return costs


def _readable(folders: Iterable[Path]) -> Iterable[Results]:
    for folder in folders:
        try:
            yield results.load(folder)
        except Exception:  # noqa: BLE001, S112 - another run's journal, removed or damaged in whatever way, ends no run
            continue


def _is_possible(case: CaseFinished) -> bool:
    """Return whether a record's numbers can be true; a damaged journal may say anything."""
    return 0 <= case.seconds < _LONGEST and 0 <= case.clusters < _LONGEST and 0 <= case.repaves < _LONGEST


def total(each: Sequence[Cost]) -> Cost:
    """Add costs up, the time before the first case included."""
    seconds = SETTING_UP + sum(cost.seconds for cost in each)
    measured = bool(each) and all(cost.measured for cost in each)
    return Cost(sum(c.clusters for c in each), sum(c.repaves for c in each), seconds, measured)
