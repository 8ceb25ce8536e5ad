"""The page of a trend: small plots of the last runs of one kind, and every requirement over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import breakdown, markup, page, wording
from reports.text import duration
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Sequence

    from reports.results import Results
    from reports.trend import Trend


@dataclass(frozen=True)
class Bar:
    """One run in a plot: how high (per cent of the highest), what it is in words, and whether it is not all green."""

    height: float
    label: str
    tone: str


@dataclass(frozen=True)
class Plot:
    """A bar for each run; ``last`` and ``most`` are the last and the highest value in words."""

    title: str
    bars: tuple[Bar, ...]
    last: str
    most: str


def render(
    history: Trend, there: Container[str] = (), *, base: str = "", links: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return the page. ``there`` are the runs whose reports stand at ``base``. Raises ValueError if there is no run."""
    if not history.runs:
        raise ValueError("no run has finished yet; start one with './run conformance'")
    return markup.page(
        "trend.html",
        history=history,
        names=sorted(history.requirements, key=lambda name: not history.red_since(name)),
        claims={row.requirement.id: row.requirement.claim for run in history.runs for row in run.requirements},
        flapping=history.flapping_cases,
        plots=plots(history),
        kind=f"of {history.latest.kind_in_words}",
        sentence=wording.sentence(history.latest),
        tone=page.tone(history.latest),
        there=there,
        base=base,
        links=links,
    )


def plots(history: Trend) -> list[Plot]:
    """Return the plots of a trend: cases that passed, how long the run took, and its deployments and repaves."""
    found = [
        _plot("Cases passed", history, lambda run: run.counts[Verdict.PASS], lambda value: f"{value:.0f}"),
        _plot("Duration", history, lambda run: run.seconds, duration),
    ]
    took = {id(run): breakdown.medians(run) for run in history.runs}
    for phase in breakdown.PHASES:
        plot = _plot(f"Median {phase}", history, lambda run, phase=phase: took[id(run)].get(phase, 0), duration)  # type: ignore[misc]  # a default binds the loop's value
        found += [plot] if any(bar.height for bar in plot.bars) else []
    return found


def _plot(title: str, history: Trend, value: Callable[[Results], float], words: Callable[[float], str]) -> Plot:
    values = [value(run) for run in history.runs]
    most = max(values)
    bars = tuple(
        Bar(round(100 * number / most, 2) if most else 0, f"{run.started.run_id}: {words(number)}", page.tone(run))
        for run, number in zip(history.runs, values, strict=True)
    )
    return Plot(title, bars, words(values[-1]), words(most))
