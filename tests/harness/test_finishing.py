"""The end of a run, when the harness itself is in trouble."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from harness import plugin
from reports.verdicts import ExitCode

if TYPE_CHECKING:
    from harness.run import Run


def test_reports_that_cannot_be_written_are_the_harness_own_failure() -> None:
    """A full disk is never told as a product that is wrong; what went wrong is said."""

    def finish(**_given: object) -> None:
        raise OSError(28, "No space left on device")

    session: Any = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()), exitstatus=0)
    run = SimpleNamespace(cases=["a"], finish=finish)
    plugin._finish(session, cast("Run", run), 0)
    code, text = session.config.stash[plugin.SUMMARY]

    assert (session.exitstatus, code) == (3, ExitCode.ERROR)
    assert "No space left on device" in text
