"""Plan and budget: what a run would do, and which cases settle most in a given time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.costs import SETTING_UP, Cost, total
from harness.levels import requirements_of
from reports.text import plural, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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


def plan(
    items: Iterable[pytest.Item], costs: Mapping[str, Cost], hosts: Iterable[str], *, level: str, left_out: str = ""
) -> Iterator[str]:
    """Yield what a run would do, line by line."""
    available = list(hosts)
    listed = list(items)
    wide = max((len(_name(item)) for item in listed), default=0)
    yield f"{'case':{wide}}  clusters  repaves  hosts  minutes"
    for item in listed:
        cost, marker = costs[item.nodeid], item.get_closest_marker("requirement")
        wanted = marker.kwargs["hosts"] if marker else 1
        needs = ", ".join(marker.kwargs["needs"]) if marker else ""
        told = f"needs {wanted} hosts" if wanted > len(available) else f"needs {needs}" if needs else ""
        row = f"{_name(item):{wide}}  {cost.clusters:8}  {cost.repaves:7}  {wanted:5}  {cost.seconds / 60:7.1f}  {told}"
        yield row.rstrip()
    yield ""
    whole = total([costs[item.nodeid] for item in listed])
    yield f"{plural(len(listed), 'case')} at level {level}, on {', '.join(available)}"
    kind = "as measured on this site" if whole.measured else "estimated: not every case was measured on this site"
    yield f"{whole.clusters} clusters, {whole.repaves} repaves, about {whole.seconds / 60:.0f} minutes ({kind})"
    if left_out:
        yield left_out
    yield "nothing was done"


def told_left_out(choice: Choice) -> str:
    """Return what a budget leaves out."""
    if not choice.left_out:
        return "the budget leaves nothing out"
    unsettled = f"; nothing is said about {some(choice.unsettled)}" if choice.unsettled else ""
    return f"the budget leaves out {plural(len(choice.left_out), 'case')}{unsettled}"


def _name(item: pytest.Item) -> str:
    return item.nodeid.removeprefix("suites/")
