"""What a case costs: how many clusters it deploys, how often it repaves them, how long that takes.

Counts are those of earlier runs where there are any, of whatever site, for a case does the same everywhere; else what
its source shows. Time is what the case took on the same site before; else the counts times what a deployment and a
repave took there on average, or take on real hosts.
"""

from __future__ import annotations

import inspect
import re
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
_DEPLOYS = re.compile(r"\b(?:begin_)?deploy\(")
_REPAVES = re.compile(r"\b(?:begin_|try_)?repave\(|\.move_to\(")


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
    _counts: dict[str, tuple[int, int]] = field(default_factory=dict)
    _times: dict[str, list[float]] = field(default_factory=dict)

    def learn(self, earlier: Iterable[Results]) -> None:
        """Take in earlier runs, the latest last."""
        for run in earlier:
            for case in run.cases:
                if counts := _counted(case):
                    self._counts[case.case] = counts
                if run.started.site == self.site and case.verdict.value in {"pass", "known"}:
                    self._times.setdefault(case.case, []).append(case.seconds / max(1, case.examples))

    def of(self, item: pytest.Item) -> Cost:
        """Return the cost of a case."""
        times = self.examples if _is_property(item) else 1
        clusters, repaves = self._counts.get(item.nodeid) or _in_source(item)
        if seen := self._times.get(item.nodeid):
            return Cost(clusters * times, repaves * times, median(seen) * times, measured=True)
        deploy, repave = self.each
        return Cost(clusters * times, repaves * times, max(LEAST, (clusters * deploy + repaves * repave) * times))


def known_costs(site: str, examples: int, home: Path, *, real: bool) -> Costs:
    """Return what the runs of this machine know about costs."""
    costs = Costs(site, examples, REAL if real else LAB)
    costs.learn(_readable(runs.every(home)[-_RUNS_LOOKED_AT:]))
    return costs


def _readable(folders: Iterable[Path]) -> Iterable[Results]:
    for folder in folders:
        try:
            yield results.load(folder)
        except OSError:  # a run that is removed just now
            continue


def _counted(case: CaseFinished) -> tuple[int, int] | None:
    """Count the phases on a case's timeline, which is that of its last example."""
    phases = [
        moment.label.partition(":")[0] for moment in case.timeline if moment.lane == "api" and ":" in moment.label
    ]
    deploys = phases.count("deploy")
    named = [phase for phase in phases if phase and phase != "deploy" and " " not in phase]
    return (deploys, len(named)) if deploys else None


def _in_source(item: pytest.Item) -> tuple[int, int]:
    function = getattr(item, "function", None)
    inner = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    try:
        source = inspect.getsource(inner)  # type: ignore[arg-type] # None ends in TypeError
    except (OSError, TypeError):
        return 1, 1
    return len(_DEPLOYS.findall(source)), len(_REPAVES.findall(source))


def _is_property(item: pytest.Item) -> bool:
    return hasattr(getattr(item, "function", None), "hypothesis")


def total(each: Sequence[Cost]) -> Cost:
    """Add costs up, the time before the first case included."""
    seconds = SETTING_UP + sum(cost.seconds for cost in each)
    measured = bool(each) and all(cost.measured for cost in each)
    return Cost(sum(c.clusters for c in each), sum(c.repaves for c in each), seconds, measured)
