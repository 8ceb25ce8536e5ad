"""The course of a case as a picture: lanes for Palette, each host and the registry, phases as bands, moments on them.

Equal pulls in a row are one mark. Of a long case the phases around the decisive pull are shown, whole. The numbers
repeat in a list beside the picture, which says the same to who cannot see it. Positions are percentages, so that the
picture fits a phone without shrinking its digits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from reports import pulls
from reports.records import moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from reports.records import CaseFinished, Moment, PullRecord

_FIRST, _LAST = 3.2, 96.8  # per cent: a dot at either end is not cut, on a phone either
_CLOSEST = 3.4  # per cent between two dots of a lane, where there is room for that
MOST = 40  # marks shown
_NAMED = 8.0  # per cent: a narrower band has no room for its name


@dataclass(frozen=True)
class Dot:
    """A moment on its lane: where (per cent), its number, how long after the first, and what it was.

    ``times`` counts equal moments in a row; ``here`` marks the decisive one.
    """

    number: int
    place: float
    after: float
    label: str
    tone: str
    here: bool
    times: int


@dataclass(frozen=True)
class Lane:
    """One line of the picture."""

    name: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Band:
    """A phase behind the lanes: where it begins and how wide it is (per cent)."""

    phase: str
    place: float
    width: float

    @property
    def name(self) -> str:
        """The phase, where there is room for it."""
        return self.phase if self.width >= _NAMED else ""


@dataclass(frozen=True)
class Timeline:
    """The picture; ``seconds`` from its left end to its right; ``before`` and ``behind`` count moments left out."""

    lanes: tuple[Lane, ...]
    bands: tuple[Band, ...]
    seconds: float
    before: int
    behind: int

    @property
    def dots(self) -> list[tuple[str, Dot]]:
        """All moments in order of time, each with its lane's name."""
        return sorted(((lane.name, dot) for lane in self.lanes for dot in lane.dots), key=lambda pair: pair[1].number)


@dataclass(frozen=True)
class _Placed:
    when: datetime
    lane: str
    label: str
    tone: str
    phase: str = ""
    here: bool = False
    kind: tuple[str, ...] = ()
    band: int = 0
    times: int = 1


def draw(case: CaseFinished) -> Timeline | None:
    """Return the timeline of a case, ``None`` if it has fewer than two moments."""
    every = _folded(_in_bands(sorted(_moments(case), key=lambda placed: placed.when)))
    first, end = _window(every)
    shown = every[first:end]
    if len(shown) < 2:  # noqa: PLR2004  a line needs two ends
        return None
    begin, seconds = shown[0].when, (shown[-1].when - shown[0].when).total_seconds()
    names = dict.fromkeys(sorted((placed.lane for placed in shown), key=_lane_order))
    numbered = list(enumerate(shown, start=1))
    lanes = tuple(Lane(name, _dots(name, numbered, begin, seconds)) for name in names)
    before, behind = (sum(placed.times for placed in part) for part in (every[:first], every[end:]))
    return Timeline(lanes, tuple(_bands(lanes, shown)), seconds, before, behind)


def _in_bands(every: Sequence[_Placed]) -> list[_Placed]:
    """Return the moments with their phases numbered: a call to Palette begins one, or a pull of another phase."""
    numbered: list[_Placed] = []
    band, phase = 0, ""
    for placed in every:
        if placed.phase and (placed.phase != phase or placed.lane == "Palette"):
            band, phase = band + 1, placed.phase
        numbered.append(replace(placed, band=band, phase=placed.phase and phase))
    return numbered


def _folded(every: Sequence[_Placed]) -> list[_Placed]:
    """Make one of moments of a kind that follow one another on their lane, but for the decisive one."""
    folded: list[_Placed] = []
    last: dict[str, int] = {}
    for placed in every:
        place = last.get(placed.lane)
        before = None if place is None else folded[place]
        if before and (before.band, before.kind) == (placed.band, placed.kind) and not (before.here or placed.here):
            folded[last[placed.lane]] = replace(before, times=before.times + 1)
        else:
            last[placed.lane] = len(folded)
            folded.append(placed)
    return folded


def _window(every: Sequence[_Placed]) -> tuple[int, int]:
    """Return which marks are shown: the phase of the decisive one, and whole phases around it while there is room."""
    if len(every) <= MOST:
        return 0, len(every)
    here = next((place for place, placed in enumerate(every) if placed.here), len(every) - 1)
    edges = [0, *(place for place, (one, other) in enumerate(pairwise(every), 1) if one.band != other.band), len(every)]
    first, end = max(edge for edge in edges if edge <= here), min(edge for edge in edges if edge > here)
    if end - first > MOST:
        first = min(max(first, here - MOST * 3 // 4), end - MOST)
        return first, first + MOST
    for edge in [*reversed([edge for edge in edges if edge < first]), *(edge for edge in edges if edge > end)]:
        if max(end, edge) - min(first, edge) <= MOST:
            first, end = min(first, edge), max(end, edge)
    return first, end


def _moments(case: CaseFinished) -> list[_Placed]:
    phases = {pull.phase for pull in case.pulls}
    told = [entry for entry in case.timeline if not (entry.lane == "pull" and case.pulls)]
    placed = [
        _Placed(
            when, _lane(entry), pulls.shortened(entry.label), entry.lane, _phase(entry, phases), kind=(entry.label,)
        )
        for entry in told
        if (when := moment(entry.time))
    ]
    place = pulls.decisive(case.pulls) if case.verdict.is_red else None
    tones = zip(case.pulls, pulls.tones(case.pulls), strict=True)
    return placed + [
        _pull(pull, tone, when, here=number == place)
        for number, (pull, tone) in enumerate(tones)
        if (when := moment(pull.time))
    ]


def _phase(entry: Moment, phases: set[str]) -> str:
    """Return the phase that a call to Palette begins (``repave: provider:v2``)."""
    first = entry.label.partition(":")[0]
    return first if entry.lane == "api" and first in phases else ""


def _lane(entry: Moment) -> str:
    return {"api": "Palette", "pull": "registry"}.get(entry.lane, entry.host or entry.lane)


def _pull(pull: PullRecord, tone: str, when: datetime, *, here: bool) -> _Placed:
    what = f"{pull.phase}: {pull.puller} pulled {pulls.shortened(pull.reference)}".strip()
    whence = f" from {pull.elsewhere}" if pull.elsewhere else ""
    parts = [what + whence, pulls.briefly(pull.presented), pulls.answer(pull.status)]
    label = ", ".join(part for part in parts if part)
    return _Placed(
        when, "registry", label, tone, pull.phase, here, (pull.host, pull.puller, pull.user_agent, *parts[1:])
    )


def _lane_order(name: str) -> tuple[int, str]:
    return ({"Palette": 0, "registry": 2}.get(name, 1), name)


def _dots(lane: str, numbered: list[tuple[int, _Placed]], begin: datetime, seconds: float) -> tuple[Dot, ...]:
    mine = [(number, placed) for number, placed in numbered if placed.lane == lane]
    after = [(placed.when - begin).total_seconds() for _, placed in mine]
    places = _spread([_FIRST + (_LAST - _FIRST) * (second / seconds if seconds else 0.5) for second in after])
    return tuple(
        Dot(number, round(place, 2), second, placed.label, placed.tone, placed.here, placed.times)
        for (number, placed), place, second in zip(mine, places, after, strict=True)
    )


def _bands(lanes: tuple[Lane, ...], shown: list[_Placed]) -> Iterator[Band]:
    """Yield the phases one after another: each from its first moment to the next one's."""
    place = {dot.number: dot.place for lane in lanes for dot in lane.dots}
    starts: dict[int, tuple[str, float]] = {}
    for number, placed in enumerate(shown, start=1):
        if placed.phase and placed.band not in starts:
            starts[placed.band] = placed.phase, max(0.0, place[number] - _FIRST) if starts else 0.0
    ends = [*(begin for _, begin in starts.values()), 100.0][1:]
    for (phase, begin), end in zip(starts.values(), ends, strict=True):
        yield Band(phase, round(begin, 2), round(max(0.0, end - begin), 2))


def _spread(places: list[float]) -> list[float]:
    """Move dots apart that would cover one another, to the right first, then back from the end."""
    gap = min(_CLOSEST, (_LAST - _FIRST) / max(len(places) - 1, 1))
    spread: list[float] = []
    for place in places:
        spread.append(max(place, spread[-1] + gap) if spread else place)
    limit = _LAST
    for index in reversed(range(len(spread))):
        spread[index] = min(spread[index], limit)
        limit = spread[index] - gap
    return spread
