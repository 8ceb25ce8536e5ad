from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from reports import github, results
from reports.records import RequirementRecord
from reports.verdicts import Verdict
from tests.reports import samples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
MARKDOWN = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def shown(*records: object, earlier: tuple[object, ...] = ()) -> str:
    """Render the summary and give the HTML that Markdown makes of it."""
    before = [results.of(earlier)] if earlier else []  # type: ignore[arg-type]  # records of any kind
    return str(MARKDOWN.render(github.render(results.of(records), before).decode()))  # type: ignore[arg-type]  # likewise


def test_the_verdict_stands_on_top_and_every_class_in_words() -> None:
    """The job's page begins with the sentence; every verdict is named beside its mark."""
    told = shown(*samples.one_of_each())

    assert told.startswith(
        "<h2>Does not conform: the node's runtime presents the password base64-decoded at repave (REPAVE-03)"
    )
    assert all(f" 1 {verdict.value}" in told for verdict in Verdict)
    assert all(re.search(rf"<td>\S+ {verdict.value}</td>", told) for verdict in Verdict)


def test_failures_are_told_line_by_line() -> None:
    """A failure's report keeps its columns."""
    assert "  repave  node   (containerd/1.6.20)  base64-decoded  401 Unauthorized  &lt;- here\n" in shown(
        *samples.one_of_each()
    )


def test_what_is_new_is_said() -> None:
    """The summary tells what changed since the run before."""
    told = shown(*samples.one_of_each(), earlier=(samples.started(run_id="before"), samples.failing()))

    assert "Since <code>before</code>: 4 new, 1 still." in told


@given(text=ANY_TEXT)
@example("**bold** `code` [x](https://example.com) ![y](z) | cell | <b>html</b> ~~gone~~ @team #12 &amp;")
def test_hostile_text_becomes_no_markup(text: str) -> None:
    """A password of Markdown or HTML adds no element: no table cell, no link, no image, no mention."""
    tags = [_tags(f"a{part}b") for part in (text, "")]

    assert tags[0] == tags[1]


def _tags(part: str) -> list[str]:
    requirement = RequirementRecord(id="X-1", claim=part)
    case = samples.failing(story=(part,), requirements=("X-1",))
    return re.findall(r"<[a-z]\w*", shown(samples.started(requirements=(requirement,), site=part), case))


def test_markdown_in_a_claim_is_shown_as_it_is_written() -> None:
    """What looks like markup is text, and reads as it was written."""
    told = shown(samples.started(requirements=(RequirementRecord(id="X-1", claim="**a** | `b` <i>c</i> @d #1"),)))

    assert "<td>**a** | `b` &lt;i&gt;c&lt;/i&gt; @d #1</td>" in told


def test_a_huge_run_is_cut_where_github_would_refuse_it() -> None:
    """A summary stays below one mebibyte, and says that it was cut."""
    many = tuple(RequirementRecord(id=f"R-{number}", claim="x" * 2000) for number in range(700))
    content = github.render(results.of((samples.started(requirements=many), samples.finished())))

    assert len(content) < 1 << 20
    assert content.endswith("… cut here: the whole report is among the artefacts of the job\n".encode())
