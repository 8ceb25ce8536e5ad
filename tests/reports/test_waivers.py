from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from reports import waivers
from reports.verdicts import Verdict
from reports.waivers import Waiver, WaiverError
from tests.reports import samples

TODAY = dt.date(2026, 11, 22)
RECORD: dict[str, object] = {
    "id": "PE-3568",
    "requirement": "CRED-04",
    "owner": "edge-team@example.com",
    "reason": "alphanumeric passwords are taken for base64 at repave",
    "link": "https://example.com/browse/PE-3568",
    "opened": "2026-10-01",
    "expires": "2026-12-30",
    "since": "4.2",
    "fingerprint": {"phase": "repave", "presented": "base64-*"},
}
KNOWN = Waiver(**{**RECORD, "opened": dt.date(2026, 10, 1), "expires": dt.date(2026, 12, 30)})  # type: ignore[arg-type]  # from data
FAILED = samples.case(Verdict.FAIL, "CRED-04", pulls=samples.pulls("base64-decoded", 401))
PASSED = samples.case(Verdict.PASS, "CRED-04", pulls=samples.pulls())


def load(path: Path, *records: dict[str, object]) -> list[Waiver]:
    """Write records as the project does, and load them."""
    path = path / "known_issues.yaml"
    path.write_text(yaml.safe_dump({"known_issues": list(records)}), encoding="utf-8")
    return waivers.load(path, {"CRED-04", "REPAVE-03"}, today=TODAY)


def test_a_good_record_is_read(tmp_path: Path) -> None:
    """A record with owner, reason, link, end and fingerprint is a waiver."""
    assert load(tmp_path, RECORD) == [KNOWN]


@pytest.mark.parametrize("content", ["known_issues: []\n", "known_issues: []"])
def test_no_known_issue_is_a_good_file(tmp_path: Path, content: str) -> None:
    """A file that lists none is read as none."""
    (tmp_path / "known_issues.yaml").write_text(content, encoding="utf-8")

    assert waivers.load(tmp_path / "known_issues.yaml", set(), today=TODAY) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"owner": None}, "'owner' is a required property"),
        ({"fingerprint": {}}, "fingerprint"),
        ({"fingerprint": {"mood": "bad"}}, "'mood' is not one of"),
        ({"colour": "red"}, "'colour' was unexpected"),
        ({"expires": "soon"}, "known_issues\\[0\\].expires"),
        ({"expires": "2026-12-31"}, "2026-12-30 at the latest \\(90 days\\)"),
        ({"expires": "2026-10-01"}, "ends after that day"),
        ({"opened": "2026-11-23", "expires": "2026-12-01"}, "lies in the future"),
        ({"opened": "9999-12-01", "expires": "9999-12-31"}, "lies in the future"),
        ({"opened": "2026-13-01"}, "2026-11-22"),
        ({"requirement": "CRED-99"}, "'CRED-99' does not exist"),
    ],
)
def test_a_bad_record_is_refused_with_what_would_be_right(tmp_path: Path, change: dict[str, object], told: str) -> None:
    """An incomplete, overlong or misdirected waiver is refused, naming the record and the key."""
    record = {key: value for key, value in {**RECORD, **change}.items() if value is not None}

    with pytest.raises(WaiverError, match=told):
        load(tmp_path, record)


def test_an_id_given_twice_is_refused(tmp_path: Path) -> None:
    """Two waivers of one id could not be told apart in a report."""
    with pytest.raises(WaiverError, match="stands here twice"):
        load(tmp_path, RECORD, {**RECORD, "requirement": "REPAVE-03"})


@pytest.mark.parametrize("content", [None, b"known_issues: [", b"- 1", b"\xff\xfe\x00", b"nonsense: 1"])
def test_a_file_that_is_no_list_of_waivers_is_refused(tmp_path: Path, content: bytes | None) -> None:
    """A missing, unreadable or shapeless file is refused with its name."""
    path = tmp_path / "known_issues.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(WaiverError, match=r"known_issues\.yaml"):
        waivers.load(path, set(), today=TODAY)


def test_the_last_day_of_a_waiver_still_counts(tmp_path: Path) -> None:
    """A waiver holds through the day on which it expires."""
    assert load(tmp_path, {**RECORD, "expires": "2026-11-22"})


def test_an_expired_waiver_covers_nothing_and_is_named(tmp_path: Path) -> None:
    """The day after its end the file is still read; the failure is a plain one and says which waiver expired when."""
    (waiver,) = load(tmp_path, {**RECORD, "expires": "2026-11-21"})
    case = waivers.recognise(FAILED, [], expired=[waiver])

    assert waiver.is_expired(TODAY)
    assert (case.verdict, case.waiver) == (Verdict.FAIL, "")
    assert case.story[-1].startswith("  waiver PE-3568 expired on 2026-11-21 and covers nothing any more")
    assert waivers.recognise(PASSED, [], expired=[waiver]) == PASSED


def test_a_failure_with_the_fingerprint_is_known() -> None:
    """A failure that shows what the waiver describes becomes known, and names the waiver."""
    case = waivers.recognise(FAILED, [KNOWN])

    assert case.verdict is Verdict.KNOWN
    assert case.waiver == "PE-3568"
    assert "until 2026-12-30" in case.reason


@pytest.mark.parametrize(
    "other",
    [
        replace(FAILED, pulls=samples.pulls("trimmed", 401)),
        replace(FAILED, pulls=samples.pulls("anonymous", 401)),
        replace(FAILED, pulls=()),
        replace(FAILED, pulls=(replace(FAILED.pulls[1], phase="deploy"),)),
        replace(FAILED, pulls=(*FAILED.pulls, replace(FAILED.pulls[0], presented="trimmed"))),
        replace(FAILED, requirements=("REPAVE-03",)),
    ],
    ids=["another change", "no credentials", "nothing seen", "another phase", "a second change", "another requirement"],
)
def test_another_failure_of_the_same_case_stays_red(other: object) -> None:
    """A failure that shows anything else than the fingerprint is not covered by the waiver."""
    assert waivers.recognise(other, [KNOWN]).verdict is Verdict.FAIL  # type: ignore[arg-type]  # a case


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.FAIL])
def test_only_failures_are_waived(verdict: Verdict) -> None:
    """A dead, vacuous or erroneous case is never known, whatever it shows."""
    case = replace(FAILED, verdict=verdict)

    assert waivers.recognise(case, [KNOWN]) == case


def test_a_waiver_that_meets_nothing_turns_the_run_red() -> None:
    """When all cases of a waived requirement pass, they are recorded as fixed until the waiver goes."""
    settled = waivers.settle([PASSED], [KNOWN], complete=True)

    assert [case.verdict for case in settled] == [Verdict.FIXED]
    assert "remove the waiver" in settled[0].reason


@pytest.mark.parametrize("verdict", [Verdict.FAIL, Verdict.KNOWN, Verdict.DEAD, Verdict.VACUOUS, Verdict.ERROR])
def test_a_waiver_is_not_called_out_of_date_without_proof(verdict: Verdict) -> None:
    """As long as one case of the requirement did not pass, nobody knows that the issue is gone."""
    assert waivers.settle([PASSED, replace(PASSED, case="b", verdict=verdict)], [KNOWN], complete=True) == []


def test_a_run_of_some_cases_cannot_judge_a_waiver_of_all() -> None:
    """A selection of cases says nothing about a waiver of the requirement; it does about a waiver of that one case."""
    named = replace(KNOWN, case="test_pass")

    assert waivers.settle([PASSED], [KNOWN], complete=False) == []
    assert [case.verdict for case in waivers.settle([PASSED], [named], complete=False)] == [Verdict.FIXED]


def test_cases_that_were_not_covered_do_not_hide_a_fix() -> None:
    """A case that the site cannot run neither proves nor disproves a known issue."""
    skipped = replace(PASSED, case="b", verdict=Verdict.NOT_COVERED)

    assert [case.case for case in waivers.settle([PASSED, skipped], [KNOWN], complete=True)] == [PASSED.case]


@pytest.mark.parametrize(
    ("version", "affected"),
    [
        ("4.1.9", False),
        ("4.2", True),
        ("4.2.0", True),
        ("4.9.12", True),
        ("4.10.1", False),
        ("5.0.0", False),
        ("", True),
    ],
)
def test_a_waiver_knows_the_versions_it_speaks_of(version: str, *, affected: bool) -> None:
    """Since and until are both included; the last named part decides; an unknown version counts as affected."""
    assert replace(KNOWN, until="4.9").affects(version) is affected
