from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import results, summary
from reports.verdicts import Verdict
from tests.reports import samples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_stands_in_words_beside_its_requirement(verdict: Verdict) -> None:
    """The table names the verdict of a requirement in words."""
    outcome = results.of((samples.started(), samples.case(verdict, reason="because"), samples.finished()))
    text = summary.render(outcome)

    assert re.search(rf"^{verdict.value} +DEPLOY-01  A deployment pulls", text, re.MULTILINE)


def test_a_failure_is_told_as_the_style_shows_it() -> None:
    """A failure says what the product did, what each pull presented, and the line to reproduce it."""
    text = summary.render(results.of(samples.one_of_each()), width=120)

    assert (
        "FAIL  REPAVE-03  host edge-1 presented base64-decode(password) at repave; "
        "the profile says 'Passw0rdPassw0rd'\n"
        "  deploy  agent  (skopeo/1.9.3)       intact\n"
        "  repave  node   (containerd/1.6.20)  base64-decoded  401 Unauthorized  <- here\n"
        "  reproduce: ./run conformance -k repave_presents --hypothesis-seed 20261122\n"
    ) in text


def test_what_is_known_or_not_covered_is_told_with_its_reason() -> None:
    """A waived failure names waiver, owner and end; a case that is not covered names the missing feature."""
    text = summary.render(results.of(samples.one_of_each()))

    assert "known: CRED-04 (waiver PE-3568 of edge-team@example.com, until 2026-12-20)\n" in text
    assert "not covered: 1 case, the site has no feature 'multi-node'\n" in text


def test_the_last_lines_say_what_it_means_and_where_to_read_on() -> None:
    """The summary ends with the sentence, the counts, the reports' directory, and the certificate's file."""
    run = Path("/reports/runs/one")
    green = results.of(samples.all_green())
    text = summary.render(green, where=run, certificate=run / "certificate.tar")

    assert summary.render(green).endswith("\nConforms: all 8 requirements hold.\n8 pass · seed 20261122 · 1 min 32 s\n")
    assert text.endswith("reports: /reports/runs/one\ncertificate: /reports/runs/one/certificate.tar\n")


@pytest.mark.parametrize("width", [60, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """Long claims are cut, sentences are broken between words; only a line to copy stays in one piece."""
    partial = samples.finished(collected=8, deselected=69, left_behind=("cluster conf-1 " * 20,))
    for coloured in (False, True):
        text = summary.render(results.of((*samples.one_of_each()[:-1], partial)), width=width, colour=coloured)
        lines = re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()

        assert [
            line for line in lines if len(line) > width and "reproduce:" not in line and "  node " not in line
        ] == []


def test_colour_adds_nothing_but_colour() -> None:
    """Without its escape sequences a coloured summary is the plain one."""
    outcome = results.of(samples.one_of_each())
    coloured = summary.render(outcome, colour=True)

    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == summary.render(outcome)


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file gets no colour; a terminal does, unless NO_COLOR says otherwise."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert summary.wants_colour(Terminal())
    assert not summary.wants_colour(io.StringIO())

    monkeypatch.setenv("NO_COLOR", "1")
    assert not summary.wants_colour(Terminal())


@given(text=ANY_TEXT)
def test_hostile_text_does_not_steer_the_terminal(text: str) -> None:
    """No control character of a vector, a message or a title reaches the terminal."""
    case = samples.failing(title=text, story=(text,), reason=text, reproduce=text)
    shown = summary.render(results.of((samples.started(), case, samples.finished())))

    shown.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
