"""The page: one file that an engineer, a release manager and an auditor read, without a network or a script."""

from __future__ import annotations

import base64
import hashlib
import textwrap
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports import breakdown, causes, changes, markup, pulls, runs, timeline, trend, wording
from reports.text import one_line, plural, some
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from reports.records import CaseFinished
    from reports.results import Results

# Bytes of the page that may go into the details of single cases; after that a case is shown by its report alone. With
# it a run of 500 failing cases stays under 2 MB.
_ROOM_FOR_DETAILS = 300_000
_ROOM_FOR_DIAGNOSTICS = 300_000
_TAIL = 6_000


def render(
    results: Results,
    earlier: Sequence[Results] = (),
    *,
    attachments: Path | None = None,
    compare: Results | None = None,
    links: Sequence[tuple[str, str]] = (),
) -> bytes:
    """Return the page.

    ``earlier`` are the runs before, oldest first: the last is compared with, or ``compare`` in its place, and all are
    the history of a requirement. ``attachments`` is the directory that attachments are relative to.
    ``links`` lead to other pages by their names.
    """
    script = markup.own_file("report.js")
    found = causes.of(results, earlier)
    other = compare or (earlier[-1] if earlier else None)
    return markup.page(
        "report.html",
        results=results,
        sentence=wording.sentence(results),
        tone=tone(results),
        about=_about(results),
        answers=_answers(results, found),
        causes=found,
        cards={card.case.case: card for card in _cards(found, attachments)},
        accepted=[_bare(case) for case in results.cases if case.verdict is Verdict.KNOWN],
        changes=changes.between(other, results) if other else None,
        compared_title="Compared with another run" if compare else "Since the last run",
        history=trend.Trend((*earlier, results)) if earlier else None,
        classes=breakdown.by_vector_class(results),
        slowest=breakdown.slowest(results),
        phases=breakdown.by_phase(results),
        by_host=breakdown.by_host(results),
        waivers=breakdown.waivers(results),
        notes=breakdown.notes(results),
        links=[*([("Night by night", runs.TREND)] if earlier else []), *links],
        anchors={case.case: f"case-{number}" for number, case in enumerate(results.red, start=1)},
        script=script,
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@dataclass
class Card:
    """A case that somebody has to look at: its lines, and as much detail as the page has room for."""

    case: CaseFinished
    lines: tuple[str, ...]
    detailed: bool
    diagnostics: dict[str, str] = field(default_factory=dict)


def _examples_first(found: Sequence[causes.Cause]) -> list[CaseFinished]:
    """Return the red cases so that the best example of each cause gets its details before all others."""
    return [cause.cases[0] for cause in found] + [case for cause in found for case in cause.cases[1:]]


def tone(results: Results) -> str:
    """Return how the top of the page looks: a partial run is never all green, a run without a verdict is not red."""
    if results.exit_code is ExitCode.OK:
        return "partial" if results.gaps else "good"
    return "bad" if results.exit_code in {ExitCode.FAIL, ExitCode.LEAK} else "gone"


def _answers(results: Results, found: Sequence[causes.Cause]) -> Iterator[tuple[str, str]]:
    """Yield what a release manager asks first: can it ship, whose fault is it, since when and where is the gravest."""
    yield "Can it ship?", wording.shipping(results)
    if not found:
        yield from [("What failed?", "nothing of what ran")] if results.gaps else []
        return
    staged = "the lab's, broken on purpose: " if results.options.get("--lab-fault") else ""
    yield "Whose fault is it?", f"{staged}{causes.summed(found)}"
    mine = [cause for cause in found if cause.whose == found[0].whose]
    since = Counter(
        cause.since for cause in sorted(mine, key=lambda cause: cause.first.started.started if cause.first else "~")
    )
    told = [
        f"{number} of {plural(len(mine), 'cause')} {each}" if len(since) > 1 else each for each, number in since.items()
    ]
    yield "Since when?", ", ".join(filter(None, told)) or "unknown: no earlier run of this kind to compare with"
    hosts = sorted({host for cause in mine for host in cause.hosts})
    yield "On which hosts?", some(hosts, 8) or "none in particular"


def _about(results: Results) -> list[tuple[str, str]]:
    """Return what was tested, as the header shows it."""
    started, facts = results.started, results.started.facts
    hosts = sorted(name.split(".")[1] for name in facts if name.startswith("host.") and name.count(".") == 1)
    chosen = {"-k": "Only", "-m": "Only marked", "--lab-fault": "Seeded fault", "--budget": "Budget"}
    pairs = [
        ("Run", started.run_id),
        ("Site", started.site),
        ("Level", started.level),
        ("Palette", facts.get("palette.version", "")),
        ("Agent", facts.get("stylus.version", "")),
        ("Hosts", some(hosts)),
        *((chosen.get(name, name), value) for name, value in results.options.items()),
        ("Seed", started.seed),
        ("Exit code", str(results.exit_code.value)),
    ]
    return [(name, value) for name, value in pairs if value]


def _bare(case: CaseFinished) -> Card:
    return Card(case, wording.report_of(case), detailed=False)


def _lines(case: CaseFinished) -> tuple[str, ...]:
    """Return the lines of a case without those that say again what stands above them on the page."""
    names, change = " ".join(case.requirements), causes.diagnosis(case)[0]
    again = {f"{names}  {case.observed}", f"  expected: {case.expected}", change}
    again = {one_line(pulls.shortened(line)) for line in again}
    rest = "\n".join(line for line in wording.report_of(case) if line not in again)
    return tuple(textwrap.dedent(rest).splitlines())


def _cards(found: Sequence[causes.Cause], attachments: Path | None) -> Iterator[Card]:
    room, room_for_diagnostics = _ROOM_FOR_DETAILS, _ROOM_FOR_DIAGNOSTICS
    for case in _examples_first(found):
        room -= _weight(case)
        card = Card(case, _lines(case), detailed=room > 0)
        if room > 0 and attachments:
            card.diagnostics = dict(_diagnostics(case.attachments, attachments, room_for_diagnostics))
            room_for_diagnostics -= sum(len(text) for text in card.diagnostics.values())
        yield card


def _weight(case: CaseFinished) -> int:
    """Return about how many bytes the details take: of a long case the page shows a part."""
    moments = min(len(case.pulls) + len(case.timeline), timeline.MOST)
    events = sum(150 + len(event.message) for event in case.events[: markup.MOST_ROWS])
    return 1500 + 600 * min(len(case.pulls), markup.MOST_ROWS) + 350 * moments + events


def _diagnostics(paths: Iterable[str], root: Path, room: int) -> Iterator[tuple[str, str]]:
    for name in paths:
        path = root / name
        if room <= 0 or not path.is_file() or root.resolve() not in path.resolve().parents:
            continue
        content = path.read_bytes()
        if b"\0" in content[:1024]:  # not text; it is named, and stands beside the page
            continue
        text = content[-min(_TAIL, room) :].decode("utf-8", "replace")
        room -= len(text)
        yield name, text if len(content) <= _TAIL else f"… the last {len(text)} of {len(content)} bytes\n{text}"
