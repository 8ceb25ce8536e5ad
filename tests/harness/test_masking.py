"""What is told of a case quotes no protected secret."""

from __future__ import annotations

from harness.failure_report import masked
from protected import Secret
from reports.leak_forms import Protected
from reports.records import CaseFinished, EventRow, Moment, PullRecord
from reports.verdicts import Verdict

SECRET = 'pa"ss\\wörd+1'
PROTECTED = [Protected("password of registry account robot", Secret(SECRET))]
NAME = "[password of registry account robot]"


def test_every_told_field_is_masked() -> None:
    """A secret in report, observation, events, pulls, notes, timeline or command becomes the name of what it is."""
    case = CaseFinished(
        case="suites/a.py::test_a",
        verdict=Verdict.FAIL,
        observed=f"assert {SECRET!r} not in text",
        story=(f"REPAVE-03 {SECRET}", "  reproduce"),
        notes=(f"seen: {SECRET}",),
        pulls=(PullRecord(time="t", phase="deploy", puller="node", repository=SECRET),),
        timeline=(Moment(time="t", lane="api", label=SECRET),),
        events=(EventRow(time="t", message='{"password": "pa\\"ss\\\\w\\u00f6rd+1"}'),),
        reproduce="https://robot:pa%22ss%5Cw%C3%B6rd%2B1@registry",
    )
    found = masked(case, PROTECTED)

    assert (found.observed, found.story[0], found.notes) == (
        f"assert '{NAME}' not in text",
        f"REPAVE-03 {NAME}",
        (f"seen: {NAME}",),
    )
    assert (found.pulls[0].repository, found.timeline[0].label) == (NAME, NAME)
    assert found.events[0].message == f'{{"password": "{NAME}"}}'
    assert found.reproduce == f"https://robot:{NAME}@registry"
    assert (found.case, found.verdict, found.pulls[0].phase) == (case.case, Verdict.FAIL, "deploy")


def test_what_the_harness_named_itself_stays() -> None:
    """A secret that equals a word of the harness changes neither a case's name nor its verdict."""
    case = CaseFinished(case="suites/pass.py::test_pass", verdict=Verdict.PASS, requirements=("pass",), title="pass")

    assert masked(case, [Protected("key", Secret("pass"))]) == case


def test_without_secrets_a_record_stays_as_it_is() -> None:
    """Where nothing is protected the very record comes back."""
    case = CaseFinished(case="a", verdict=Verdict.PASS)

    assert masked(case, []) is case


def test_of_two_secrets_the_longer_is_masked_first() -> None:
    """A secret that begins with another one is not left half readable."""
    both = [Protected("short", Secret("abcdefgh")), Protected("long", Secret("abcdefgh-and-more"))]

    assert masked(CaseFinished(case="a", verdict=Verdict.FAIL, observed="abcdefgh-and-more"), both).observed == "[long]"
