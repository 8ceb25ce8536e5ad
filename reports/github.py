"""The summary of a CI job, as GitHub shows it (``$GITHUB_STEP_SUMMARY``): Markdown that fits on one screen.

GitHub cuts a summary at one mebibyte; what is hostile in a password must neither become markup nor a mention.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reports import causes, changes, wording
from reports.text import duration, one_line, plural, some, visible
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from reports.results import RequirementResult, Results

LONGEST = 1_000_000
_MARKUP = re.compile(r"[\\`*_{}\[\]<>#!|@&~]")
_FULL_REPORTS = 20


def render(results: Results, earlier: Sequence[Results] = ()) -> bytes:
    """Return the summary; the runs before, where there are some, tell what is new."""
    lines = "\n".join(_lines(results, earlier)) + "\n"
    content = lines.encode()
    if len(content) <= LONGEST:
        return content
    note = "\n\n… cut here: the whole report is among the artefacts of the job\n"
    return content[:LONGEST].rsplit(b"\n", 1)[0] + note.encode()


def _lines(results: Results, earlier: Sequence[Results]) -> Iterator[str]:
    yield f"## {_escape(wording.sentence(results))}"
    yield ""
    counted = [
        f"{verdict.look.mark} {results.counts[verdict]} {verdict.value}"
        for verdict in reversed(Verdict)
        if results.counts[verdict]
    ]
    yield " · ".join(
        [
            *counted,
            duration(results.seconds),
            f"site {_escape(results.started.site)}",
            f"seed `{_code(results.started.seed)}`",
        ]
    )
    yield from (f"> partial: {_escape(gap)}" for gap in results.gaps)
    if earlier:
        yield from _changed(changes.between(earlier[-1], results))
    yield from _reports(causes.of(results, earlier))
    yield from _table(results.requirements)


def _changed(difference: changes.Changes) -> Iterator[str]:
    told = [f"{len(some)} {title.lower()}" for title, some in changes.titled(difference)]
    yield ""
    yield f"Since `{_code(difference.since)}`: {', '.join(told) or 'nothing red came, went or stayed'}."


def _reports(every: Sequence[causes.Cause]) -> Iterator[str]:
    """Yield one section for each cause: in words, how much it concerns, and its best example."""
    for cause in every[:_FULL_REPORTS]:
        first = cause.cases[0]
        names = _escape(some(cause.requirements) or first.case)
        yield ""
        yield f"### {first.verdict.look.mark} {cause.whose}: {_escape(cause.words)}"
        yield ""
        where = f" · on {_escape(some(cause.hosts))}" if cause.hosts else ""
        yield f"{first.verdict.value} · {names} · {cause.reach}{where}"
        yield ""
        yield from (f"    {visible(line)}" for line in wording.report_of(first))
    if len(every) > _FULL_REPORTS:
        yield ""
        yield f"… and {plural(len(every) - _FULL_REPORTS, 'more cause')}; all of them stand in the report."


def _table(rows: Iterable[RequirementResult]) -> Iterator[str]:
    yield ""
    yield "| | Requirement | Claim | Passed | Time |"
    yield "|---|---|---|---|---|"
    for row in rows:
        mark = f"{row.verdict.look.mark} {row.label}" if row.verdict else row.label
        claim = _escape(row.requirement.claim)
        time = duration(row.seconds) if row.cases else ""
        yield f"| {mark} | {_escape(row.requirement.id)} | {claim} | {wording.held(row)} | {time} |"


def _escape(text: str) -> str:
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", one_line(text))


def _code(text: str) -> str:
    return one_line(text).replace("`", "'")
