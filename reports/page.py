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

from reports import breakdown, changes, timeline, trend, wording
from reports.records import moment
from reports.text import duration, plural, visible
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reports.records import CaseFinished
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
        _environment()
        .get_template("report.html")
        .render(
            results=results,
            sentence=wording.sentence(results),
            stories=list(_stories(results, attachments)),
            accepted=[_bare(case) for case in results.cases if case.verdict is Verdict.KNOWN],
            changes=changes.between(earlier[-1], results) if earlier else None,
            history=trend.Trend((*earlier, results)) if earlier else None,
            classes=breakdown.by_vector_class(results),
            slowest=breakdown.slowest(results),
            phases=breakdown.by_phase(results),
            waivers=breakdown.waivers(results),
            notes=breakdown.notes(results),
            anchors={case.case: f"case-{number}" for number, case in enumerate(results.red, start=1)},
            style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),  # noqa: S704  our own file
            script=Markup(script),  # noqa: S704  our own file
            script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    return html.encode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(
        verdicts=list(reversed(Verdict)), wording=wording, plural=plural, pass_=Verdict.PASS, draw=timeline.draw
    )
    environment.filters.update(duration=duration, slug=_slug, when=_when, share=_share, headline=_headline, tail=_tail)
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


def _slug(verdict: Verdict | None) -> str:
    return verdict.value.replace(" ", "-") if verdict else "not-run"


def _when(text: str) -> str:
    parsed = moment(text)
    return f"{parsed:%d %B %Y, %H:%M} UTC".lstrip("0") if parsed else text


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}" if whole else "0"


@dataclass
class Story:
    """A case that somebody has to look at: its lines, and as much detail as the page has room for."""

    case: CaseFinished
    lines: tuple[str, ...]
    detailed: bool
    diagnostics: dict[str, str] = field(default_factory=dict)


def _bare(case: CaseFinished) -> Story:
    return Story(case, wording.story(case), detailed=False)


def _stories(results: Results, attachments: Path | None) -> Iterator[Story]:
    room, room_for_diagnostics = _ROOM_FOR_DETAILS, _ROOM_FOR_DIAGNOSTICS
    for case in results.red:
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
