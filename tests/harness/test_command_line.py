"""The command that a report names is one that a user can type."""

from __future__ import annotations

import pytest

from harness.run import command_line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-q", "suites"], "./run conformance"),
        (["-q", "--lab-fault", "strict-base64", "suites"], "./run conformance -- --lab-fault strict-base64"),
        (["-k", "REPAVE-03 or MASK-01", "suites"], "./run conformance -- -k 'REPAVE-03 or MASK-01'"),
    ],
)
def test_a_report_names_the_command_that_a_user_typed(arguments: list[str], told: str) -> None:
    """What tox adds is left out, and what a shell would divide is quoted."""
    assert command_line(arguments) == told
