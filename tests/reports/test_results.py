from __future__ import annotations

from dataclasses import replace

import pytest

from reports import certificate, changes, pulls, results, wording
from reports.records import CaseFinished, LeakGate, LeakHit, Record
from reports.verdicts import ExitCode, Verdict
from tests.reports import samples

GREEN = samples.all_green()


def run_of(*records: Record) -> results.Results:
    """Return the results of records."""
    return results.of(records)


def test_a_requirement_is_as_good_as_the_worst_of_its_cases() -> None:
    """One failing case makes a requirement fail, however many others pass."""
    cases = [samples.case(Verdict.PASS, case=f"case {number}") for number in range(9)]
    outcome = run_of(samples.started(), *cases, samples.case(Verdict.FAIL), samples.finished())

    assert outcome.requirements[0].verdict is Verdict.FAIL
    assert wording.held(outcome.requirements[0]) == "9 of 10"


def test_a_requirement_without_a_case_is_not_run() -> None:
    """A requirement that no case spoke of has no verdict, and makes the run partial."""
    outcome = run_of(samples.started(), samples.case(Verdict.PASS), samples.finished(collected=1))

    assert outcome.requirements[1].verdict is None
    assert outcome.requirements[1].label == "not run"
    assert any("REPAVE-03" in gap for gap in outcome.gaps)


def test_a_requirement_that_the_list_does_not_know_is_shown_all_the_same() -> None:
    """A case of an unlisted requirement is not lost."""
    outcome = run_of(samples.started(), samples.case(Verdict.FAIL, "NEW-99"), samples.finished())

    assert outcome.requirements[-1].requirement.id == "NEW-99"


@pytest.mark.parametrize(
    ("records", "gap"),
    [
        (GREEN[:-1], "did not end"),
        ((*GREEN[:-1], samples.finished(interrupted=True)), "interrupted"),
        ((*GREEN[:-1], samples.finished(collected=9)), "1 of 9 cases did not run"),
        ((*GREEN[:-1], samples.finished(deselected=3)), "3 cases left out"),
        ((GREEN[0], *GREEN[2:]), "DEPLOY-01"),
    ],
)
def test_what_makes_a_run_partial_is_named(records: tuple[Record, ...], gap: str) -> None:
    """A run that left something out says what; a whole run has no gap."""
    assert run_of(*GREEN).gaps == ()
    assert any(gap in told for told in run_of(*records).gaps)


def test_a_case_that_is_recorded_again_counts_as_recorded_last() -> None:
    """The last word on a case holds: a waiver that turned out to be out of date changes its verdict at the end."""
    outcome = run_of(
        samples.started(), samples.case(Verdict.PASS), samples.case(Verdict.FIXED, case=samples.case(Verdict.PASS).case)
    )

    assert [case.verdict for case in outcome.cases] == [Verdict.FIXED]


@pytest.mark.parametrize(
    ("verdict", "code", "words"),
    [
        (Verdict.FAIL, ExitCode.FAIL, "Does not conform: it broke (DEPLOY-01)."),
        (Verdict.ERROR, ExitCode.ERROR, "No verdict, the harness went wrong: it broke (DEPLOY-01)."),
        (Verdict.DEAD, ExitCode.DEAD, "No verdict, infrastructure was gone: it broke (DEPLOY-01)."),
        (Verdict.VACUOUS, ExitCode.VACUOUS, "Not proven, a phase did not really happen: it broke (DEPLOY-01)."),
        (Verdict.FIXED, ExitCode.FIXED, "A waiver is out of date, remove it: it broke (DEPLOY-01)."),
        (Verdict.KNOWN, ExitCode.OK, "Conforms: all 8 requirements hold; 1 known."),
        (Verdict.NOT_COVERED, ExitCode.OK, "Conforms: 7 of 8 requirements hold; 1 not covered."),
        (Verdict.PASS, ExitCode.OK, "Conforms: all 8 requirements hold."),
    ],
)
def test_each_class_has_its_sentence_and_its_exit_code(verdict: Verdict, code: ExitCode, words: str) -> None:
    """A run with one case of a class says so in its first sentence, and exits with that class' code."""
    outcome = run_of(
        GREEN[0], samples.case(verdict, case="suites/test_all.py::test_0", observed="it broke"), *GREEN[2:]
    )

    assert outcome.exit_code is code
    assert wording.sentence(outcome) == words


def test_a_run_that_covered_nothing_claims_nothing() -> None:
    """When every case was not covered, the sentence says that nothing was proven."""
    assert "Nothing was proven" in wording.sentence(run_of(GREEN[0], samples.case(Verdict.NOT_COVERED), GREEN[-1]))


def certification(*cases: CaseFinished, level: str = "must") -> results.Results:
    """Return a certification of one requirement beside those that hold."""
    other = replace(samples.REQUIREMENTS[0], id="MUST-99", level=level)
    begun = samples.started(level="certification", requirements=(*samples.REQUIREMENTS, other))
    return run_of(begun, *GREEN[1:-1], *cases, samples.finished(collected=8 + len(cases)))


@pytest.mark.parametrize("level", ["must", "must not"])
@pytest.mark.parametrize(
    "cases",
    [
        (samples.case(Verdict.NOT_COVERED, "MUST-99", case="a"),),
        (samples.case(Verdict.PASS, "MUST-99", case="a"), samples.case(Verdict.NOT_COVERED, "MUST-99", case="b")),
        (samples.case(Verdict.KNOWN, "MUST-99", case="a"), samples.case(Verdict.NOT_COVERED, "MUST-99", case="b")),
        (),
    ],
    ids=["not covered", "covered in part", "covered in part, known", "not run"],
)
def test_a_certification_with_an_open_must_is_refused(cases: tuple[CaseFinished, ...], level: str) -> None:
    """A certification that leaves a requirement uncovered, wholly or in part, ends with a code and says which."""
    outcome = certification(*cases, level=level)

    assert outcome.exit_code is ExitCode.UNCOVERED
    assert outcome.uncovered == ("MUST-99",)
    assert "Not certified: 1 requirement not covered by this run (MUST-99)" in wording.sentence(outcome)
    assert certificate.result(outcome) == "FAILED"


def test_only_a_certification_must_cover_everything() -> None:
    """What is no must may stay open in a certification, and in a run of another level everything may."""
    open_case = samples.case(Verdict.NOT_COVERED, "MUST-99", case="a")
    covered = certification(samples.case(Verdict.PASS, "MUST-99", case="a"))

    assert covered.exit_code is ExitCode.OK
    assert certification(open_case, level="recommendation").exit_code is ExitCode.OK
    assert run_of(*GREEN[:-1], open_case, samples.finished()).exit_code is ExitCode.OK


def test_a_failure_is_graver_than_what_is_not_covered() -> None:
    """In a certification that fails and leaves something open, the failure is what its code says."""
    assert certification(samples.case(Verdict.FAIL, "MUST-99", case="a")).exit_code is ExitCode.FAIL
    assert certification(samples.case(Verdict.DEAD, case="a")).exit_code is ExitCode.DEAD


def test_a_partial_run_does_not_claim_to_conform() -> None:
    """A selection of cases that all pass says so, and no more."""
    outcome = run_of(samples.started(), samples.case(Verdict.PASS), samples.finished(collected=1, deselected=7))

    assert wording.sentence(outcome) == "Nothing failed of what ran: 1 of 8 requirements holds; the run is partial."


def test_a_leak_and_an_interruption_are_told_first() -> None:
    """A leaking and an interrupted run say that before anything else, and what failed beside it."""
    leak = LeakGate(canary_found=True, hits=(LeakHit(file="a.txt", secret="api key", form="base64"),))
    leaking = run_of(*GREEN[:-1], samples.failing(), samples.finished(leak_gate=leak))
    stopped = run_of(*GREEN[:-1])

    assert leaking.exit_code is ExitCode.LEAK
    assert wording.sentence(leaking).startswith("Not to be passed on: a protected secret stood in 1 file")
    assert "1 fail (REPAVE-03)" in wording.sentence(leaking)
    assert stopped.exit_code is ExitCode.INTERRUPTED
    assert wording.sentence(stopped) == "Not finished, not a result: 8 cases had ended."


def test_changes_tell_new_still_mended_and_gone() -> None:
    """A red case is new, still red, mended or not run any more, compared with the run before."""
    names = {"still": Verdict.FAIL, "mended": Verdict.DEAD, "gone": Verdict.FAIL, "green": Verdict.PASS}
    earlier = run_of(*(samples.case(verdict, case=name) for name, verdict in names.items()))
    names = {"still": Verdict.VACUOUS, "mended": Verdict.PASS, "new": Verdict.FAIL, "green": Verdict.PASS}
    later = run_of(*(samples.case(verdict, case=name) for name, verdict in names.items()))

    found = changes.between(earlier, later)
    for kind in (found.still, found.mended, found.gone, found.new):
        assert len(kind) == 1
    assert [change.case.case for change in (*found.still, *found.mended, *found.gone, *found.new)] == [
        "still",
        "mended",
        "gone",
        "new",
    ]
    assert changes.between(later, later).new == ()


def test_pulls_that_look_alike_are_counted_not_repeated() -> None:
    """A property's many examples do not bury the one pull that decides."""
    told = pulls.lines([*samples.pulls(), *samples.pulls(), *samples.pulls("base64-decoded", 401)])

    assert told == [
        "  deploy  agent  (skopeo/1.9.3)       intact                            (x3)",
        "  repave  node   (containerd/1.6.20)  intact                            (x2)",
        "  repave  node   (containerd/1.6.20)  base64-decoded  401 Unauthorized  <- here",
    ]


def test_pulls_from_another_registry_are_told_apart() -> None:
    """A pull whose repository begins with a registry's address counts for itself, and its line says where it went."""
    own, _ = samples.pulls()
    far = replace(own, repository="10.0.0.1:5001/provider/ubuntu-k3s")

    assert (own.elsewhere, far.elsewhere, replace(own, repository="/v2/").elsewhere) == ("", "10.0.0.1:5001", "")
    assert pulls.lines([own, far]) == [
        "  deploy  agent  (skopeo/1.9.3)                 intact",
        "  deploy  agent  (skopeo/1.9.3)  10.0.0.1:5001  intact",
    ]
