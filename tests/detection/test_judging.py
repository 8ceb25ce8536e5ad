"""From journals to cells: verdicts are read, the first failure decides."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from detection import labs, matrix
from detection.switching import Mutant, Plan, cases_file, touches_file
from reports.journal import FILE_NAME, Journal
from reports.records import CaseFinished, PullRecord
from reports.verdicts import Verdict

PULL = PullRecord(time="", phase="repave", puller="node", presented="base64-decoded")


def finished(verdict: Verdict, *requirements: str, **more: object) -> CaseFinished:
    """Return the record of a case."""
    return CaseFinished(case=str(more.pop("case", "c")), verdict=verdict, requirements=requirements, **more)  # type: ignore[arg-type]


def test_the_first_failure_of_a_requirement_counts() -> None:
    """Of several cases the first that failed is told, with what it saw presented; a pass beside it changes nothing."""
    cases = [
        finished(Verdict.PASS, "R-1"),
        finished(Verdict.FAIL, "R-1", "R-2", case="drawn", examples=4, seconds=2.0, pulls=(PULL,), phase="repave"),
        finished(Verdict.FAIL, "R-1", case="later"),
    ]
    first, other = matrix.cells(cases, ["R-1"], drawn={"drawn"})

    assert (first.verdict, first.case, first.presented, first.seconds) == ("fail", "drawn", "base64-decoded", 2.0)
    assert first.examples == 4
    assert (other.requirement, other.claimed) == ("R-2", False)


def test_a_claim_without_a_case_is_not_run() -> None:
    """A requirement that claims the fault and has no verdict shows as not run, not as passed."""
    assert [cell.verdict for cell in matrix.cells([], ["R-1"], drawn=set())] == ["not run"]
    settled = [finished(Verdict.NOT_COVERED, "R-1")]
    assert [cell.verdict for cell in matrix.cells(settled, ["R-1"], drawn=set())] == ["not run"]


def test_the_gravest_verdict_of_what_did_not_fail_is_told() -> None:
    """Where nothing failed, a harness error is not hidden behind a pass, and does not count as caught."""
    (cell,) = matrix.cells([finished(Verdict.PASS, "R-1"), finished(Verdict.ERROR, "R-1")], ["R-1"], drawn=set())

    assert cell.verdict == "error"
    assert not cell.caught


def test_what_the_case_is_about_is_told_before_other_phases() -> None:
    """A change in the phase of the case is named before one of another phase; requests without a login never are."""
    anonymous = PullRecord(time="", phase="repave", puller="node", presented="anonymous")
    other = PullRecord(time="", phase="deploy", puller="agent", presented="trimmed")
    refused = PullRecord(time="", phase="repave", puller="node", presented="wrong on purpose")

    assert matrix.presented([anonymous, other, PULL], "repave") == "base64-decoded"
    assert matrix.presented([anonymous, other], "repave") == "trimmed"
    assert matrix.presented([refused, PULL], "repave") == "base64-decoded"
    assert matrix.presented([anonymous, refused], "repave") == ""


def test_journals_are_read_while_they_are_written(tmp_path: Path) -> None:
    """Cases are found under their ordinary name and their mutant, also in a journal whose last line is torn."""
    plan = tmp_path / "plan.json"
    Plan("lab", (Mutant("x", {"name": "x"}, ("R-1",)),)).write(plan)
    cases_file(plan).write_text(json.dumps({"t.py::a[x]": {"mutant": "x", "case": "t.py::a", "drawn": True}}))
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    with Journal(run / FILE_NAME) as journal:
        journal.write(finished(Verdict.FAIL, "R-1", case="t.py::a[x]"))
    with (run / FILE_NAME).open("a") as file:
        file.write('{"record": "case", "cas')
    findings = labs.read(plan, tmp_path)

    assert [case.case for case in findings.of["x"]] == ["t.py::a"]
    assert findings.drawn == {"t.py::a"}
    assert findings.count == 1


def test_a_plan_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """What the plugin reads is what was planned, and a case is run for those mutants that it concerns."""
    mine = Mutant("x", {"name": "x"}, ("R-1",), cases=("a",), watched=({"name": "w"},))
    other = Mutant("y", {"name": "y"}, ("R-2",))
    Plan("lab", (mine, other)).write(tmp_path / "plan.json")
    plan = Plan.read(tmp_path / "plan.json")

    assert plan.mutants == (mine, other)
    assert plan.mutants_for(("R-1", "R-3")) == [mine]
    for always in (replace(other, every=True), replace(other, once=True)):
        assert Plan("lab", (mine, always)).mutants_for(("R-1",)) == [mine, always]


def test_what_a_fault_did_is_read_by_case(tmp_path: Path) -> None:
    """Where a fault was asked and changed something is known by injection point and case, torn last lines apart.

    That is so for a fault in force and for one that is watched while the lab is healthy.
    """
    plan = tmp_path / "plan.json"
    Plan("lab", (Mutant("x", {"name": "x"}, ("R-1",)),)).write(plan)
    names = {f"t.py::{case}[healthy]": {"mutant": "", "case": f"t.py::{case}", "drawn": False} for case in "ab"}
    cases_file(plan).write_text(json.dumps(names))
    lines = [
        {"case": f"t.py::{case}[healthy]", "touches": [{"fault": "x", "point": "report", "differed": case == "b"}]}
        for case in "ab"
    ]
    touches_file(plan).write_text("\n".join(map(json.dumps, lines)) + '\n{"case": "t')
    findings = labs.read(plan, tmp_path)

    assert findings.reached["x"]["report"] == {"t.py::a", "t.py::b"}
    assert findings.differed["x"]["report"] == {"t.py::b"}


@pytest.mark.parametrize(
    ("mutant", "caught", "settled"),
    [
        (Mutant("x", {}, ("R-1",)), {"R-1"}, True),
        (Mutant("x", {}, ("R-1",)), {"R-2"}, False),
        (Mutant("x", {}, ("R-1",), every=True), {"R-1"}, False),
        (Mutant("x", {}, ("R-1",), once=True), {"R-2"}, True),
        (Mutant("x", {}, (), once=True), set(), False),
    ],
)
def test_a_case_is_left_out_where_it_adds_nothing(mutant: Mutant, caught: set[str], settled: bool) -> None:  # noqa: FBT001 - data
    """What has been caught is not run again, unless every case was asked for; a random fault is caught once."""
    assert mutant.is_settled({"R-1"}, caught) is settled
