"""Plan and budget: what a run would do, and which cases settle most in a given time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from textwrap import wrap
from typing import TYPE_CHECKING

from harness.costs import SETTING_UP, Cost, group_of, in_groups, total
from harness.levels import requirements_of
from harness.progress import columns, cut, rough, short
from reports.text import plural, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pytest

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def seconds_of(text: str) -> float:
    """Read a duration such as ``45m``, ``1h30m`` or ``90s``. Raises ValueError."""
    found = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    given = hours * 3600 + minutes * 60 + seconds
    if not given:
        raise ValueError(f"{text!r} is no time; write it as 45m, 1h30m or 90s")
    return float(given)


@dataclass(frozen=True)
class Choice:
    """The cases that fit into a budget, in the order in which they settle most, and those that do not."""

    chosen: list[pytest.Item]
    left_out: list[pytest.Item]

    @property
    def unsettled(self) -> list[str]:
        """Requirements that only cases speak of which were left out."""
        settled = {name for item in self.chosen for name in requirements_of(item)}
        return list(dict.fromkeys(n for item in self.left_out for n in requirements_of(item) if n not in settled))


def within(budget: float, items: Iterable[pytest.Item], seconds: Callable[[pytest.Item], float]) -> Choice:
    """Choose cases for ``budget`` seconds, each next one the one that settles most new requirements per second.

    When every requirement that still fits is settled, what time is left goes to the cheapest of the others.
    """
    left, chosen, settled = list(items), [], set[str]()
    remaining = budget - SETTING_UP
    while fitting := [item for item in left if seconds(item) <= remaining]:
        best = max(fitting, key=lambda item: (_new(item, settled) / seconds(item), -seconds(item)))
        left.remove(best)
        chosen.append(best)
        settled.update(requirements_of(best))
        remaining -= seconds(best)
    return Choice(chosen, left)


def _new(item: pytest.Item, settled: set[str]) -> int:
    return len(set(requirements_of(item)) - settled)


@dataclass(frozen=True)
class PlannedUnit:
    """Cases that one worker runs in a row: those of one shared cluster, or one by itself."""

    cases: tuple[pytest.Item, ...]
    seconds: float
    hosts: int

    @property
    def name(self) -> str:
        """The shared cluster, or the case."""
        return group_of(self.cases[0]) or short(self.cases[0].nodeid)


def units(items: Iterable[pytest.Item], costs: Mapping[str, Cost]) -> list[PlannedUnit]:
    """Return what is handed out to workers, the longest first."""
    found = [
        PlannedUnit(tuple(group), sum(costs[item.nodeid].seconds for item in group), max(map(_hosts_of, group)))
        for group in in_groups(items)
    ]
    return sorted(found, key=lambda unit: -unit.seconds)


def _hosts_of(item: pytest.Item) -> int:
    marker = item.get_closest_marker("requirement")
    return int(marker.kwargs["hosts"]) if marker else 1


@dataclass
class Schedule:
    """Which worker begins what when; ``end`` is when the last of them is done."""

    begins: list[list[tuple[float, PlannedUnit]]]
    end: float

    @classmethod
    def of(cls, listed: Sequence[PlannedUnit], workers: int, hosts: int) -> Schedule:
        """Hand units out as a run does: each to the first free worker, which waits for all its hosts at once."""
        begins: list[list[tuple[float, PlannedUnit]]] = [[] for _ in range(workers)]
        idle, free = [SETTING_UP] * workers, [SETTING_UP] * hosts
        for unit in listed:
            worker = idle.index(min(idle))
            free.sort()
            taken = min(unit.hosts, hosts)
            began = max(idle[worker], free[taken - 1])
            idle[worker] = began + unit.seconds
            free[:taken] = [idle[worker]] * taken
            begins[worker].append((began, unit))
        return cls(begins, max(idle))

    def picture(self, width: int) -> Iterator[str]:
        """Yield a line for each worker: its units, as long as they take, under a scale of hours."""
        room = width - len("worker 1 |")
        for number, row in enumerate(self.begins, start=1):
            line = "".join(self._block(began, unit, room) for began, unit in row)
            yield f"worker {number} |{line}"[:width]
        yield f"{'0':>10}{rough(self.end):>{room}}"

    def _block(self, began: float, unit: PlannedUnit, room: int) -> str:
        columns = round((began + unit.seconds) / self.end * room) - round(began / self.end * room)
        return f"{unit.name[: columns - 1]:-<{columns - 1}}|" if columns > 1 else "|" * columns

    def bound(self, listed: Sequence[PlannedUnit], workers: int, hosts: int) -> str:
        """Return what keeps the run from being shorter, and what one more host would save."""
        if not listed:
            return ""
        more = Schedule.of(listed, workers + 1, hosts + 1).end
        longest = listed[0]
        chain = f"the longest chain is {longest.name}, {rough(longest.seconds)}"
        saved = self.end - more
        saves = f"one more host would save {rough(saved)}" if saved >= 1 else "one more host would save nothing"
        return f"{chain}; {saves}"


def plan(
    items: Iterable[pytest.Item],
    costs: Mapping[str, Cost],
    hosts: Iterable[str],
    *,
    level: str,
    left_out: str = "",
    workers: int = 1,
) -> Iterator[str]:
    """Yield what a run would do, line by line: folder by folder, the costliest first; then which worker does what."""
    available, listed = list(hosts), list(items)
    yield from _table(listed, costs, len(available))
    yield ""
    whole = total([costs[item.nodeid] for item in listed])
    yield from wrap(f"{plural(len(listed), 'case')} at level {level}, on {', '.join(available)}", columns())
    kind = "as measured on this site" if whole.measured else "a guess: not every case was measured on this site"
    handed_out = units(listed, costs)
    one, schedule = (Schedule.of(handed_out, count, max(count, len(available))) for count in (1, workers))
    counts = f"{plural(whole.clusters, 'cluster')}, {plural(whole.repaves, 'repave')}"
    yield from wrap(f"{counts}, about {rough(one.end)} one after the other ({kind})", columns())
    if left_out:
        yield from wrap(left_out, columns())
    if workers > 1:
        yield f"with -n auto {plural(workers, 'worker')}, about {rough(schedule.end)}:"
        yield from schedule.picture(columns())
    yield from wrap(schedule.bound(handed_out, workers, max(workers, len(available))), columns())
    yield "nothing was done"


def _table(listed: list[pytest.Item], costs: Mapping[str, Cost], hosts: int) -> Iterator[str]:
    folders: dict[str, list[pytest.Item]] = {}
    for item in sorted(listed, key=lambda item: -costs[item.nodeid].seconds):
        folders.setdefault(item.path.parent.name, []).append(item)
    yield _row("", "clusters", "repaves", "hosts", "")
    for name, cases in sorted(folders.items(), key=lambda entry: -_sum(entry[1], costs).seconds):
        yield cut(_priced(_sum(cases, costs), "", f"{name}: {plural(len(cases), 'case')}"), columns())
        for item in cases:
            marker, wanted = item.get_closest_marker("requirement"), _hosts_of(item)
            needs = f" (needs {', '.join(marker.kwargs['needs'])})" if marker and marker.kwargs["needs"] else ""
            needs = f" (needs {plural(wanted, 'host')})" if wanted > hosts else needs
            yield cut(_priced(costs[item.nodeid], wanted, f"  {short(item.nodeid)}{needs}"), columns())


def _sum(items: Iterable[pytest.Item], costs: Mapping[str, Cost]) -> Cost:
    each = [costs[item.nodeid] for item in items]
    return Cost(sum(c.clusters for c in each), sum(c.repaves for c in each), sum(c.seconds for c in each))


def _priced(cost: Cost, hosts: object, name: str) -> str:
    return _row(rough(cost.seconds), cost.clusters, cost.repaves, hosts, name)


def _row(time: str, clusters: object, repaves: object, hosts: object, name: str) -> str:
    return f"{time:>11} {clusters:>8} {repaves:>7} {hosts:>5} {name}".rstrip()


def left_out_line(choice: Choice) -> str:
    """Return what a budget leaves out."""
    if not choice.left_out:
        return "the budget leaves nothing out"
    unsettled = f"; nothing is said about {some(choice.unsettled)}" if choice.unsettled else ""
    return f"the budget leaves out {plural(len(choice.left_out), 'case')}{unsettled}"
