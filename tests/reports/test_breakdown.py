"""A run seen from the side."""

from __future__ import annotations

import pytest

from reports import results
from reports.breakdown import by_host, by_vector_class, notes
from reports.records import CaseFinished, Moment, RunStarted
from reports.results import Results
from reports.verdicts import Verdict
from tests.reports import samples


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


def test_recorded_lines_of_one_kind_are_one_row() -> None:
    """Twenty certificates that are refused are a row of names, not twenty lines; what stands alone stays as it is."""
    told = [f"deploy: {name} is refused" for name in ("expired", "wrong-name", "one-line")]
    told += ["deploy: well-formed is accepted", "X1: an edit of the credentials alone repaves"]
    cases = [samples.case(Verdict.PASS, "TLS-02", case=f"a::{note}", notes=(note,)) for note in told]

    assert notes(results.of((samples.started(), *cases))) == [
        (("TLS-02",), [("deploy is refused", "expired, wrong-name, one-line"), *[(note, "") for note in told[3:]]])
    ]


def course(seconds: float, host: str = "edge-1") -> tuple[Moment, ...]:
    """Return a deployment and a repave whose hosts boot so many seconds after each call; a retry does not count."""
    told = [
        (0.0, "api", "", "deploy: provider:v1"), (seconds, "host", host, "boots provider:v1, active"),
        (50.0, "api", "", "repave: provider:v2"), (50 + 2 * seconds, "host", host, "boots provider:v2, active"),
        (99.0, "host", host, "boots provider:v2, active"),
    ]  # fmt: skip
    return tuple(Moment(time=samples.at(at), lane=lane, host=host, label=label) for at, lane, host, label in told)


@pytest.mark.parametrize(("cases", "rows"), [(5, 0), (6, 2)])
def test_more_than_ten_deployments_and_repaves_are_shown_by_host(cases: int, rows: int) -> None:
    """Each is timed from the call to Palette to the host's first boot after it."""
    run = [samples.case(Verdict.PASS, case=f"a::{n}", timeline=course(n + 1)) for n in range(cases)]
    found = by_host(results.of((samples.started(), *run)))

    assert len(found) == rows
    if rows:
        assert [(row.host, row.phase, row.median, max(row.seconds)) for row in found] == [
            ("edge-1", "deploy", 3.5, 6.0), ("edge-1", "repave", 7.0, 12.0)
        ]  # fmt: skip
        assert found[1].places[-1] == "98.0"


def test_a_repave_that_several_cases_looked_at_is_one() -> None:
    """Cases that share a cluster have its course each; its deployment and repave are counted once."""
    run = [samples.case(Verdict.PASS, case=f"a::{n}", timeline=course(3)) for n in range(20)]

    assert by_host(results.of((samples.started(), *run))) == []
