"""A run seen from the side."""

from __future__ import annotations

from reports.breakdown import by_vector_class
from reports.records import CaseFinished, RunStarted
from reports.results import Results
from reports.verdicts import Verdict


def test_a_case_covers_every_class_that_its_passwords_are_of() -> None:
    """Drawn passwords count for all their classes, a vector for the one it stands in the catalogue for."""
    cases = (
        CaseFinished(case="a", verdict=Verdict.PASS, password_classes={"alphanumeric": 3, "colon": 1}, examples=4),
        CaseFinished(case="b", verdict=Verdict.FAIL, password_classes={"alphanumeric": 1}, examples=1),
        CaseFinished(case="c", verdict=Verdict.PASS, vector_class="user names"),
        CaseFinished(case="d", verdict=Verdict.PASS),
    )
    found = by_vector_class(Results(RunStarted(run_id="r", started="", site="lab", level="default"), cases, None))

    assert [(each.name, each.total, each.examples, each.counts[Verdict.FAIL]) for each in found] == [
        ("alphanumeric", 2, 4, 1), ("colon", 1, 1, 0), ("user names", 1, 0, 0)
    ]  # fmt: skip
