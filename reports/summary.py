"""The summary at the end of a run, for the terminal: each requirement that ran, red last; why; and what it means."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

from foreign import cut
from reports import causes, changes, wording
from reports.text import duration, one_line, plural, some, visible
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reports.records import CaseFinished
    from reports.results import RequirementResult, Results

    Paint = Callable[[Verdict | str | None, str], str]

_FULL_REPORTS = 12
_WIDEST = 120
_WITH_TIME = 76  # columns; on less there is no room for the time beside the claim
_WHOLE = re.compile(r"  reproduce:|  at |reports:|certificate:|  (?:\S+ )*\S+  ")
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
_WORD = max(len(verdict.value) for verdict in Verdict)


def wants_colour(stream: TextIO) -> bool:
    """Whether to colour what goes to this stream: a terminal, and nobody said no (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def render(
    results: Results,
    *,
    width: int = 100,
    colour: bool = False,
    where: Path | None = None,
    certificate: Path | None = None,
    earlier: Sequence[Results] = (),
) -> str:
    """Return the summary, ending in a line feed. Without colour it says exactly the same.

    ``earlier`` are the runs before: since when a cause is there.
    """
    paint = _painter(colour=colour)
    width = min(max(width, 60), _WIDEST)
    found = causes.of(results, earlier)
    parts = [
        _table(results, width, paint),
        _reports(found, paint),
        _causes(found, paint),
        _asides(results),
        _closing(results, paint, {"reports": where, "certificate": certificate}),
    ]
    told = [[row for line in part for row in _broken(line, width)] for part in parts]
    return "\n".join("\n".join(rows) + "\n" for rows in told if rows)


def _broken(line: str, width: int) -> Iterator[str]:
    """Break a sentence between words; what is copied, a path or a row of a table, stays in one piece."""
    row, *words = [line] if _WHOLE.match(line) else line.split(" ")
    for word in words:
        if row.strip() and len(_COLOUR.sub("", f"{row} {word}")) > width:
            yield row
            row = f"      {word}"
        else:
            row = f"{row} {word}"
    yield row


def _painter(*, colour: bool) -> Paint:
    def paint(look: Verdict | str | None, text: str) -> str:
        code = look if isinstance(look, str) else look.look.colour if look else "2"
        return f"\x1b[{code}m{text}\x1b[0m" if colour else text

    return paint


def _table(results: Results, width: int, paint: Paint) -> Iterator[str]:
    """Yield a row for each requirement that ran, the gravest last."""
    rows = sorted((row for row in results.requirements if row.verdict), key=lambda row: _gravity(row.verdict))
    identifier = max((len(row.requirement.id) for row in rows), default=0)
    for row in rows:
        yield _row(row, identifier, width, paint)
    if silent := len(results.requirements) - len(rows):
        yield paint("2", f"not run: {plural(silent, 'other requirement')}")


def _gravity(verdict: Verdict | None) -> int:
    """Return how far at the end of the table a verdict stands: what is not red keeps the order of the guide."""
    return verdict.gravity if verdict and verdict.is_red else -1


def _row(row: RequirementResult, identifier: int, width: int, paint: Paint) -> str:
    time = f"  {duration(row.seconds) if row.cases else '':>10}" if width >= _WITH_TIME else ""
    tail = f"{wording.held(row):>8}{time}"
    room = max(20, width - identifier - _WORD - len(tail) - 6)
    claim = cut(one_line(row.requirement.claim), room)
    label = paint(row.verdict, row.label.ljust(_WORD))
    return f"{label}  {one_line(row.requirement.id).ljust(identifier)}  {claim.ljust(room)}  {tail}".rstrip()


def _reports(found: Sequence[causes.Cause], paint: Paint) -> Iterator[str]:
    """Yield the report of the best example of each cause, and one line for each further case."""
    for place, cause in enumerate(found[:_FULL_REPORTS]):
        if place:
            yield ""
        yield from _report(cause.cases[0], paint)
        for case in cause.cases[1:]:
            yield f"  also {one_line(' '.join([*case.requirements, case.case.rpartition('::')[2]]))}"
    if len(found) > _FULL_REPORTS:
        yield ""
        yield f"… and {plural(len(found) - _FULL_REPORTS, 'more cause')}; all of them stand in the report"


def _causes(found: Sequence[causes.Cause], paint: Paint) -> Iterator[str]:
    for cause in found:
        names = f" ({one_line(some(cause.requirements))})" if cause.requirements else ""
        yield f"{paint(cause.cases[0].verdict, cause.whose.upper())}  {cause.words}: {cause.reach}{names}"


def _report(case: CaseFinished, paint: Paint) -> Iterator[str]:
    first, *rest = wording.report_of(case)
    yield f"{paint(case.verdict, case.verdict.value.upper())}  {paint('1', first)}"
    yield from rest


def compared(earlier: Results, later: Results) -> str:
    """Return what is different from another run, a line for each case."""
    difference = changes.between(earlier, later)
    kind = f", of another kind ({difference.other_kind})" if difference.other_kind else ""
    told = changes.titled(difference)
    lines = [f"compared with {difference.since}{kind}{'' if told else ': nothing red came, went or stayed'}"]
    for title, some_cases in told:
        lines += [
            f"  {title.lower()}: {' '.join(change.case.requirements)} {change.case.case}" for change in some_cases
        ]
    return "".join(f"{one_line(line)}\n" for line in lines)


def _asides(results: Results) -> Iterator[str]:
    for case in results.cases:
        if case.verdict is Verdict.KNOWN:
            waiver = results.waiver(case.waiver)
            until = f" (waiver {case.waiver} of {waiver.owner}, until {waiver.expires})" if waiver else ""
            yield f"known: {one_line(' '.join(case.requirements) or case.case)}{one_line(until)}"
    yield from (f"expired: {one_line(text)}" for name, text in results.started.facts.items() if _is_waiver(name))
    uncovered = [case for case in results.cases if case.verdict is Verdict.NOT_COVERED]
    for reason in dict.fromkeys(wording.why(case) for case in uncovered):
        number = sum(wording.why(case) == reason for case in uncovered)
        yield f"not covered: {plural(number, 'case')}, {reason}"
    yield from (f"partial: {one_line(gap)}" for gap in results.gaps)
    if results.finished:
        yield from (f"left behind: {one_line(thing)}" for thing in results.finished.left_behind)
    if results.leak_gate:
        yield from (f"leak: {one_line(hit.file)} held {hit.secret} ({hit.form})" for hit in results.leak_gate.hits)
        for hint in results.leak_gate.hints:
            yield f"possible leak, not withheld: {one_line(hint.file)} may hold a part of {hint.secret} ({hint.form})"


def _is_waiver(fact: str) -> bool:
    return fact.startswith("waiver.")


def _closing(results: Results, paint: Paint, places: Mapping[str, Path | None]) -> Iterator[str]:
    style = "1;32" if results.exit_code == 0 else "1;31"
    yield paint(style, visible(wording.sentence(results)))
    facts = [_counted(results.counts), f"seed {results.started.seed}" if results.started.seed else ""]
    yield " · ".join(fact for fact in [*facts, duration(results.seconds)] if fact)
    yield from (f"{what}: {place}" for what, place in places.items() if place)


def _counted(counts: dict[Verdict, int]) -> str:
    return ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in reversed(Verdict) if counts.get(verdict))
