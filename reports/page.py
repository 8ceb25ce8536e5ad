"""The page: one file that an engineer, a release manager and an auditor read, without a network or a script."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import breakdown, causes, changes, junit, pulls, timeline, trend, wording
from reports.kill_matrix import PAGE as KILL_MATRIX
from reports.text import duration, plural, some, visible, when
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reports.records import CaseFinished, Pull
    from reports.results import Results

TEMPLATES = Path(__file__).parent / "templates"

# Bytes of the page that may go into the details of single cases; after that a case is told by its story alone. With
# it a run of 500 failing cases stays under 2 MB.
_ROOM_FOR_DETAILS = 1_000_000
_ROOM_FOR_DIAGNOSTICS = 300_000
_TAIL = 6_000


def render(results: Results, earlier: Sequence[Results] = (), *, attachments: Path | None = None) -> bytes:
    """Return the page.

    ``earlier`` are the runs before, oldest first: the last is compared with, all are the history of a requirement.
    ``attachments`` is the directory that attachments are relative to.
    """
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    html = (
        environment()
        .get_template("report.html")
        .render(
            results=results,
            sentence=wording.sentence(results),
            tone=tone(results),
            about=_about(results),
            causes=[(cause, causes.since(cause, earlier)) for cause in causes.of(results)],
            stories={story.case.case: story for story in _stories(results, attachments)},
            accepted=[_bare(case) for case in results.cases if case.verdict is Verdict.KNOWN],
            changes=changes.between(earlier[-1], results) if earlier else None,
            history=trend.Trend((*earlier, results)) if earlier else None,
            classes=breakdown.by_vector_class(results),
            slowest=breakdown.slowest(results),
            phases=breakdown.by_phase(results),
            waivers=breakdown.waivers(results),
            notes=breakdown.notes(results),
            nights=bool(attachments and (attachments.parent.parent / trend.PAGE).exists()),
            matrix=bool(attachments and (attachments.parent.parent / "detection" / KILL_MATRIX).exists()),
            anchors={case.case: f"case-{number}" for number, case in enumerate(results.red, start=1)},
            style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return html.encode()


@cache
def environment() -> Environment:
    """Return the templates' environment: hostile text is made visible, and escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(
        verdicts=list(reversed(Verdict)),
        wording=wording,
        plural=plural,
        pass_=Verdict.PASS,
        draw=timeline.draw,
        answer=pulls.answer,
    )
    environment.filters.update(
        duration=duration,
        slug=_slug,
        when=when,
        share=_share,
        headline=_headline,
        tail=_tail,
        folded=junit.folded,
        short=pulls.shortened,
        with_tones=_with_tones,
    )
    return environment


def _shown(value: object) -> object:
    """Make hostile text visible; markup is the template's own and stays."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _headline(sentence: str) -> Markup:
    """Keep requirement ids in one piece, and set what comes besides apart from what counts."""
    first, _, rest = str(escape(visible(sentence))).partition("; also ")
    text = first + (f'<span class="also">; also {rest}</span>' if rest else "")
    return Markup(_REQUIREMENT.sub(r'<span class="whole">\g<0></span>', text))  # noqa: S704  escaped above


_REQUIREMENT = re.compile(r"\b[A-Z]+(?:-[A-Z]+)*-\d+")


def _tail(path: str) -> str:
    """Return host and file of a path to diagnostics."""
    return "/".join(path.split("/")[-2:])


def _with_tones(seen: Sequence[Pull]) -> list[tuple[Pull, str]]:
    """Return the pulls that a table shows, each with its tone: the decisive one among them however many there were."""
    pairs = list(zip(seen, pulls.tones(seen), strict=True))
    return [pairs[place] for place in pulls.around(len(pairs), pulls.decisive(seen), 80)]


def _slug(verdict: Verdict | None) -> str:
    return verdict.value.replace(" ", "-") if verdict else "not-run"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}" if whole else "0"


@dataclass
class Story:
    """A case that somebody has to look at: its lines, and as much detail as the page has room for."""

    case: CaseFinished
    lines: tuple[str, ...]
    detailed: bool
    diagnostics: dict[str, str] = field(default_factory=dict)


def _examples_first(results: Results) -> list[CaseFinished]:
    """Return the red cases so that the best example of each cause gets its details before all others."""
    found = causes.of(results)
    return [cause.cases[0] for cause in found] + [case for cause in found for case in cause.cases[1:]]


def tone(results: Results) -> str:
    """Return how the top of the page looks: a partial run is never all green, a run without a verdict is not red."""
    if results.exit_code is ExitCode.OK:
        return "partial" if results.gaps else "good"
    return "bad" if results.exit_code in {ExitCode.FAIL, ExitCode.LEAK} else "gone"


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


def _bare(case: CaseFinished) -> Story:
    return Story(case, wording.story(case), detailed=False)


def _stories(results: Results, attachments: Path | None) -> Iterator[Story]:
    room, room_for_diagnostics = _ROOM_FOR_DETAILS, _ROOM_FOR_DIAGNOSTICS
    for case in _examples_first(results):
        room -= _weight(case)
        story = Story(case, wording.story(case), detailed=room > 0)
        if room > 0 and attachments:
            story.diagnostics = dict(_diagnostics(case.attachments, attachments, room_for_diagnostics))
            room_for_diagnostics -= sum(len(text) for text in story.diagnostics.values())
        yield story


def _weight(case: CaseFinished) -> int:
    return (
        1500 + 600 * len(case.pulls) + 350 * len(case.timeline) + sum(150 + len(event.message) for event in case.events)
    )


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
