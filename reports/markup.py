"""How the pages are made: one style, one template environment in which hostile text is made visible and escaped."""

from __future__ import annotations

import re
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from reports import changes, junit, pulls, timeline, wording
from reports.text import duration, plural, visible, when
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.records import PullRecord

TEMPLATES = Path(__file__).parent / "templates"
MOST_ROWS = 80  # of a case's pulls, and of its events
_REQUIREMENT = re.compile(r"\b[A-Z]+(?:-[A-Z]+)*-\d+")


def page(template: str, **content: object) -> bytes:
    """Return a page of one file: a template with the style in it."""
    return environment().get_template(template).render(style=own_file("report.css"), **content).encode()


def own_file(name: str) -> Markup:
    """Return a file of the project as it is, to stand in a page."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704  our own file


@cache
def environment() -> Environment:
    """Return the templates' environment."""
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
        most=MOST_ROWS,
        pass_=Verdict.PASS,
        draw=timeline.draw,
        answer=pulls.answer,
        here=pulls.HERE,
    )
    environment.filters.update(
        duration=duration,
        slug=_slug,
        when=when,
        share=_share,
        headline=_headline,
        begun=lambda text: text[:1].upper() + text[1:],
        tail=_tail,
        folded=junit.folded,
        short=pulls.shortened,
        with_tones=_with_tones,
        titled=changes.titled,
        in_a_row=_in_a_row,
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


def _tail(path: str) -> str:
    """Return host and file of a path to diagnostics."""
    return "/".join(path.split("/")[-2:])


def _with_tones(seen: Sequence[PullRecord]) -> list[tuple[PullRecord, str]]:
    """Return the pulls that a table shows, each with its tone: the decisive one among them however many there were."""
    pairs = list(zip(seen, pulls.tones(seen), strict=True))
    return [pairs[place] for place in pulls.around(len(pairs), pulls.decisive(seen), MOST_ROWS)]


def _in_a_row(verdicts: Sequence[Verdict | None]) -> str:
    """Return verdicts in words, those in a row counted: ``3 pass, fail, 2 not run``."""
    told = [(verdict.value if verdict else "not run", len(list(same))) for verdict, same in groupby(verdicts)]
    return ", ".join(f"{number} {name}" if number > 1 else name for name, number in told)


def _slug(verdict: Verdict | None) -> str:
    return verdict.value.replace(" ", "-") if verdict else "not-run"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}" if whole else "0"
