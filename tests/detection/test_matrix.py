"""The matrix as data: what it calls a problem, what it tells, and the page it draws."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports.kill_matrix import Cell, Matrix, Odds, Row, from_json, line, render, to_json

CAUGHT = Cell(requirement="REPAVE-03", verdict="fail", case="a::b", presented="base64-decoded", examples=3, seconds=4.2)
ROW = Row(fault="one", family="credentials", because="why", claims=("REPAVE-03",), cells=(CAUGHT,))
HEALTHY = (Cell(requirement="REPAVE-03", verdict="pass"),)
GOOD = Matrix(
    started="2026-11-22T06:00:00Z", whole=True, requirements={"REPAVE-03": "unchanged"}, rows=(ROW,), healthy=HEALTHY
)
ODDS = Odds(seeds=100, budget=20, found=95, median=2, worst=19, predicted=3)


def test_a_matrix_without_a_fault_in_it_has_no_problem() -> None:
    """Every fault caught, every requirement made to fail, nothing healthy blamed: nothing to complain of."""
    assert GOOD.problems == ()
    assert GOOD.sentence == ("1 of 1 fault caught, 0 false alarms on the healthy lab, 1 of 1 requirement made to fail")


@pytest.mark.parametrize("verdict", ["pass", "dead", "error", "not covered", "not run", "known"])
def test_only_a_failure_catches(verdict: str) -> None:
    """A fault whose claimed requirement passes, or was not judged, has survived."""
    survived = replace(ROW, cells=(replace(CAUGHT, verdict=verdict),))

    assert [problem.partition(":")[0] for problem in replace(GOOD, rows=(survived,)).problems] == [
        "survivor", "untouched"
    ]  # fmt: skip


def test_a_fault_caught_by_a_unclaimed_has_survived() -> None:
    """What fails by accident elsewhere does not prove the requirement that claims the fault."""
    unclaimed = replace(CAUGHT, requirement="HOST-06", claimed=False)

    assert replace(ROW, cells=(unclaimed,)).is_caught is False


def test_no_row_at_all_is_a_problem() -> None:
    """A matrix of nothing proves nothing."""
    assert "no fault was tried" in replace(GOOD, rows=()).problems


@pytest.mark.parametrize("verdict", ["fail", "vacuous", "error", "dead", "not run"])
def test_a_healthy_lab_that_is_blamed_is_a_false_alarm(verdict: str) -> None:
    """Whatever a healthy lab does not pass is a false alarm, or at least unproven."""
    blamed = replace(GOOD, healthy=(replace(HEALTHY[0], verdict=verdict),))

    assert any(problem.startswith("false alarm") for problem in blamed.problems)


def test_silence_of_a_part_says_nothing() -> None:
    """Only a whole matrix complains of requirements that no fault makes fail."""
    more = {"REPAVE-03": "unchanged", "HOST-06": "hidden"}

    assert replace(GOOD, requirements=more).problems == ("untouched: no fault makes HOST-06 fail; write one",)
    assert replace(GOOD, requirements=more, whole=False).problems == ()


def test_too_few_seeds_are_a_problem() -> None:
    """A change that fewer than 95 % of the seeds find is one; 95 % are enough."""
    enough, less = (replace(GOOD, rows=(replace(ROW, odds=replace(ODDS, found=found)),)) for found in (95, 94))

    assert enough.problems == ()
    assert less.problems == ("improbable: 94 of 100 seeds find one, 95% are enough",)


def test_a_calculation_that_the_lab_contradicts_is_a_problem() -> None:
    """When the lab finds a fault at another example than was calculated, the calculated odds are worth nothing."""
    wrong = replace(GOOD, rows=(replace(ROW, odds=replace(ODDS, predicted=4)),))

    assert wrong.problems == ("unconfirmed: the lab found one at another example than was calculated",)
    assert replace(GOOD, rows=(replace(ROW, odds=ODDS),)).confirmed == 1


def test_a_matrix_comes_back_from_its_json() -> None:
    """What was written is what is read, for the next run that leaves out what has not changed."""
    matrix = replace(GOOD, rows=(replace(ROW, odds=ODDS),))

    assert from_json(to_json(matrix)) == matrix
    with pytest.raises(ValueError, match="not a kill matrix"):
        from_json(b"[]")


def test_the_line_of_a_fault_tells_by_whom_and_how_it_was_caught() -> None:
    """Caught or not, by which requirement, with which change, after how many examples, in how many seconds."""
    assert line(ROW).split() == ["caught", "one", "REPAVE-03", "base64-decoded", "3", "examples", "4.2", "s"]
    assert line(replace(ROW, cells=())).split()[:2] == ["SURVIVED", "one"]


def test_a_random_fault_that_changed_nothing_is_no_survivor() -> None:
    """Of random faults those count that changed something: the others could not be seen."""
    idle = Row(fault="x", family="random", cases=3, reached={"report": 3})
    unseen = replace(idle, fault="y", differed={"report": 1})

    assert replace(GOOD, rows=(ROW, idle)).survivors == ()
    assert (
        "1 of 3 faults caught, 50.0% of the 2 that changed anything" in replace(GOOD, rows=(ROW, idle, unseen)).sentence
    )
    assert [row.fault for row in replace(GOOD, rows=(ROW, idle, unseen)).survivors] == ["y"]
    assert line(idle).split()[0] == "idle"
    assert replace(idle, cases=0).is_idle is False  # nothing is known of it


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row(fault="x", trouble="its cases did not come to an end"), "its cases did not come to an end"),
        (Row(fault="x", cases=3), "never reached in 3 cases"),
        (Row(fault="x", cases=3, reached={"report": 2}), "reached in 2 of 3 cases, and never different"),
        (Row(fault="x", cases=3, reached={"report": 2}, differed={"report": 1}),
         "different in 1 of 3 cases, and unseen"),
        (replace(ROW, claims=("HOST-06",), cells=(replace(CAUGHT, claimed=False),), cases=1, reached={"report": 1}),
         "noticed by REPAVE-03 only, in 1 case"),
    ],
)  # fmt: skip
def test_a_survivor_is_told_with_what_it_did(row: Row, said: str) -> None:
    """Never reached, never different and unseen are three things, each told of so many cases."""
    assert row.survival == said
    assert said in line(row)
    assert any(said in problem for problem in replace(GOOD, rows=(row,)).problems)


def test_the_page_stands_alone_and_believes_nobody() -> None:
    """The page needs no network and no script, and hostile text in it stays text."""
    hostile = replace(ROW, because="<script>alert(1)</script>", cells=(replace(CAUGHT, observed='"><img src=x>'),))
    change = replace(ROW, fault="two", change="base64-standard", road="on-repave", odds=ODDS)
    later = replace(change, fault="three", change="trimmed", road="on-second-repave", odds=None)
    page = render(replace(GOOD, rows=(hostile, change, later)), [("Latest report", "../latest/report.html")]).decode()

    assert "<script" not in page
    assert "<img" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("REPAVE-03") >= 2
    assert "95.0 %" in page
    assert '<a href="../latest/report.html">Latest report</a>' in page
