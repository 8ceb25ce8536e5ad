"""The course of a case as a picture: lanes for the API, each host and the pulls, numbered moments on them.

The numbers repeat in a list beside the picture, which says the same to who cannot see it. Positions are percentages,
so that the picture fits a phone without shrinking its digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import wording
from reports.records import moment

if TYPE_CHECKING:
    from datetime import datetime

    from reports.records import CaseFinished, Moment, Pull

_FIRST, _LAST = 3.2, 96.8  # per cent: a dot at either end is not cut, on a phone either
_CLOSEST = 3.4  # per cent between two dots of a lane, where there is room for that
_TALLEST = 60  # moments shown; a case that has more tells them in its attachments


@dataclass(frozen=True)
class Dot:
    """A moment on its lane: where (per cent), its number, how long after the first, and what it was."""

    number: int
    place: float
    after: float
    label: str
    tone: str


@dataclass(frozen=True)
class Lane:
    """One line of the picture."""

    name: str
    dots: tuple[Dot, ...]


@dataclass(frozen=True)
class Timeline:
    """The picture; ``seconds`` from its left end to its right."""

    lanes: tuple[Lane, ...]
    seconds: float
    left_out: int

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


def draw(case: CaseFinished) -> Timeline | None:
    """Return the timeline of a case, ``None`` if it has fewer than two moments."""
    every = sorted(_moments(case), key=lambda placed: placed.when)
    shown = every[:_TALLEST]
    if len(shown) < 2:  # noqa: PLR2004  a line needs two ends
        return None
    begin, seconds = shown[0].when, (shown[-1].when - shown[0].when).total_seconds()
    names = dict.fromkeys(sorted((placed.lane for placed in shown), key=_lane_order))
    numbered = list(enumerate(shown, start=1))
    lanes = tuple(Lane(name, _dots(name, numbered, begin, seconds)) for name in names)
    return Timeline(lanes, seconds, len(every) - len(shown))


def _moments(case: CaseFinished) -> list[_Placed]:
    told = [entry for entry in case.timeline if not (entry.lane == "pull" and case.pulls)]
    placed = [_Placed(when, _lane(entry), entry.label, entry.lane) for entry in told if (when := moment(entry.time))]
    return placed + [_pull(pull, when) for pull in case.pulls if (when := moment(pull.time))]


def _lane(entry: Moment) -> str:
    return {"api": "Palette API", "pull": "pulls"}.get(entry.lane, entry.host or entry.lane)


def _pull(pull: Pull, when: datetime) -> _Placed:
    good = pull.presented in {"", "intact"} and not wording.answer(pull.status)
    what = f"{pull.phase}: {pull.puller} pulled {pull.reference}".strip()
    whence = f" from {pull.elsewhere}" if pull.elsewhere else ""
    parts = [what + whence, pull.presented, wording.answer(pull.status)]
    return _Placed(when, "pulls", ", ".join(part for part in parts if part), "good" if good else "bad")


def _lane_order(name: str) -> tuple[int, str]:
    return ({"Palette API": 0, "pulls": 2}.get(name, 1), name)


def _dots(lane: str, numbered: list[tuple[int, _Placed]], begin: datetime, seconds: float) -> tuple[Dot, ...]:
    mine = [(number, placed) for number, placed in numbered if placed.lane == lane]
    after = [(placed.when - begin).total_seconds() for _, placed in mine]
    places = _spread([_FIRST + (_LAST - _FIRST) * (second / seconds if seconds else 0.5) for second in after])
    return tuple(
        Dot(number, round(place, 2), second, placed.label, placed.tone)
        for (number, placed), place, second in zip(mine, places, after, strict=True)
    )


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
