"""The end of a run, when the harness itself is in trouble."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from _pytest.outcomes import Exit

from harness import plugin
from harness.run import SUITES, Run
from reports import runs
from reports.journal import Journal
from reports.verdicts import ExitCode
from tests.reports import samples


def test_reports_that_cannot_be_written_are_the_harness_own_failure() -> None:
    """A full disk is never told as a product that is wrong; what went wrong is said."""

    def finish(**_given: object) -> None:
        raise OSError(28, "No space left on device")

    session: Any = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()), exitstatus=0)
    run = SimpleNamespace(cases=["a"], finish=finish, folder="reports/runs/1", id="1")
    plugin._finish(session, cast("Run", run), 0)
    code, text = session.config.stash[plugin.SUMMARY]

    assert (session.exitstatus, code) == (3, ExitCode.ERROR)
    assert text == (
        "the reports could not be written: reports/runs/1: No space left on device; make room, then --resume 1"
    )


def test_a_case_that_cannot_be_recorded_ends_the_run_in_one_line() -> None:
    """A full disk in the middle of a run is no traceback, and what was recorded can be resumed."""

    def end_case(_item: object) -> None:
        raise OSError(28, "No space left on device")

    run = SimpleNamespace(begin_case=lambda _case: None, end_case=end_case, folder="reports/runs/1", id="1")
    stash = pytest.Stash()
    stash[plugin.RUN] = cast("Run", run)
    item: Any = SimpleNamespace(config=SimpleNamespace(stash=stash), nodeid="x", path=SUITES / "x.py")
    going = plugin.pytest_runtest_protocol(item)
    next(going)
    with pytest.raises(Exit, match="nothing more can be recorded: reports/runs/1: No space left on device") as ended:
        going.send(None)

    assert ended.value.returncode == 3


@pytest.mark.parametrize("columns", [60, 80, 110])
def test_the_summary_of_a_run_is_as_wide_as_its_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """In a window of 80 columns no row of requirements is broken, and in a wider one its room is used."""
    monkeypatch.setenv("COLUMNS", str(columns))
    folder = runs.create(tmp_path)
    journal = Journal(folder / "journal.ndjson")
    for record in samples.all_green()[:-1]:
        journal.write(record)
    nothing: dict[str, Any] = {"cases": [], "waivers_in_force": [], "left_behind": [], "protected": []}
    options = SimpleNamespace(signer=None, history=None)
    run = SimpleNamespace(
        **nothing, start=lambda: None, journal=journal, folder=folder, options=options, collected=8, deselected=0
    )
    _code, text = Run.finish(cast("Run", run), interrupted=False)

    assert max(map(len, text.splitlines()[:8])) == columns
