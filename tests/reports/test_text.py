from __future__ import annotations

import re

import pytest

from reports import github, junit, results, summary
from reports.text import one_line, visible
from tests.reports import samples

COMMANDS = ["::error::owned", "  ::add-mask::x", "::set-output name=a::b", "##[error]owned", "##vso[task.complete]x"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_a_report_is_a_command_to_the_build_server(command: str) -> None:
    """A message of the site that holds a line ``::error::`` is shown everywhere and never obeyed."""
    text = f"first\n{command}\x1b[2J"
    case = samples.failing(story=(text,), observed=text, notes=(text,), reason=text)
    outcome = results.of((samples.started(site=text), case, samples.finished(left_behind=(text,))))

    for shown in (summary.render(outcome), junit.render(outcome).decode(), github.render(outcome).decode()):
        assert not re.search(r"^\s*::[\w-]+[^\n]*::|##\w*\[", shown, re.MULTILINE)
        assert "\x1b" not in shown


def test_what_only_looks_like_a_command_stays_as_it_is() -> None:
    """Addresses of IPv6 and pytest's names of cases are no commands."""
    for text in ("::1", "  ::1 refuses", "suites/a.py::test_b", "a ::error:: b", "## heading [x]"):
        assert visible(text) == text


def test_one_line_is_one_line() -> None:
    """A line feed becomes an escape where a line is promised."""
    assert one_line("a\n::error::b") == "a\\n\\x3a:error::b"
