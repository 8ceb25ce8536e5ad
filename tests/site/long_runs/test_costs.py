"""What a case costs, as earlier runs noted it; a damaged run beside them ends nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.costs import LAB, REAL, Cost, known_costs
from reports import history, results, runs
from reports.journal import FILE_NAME, Journal
from reports.records import CaseFinished, RunFinished, RunStarted
from reports.verdicts import Verdict

CASE = "suites/lifecycle/test_repave.py::test_a"


def item(phase: str = "repave") -> Any:  # noqa: ANN401 - as much of a case as costs look at
    """Return a case of a phase."""
    marker = SimpleNamespace(kwargs={"phase": phase})
    return SimpleNamespace(nodeid=CASE, get_closest_marker=lambda _name: marker)


def noted(home: Path, site: str = "lab", **case: Any) -> Path:  # noqa: ANN401 - fields of a record
    """Write a run in which the case ended so."""
    folder = runs.create(home)
    given: dict[str, Any] = {
        "verdict": Verdict.PASS,
        "seconds": 30.0,
        "clusters": 2,
        "repaves": 3,
        "hosts": ("edge-1",),
    }
    with Journal(folder / FILE_NAME) as journal:
        journal.write(RunStarted(run_id=folder.name, started="2026-11-22T06:35:00.000Z", site=site))
        journal.write(CaseFinished(case=CASE, **{**given, **case}))
    return folder


def cost(home: Path, case: Any, *, real: bool = False) -> Cost:  # noqa: ANN401 - as above
    """Return what the case costs on the lab, or on a real site called ``far``."""
    return known_costs("far" if real else "lab", home, real=real).of(case)


def test_a_case_that_never_ran_costs_what_its_phase_says(tmp_path: Path) -> None:
    """A deployment, a repave after one, or nothing."""
    assert cost(tmp_path, item("deploy")) == Cost(1, 0, 2.0)
    assert cost(tmp_path, item("repave")) == Cost(1, 1, sum(LAB))
    assert cost(tmp_path, item("")) == Cost(0, 0, 2.0)


def test_a_case_costs_what_it_did_when_it_ran(tmp_path: Path) -> None:
    """Counts are those of the last run, seconds those of this site."""
    noted(tmp_path)
    assert cost(tmp_path, item("deploy")) == Cost(2, 3, 30.0, measured=True)
    assert cost(tmp_path, item("deploy"), real=True) == Cost(2, 3, 2 * REAL[0] + 3 * REAL[1])


def test_a_history_file_says_what_cases_cost_where_no_run_is_kept(tmp_path: Path) -> None:
    """A build server that keeps one file only still knows how long the night takes."""
    ended = results.load(noted(tmp_path / "gone"))
    history.append(tmp_path / "nights", replace(ended, finished=RunFinished(ended="2026-11-22T07:00:00.000Z")))

    known = known_costs("lab", tmp_path, real=False, past=tmp_path / "nights")
    assert known.of(item("deploy")) == Cost(2, 3, 30.0, measured=True)


def test_a_journal_from_before_cases_were_counted_says_nothing_of_counts(tmp_path: Path) -> None:
    """A case that had hosts had clusters, whatever the journal says."""
    noted(tmp_path, clusters=0, repaves=0)

    assert cost(tmp_path, item("repave")) == Cost(1, 1, 30.0, measured=True)


@pytest.mark.parametrize(
    "damage",
    [
        b"[" * 100_000,
        b'{"record":"case","case":"x","verdict":"pass","seconds":1e999}',
        b'{"record":"case","case":"%s","verdict":"pass","seconds":-1}' % CASE.encode(),
        b'{"record":"case","case":"%s","verdict":"pass","clusters":1e30}' % CASE.encode(),
        b'{"record":"run-started","run_id":1}',
        b"\xff\xfe\x00",
    ],
    ids=["nested", "infinite", "negative", "huge", "wrong type", "no text"],
)
def test_a_damaged_journal_of_another_run_ends_no_run(tmp_path: Path, damage: bytes) -> None:
    """Whatever another run's journal says, what the others noted counts."""
    noted(tmp_path)
    with (runs.create(tmp_path) / FILE_NAME).open("wb") as journal:
        journal.write(damage)

    assert cost(tmp_path, item("deploy")) == Cost(2, 3, 30.0, measured=True)
