"""What a case costs: how many clusters it deploys, how often it repaves them, how long that takes.

Counts are those of earlier runs, of whatever site, for a case does the same everywhere. A case that never ran is taken
to do what its phase says. Time is what the case took on the same site before; else the counts times what a deployment
and a repave take on real hosts, or on the lab.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from reports import results, runs

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
_LONGEST = 10**7  # seconds, and clusters, that no case takes
#: Clusters and repaves of a case that never ran, by the phase of its requirement.
_BY_PHASE = {"": (0, 0), "deploy": (1, 0)}


@dataclass(frozen=True)
class Cost:
    """Clusters, repaves and seconds of one case; ``measured`` where the seconds are from this very site."""

    clusters: int
    repaves: int
    seconds: float
    measured: bool = False


@dataclass
class Costs:
    """What earlier runs tell about costs on the site of this name. ``examples`` is how often a property runs."""

    site: str
    examples: int
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

    def of(self, item: pytest.Item) -> Cost:
        """Return the cost of a case."""
        clusters, repaves = self._counts(item)
        if seen := self._times.get(item.nodeid):
            seconds = median(case.seconds * self._times_more(item, case) for case in seen)
            return Cost(clusters, repaves, seconds, measured=True)
        deploy, repave = self.each
        return Cost(clusters, repaves, max(LEAST, clusters * deploy + repaves * repave))

    def _counts(self, item: pytest.Item) -> tuple[int, int]:
        if case := self._last.get(item.nodeid):
            more = self._times_more(item, case)
            return round(case.clusters * more), round(case.repaves * more)
        marker = item.get_closest_marker("requirement")
        clusters, repaves = _BY_PHASE.get(str(marker.kwargs.get("phase", "")) if marker else "", (1, 1))
        times = self.examples if _is_property(item) else 1
        return clusters * times, repaves * times

    def _times_more(self, item: pytest.Item, case: CaseFinished) -> float:
        """Return how often the case does now what it did then."""
        return self.examples / max(1, case.examples) if _is_property(item) else 1.0


def known_costs(site: str, examples: int, home: Path, *, real: bool) -> Costs:
    """Return what the runs of this machine know about costs."""
    costs = Costs(site, examples, REAL if real else LAB)
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


def _is_property(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "function", None), "hypothesis")


def total(each: Sequence[Cost]) -> Cost:
    """Add costs up, the time before the first case included."""
    seconds = SETTING_UP + sum(cost.seconds for cost in each)
    measured = bool(each) and all(cost.measured for cost in each)
    return Cost(sum(c.clusters for c in each), sum(c.repaves for c in each), seconds, measured)
