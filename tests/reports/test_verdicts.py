from __future__ import annotations

import pytest

from reports.verdicts import ExitCode, Verdict, exit_code, of_exception, worst

QUIET = [Verdict.PASS, Verdict.KNOWN, Verdict.NOT_COVERED]
RED = [verdict for verdict in Verdict if verdict not in QUIET]


class HostLostError(Exception):
    """A client's way of saying that a host is gone."""


class NoRepaveError(AssertionError):
    """A failed assertion that means more than a failure."""


def test_only_pass_known_and_not_covered_exit_0() -> None:
    """A run exits 0 if and only if every verdict in it is pass, known or not covered."""
    assert exit_code(QUIET) == 0
    assert all(exit_code([*QUIET, verdict]) != 0 for verdict in RED)


def test_each_red_class_has_an_exit_code_of_its_own() -> None:
    """No two classes of verdict share an exit code, and none takes one that means something else."""
    codes = {exit_code([verdict]) for verdict in RED}

    assert len(codes) == len(RED)
    assert not codes & {ExitCode.INTERRUPTED, ExitCode.SETUP, ExitCode.NOTHING_RUN, ExitCode.LEAK}


def test_pytests_codes_keep_their_meaning() -> None:
    """Where pytest has a code for the same thing, ours is that code; all others are codes that pytest never uses."""
    same = {
        "FAIL": "TESTS_FAILED",
        "ERROR": "INTERNAL_ERROR",
        "SETUP": "USAGE_ERROR",
        "NOTHING_RUN": "NO_TESTS_COLLECTED",
        "OK": "OK",
        "INTERRUPTED": "INTERRUPTED",
    }
    theirs = {code.name: code.value for code in pytest.ExitCode}

    for ours in ExitCode:
        if ours.name in same:
            assert ours.value == theirs[same[ours.name]]
        else:
            assert ours.value not in theirs.values()


@pytest.mark.parametrize("verdict", RED)
def test_a_product_failure_is_not_hidden_by_another_class(verdict: Verdict) -> None:
    """A run with a failing case exits as a product failure, whatever else went wrong beside it."""
    assert exit_code([verdict, Verdict.FAIL, Verdict.PASS]) is ExitCode.FAIL


def test_a_leak_outweighs_everything() -> None:
    """A run in which a secret leaked exits with the code of a leak, also when interrupted and failing."""
    assert exit_code([Verdict.FAIL], interrupted=True, leaked=True) is ExitCode.LEAK


def test_a_gate_that_missed_its_canary_is_an_error_of_the_harness() -> None:
    """Without a working leak gate a green run is an error; a failing one stays a failure of the product... or worse."""
    assert exit_code([Verdict.PASS], gate_broken=True) is ExitCode.ERROR
    assert exit_code([Verdict.FAIL], gate_broken=True) is ExitCode.FAIL


def test_an_interrupted_run_and_an_empty_run_say_so() -> None:
    """A run that was stopped, and a run without a case, have codes of their own."""
    assert exit_code([Verdict.PASS], interrupted=True) is ExitCode.INTERRUPTED
    assert exit_code([]) is ExitCode.NOTHING_RUN


def test_a_failed_assertion_is_a_failure_and_an_unnamed_exception_an_error() -> None:
    """The product is blamed for failed assertions only; what nobody named is the harness' own fault."""
    assert of_exception(AssertionError(), {}) is Verdict.FAIL
    assert of_exception(KeyError("x"), {}) is Verdict.ERROR
    assert of_exception(None, {}) is Verdict.PASS


def test_the_most_specific_class_of_an_exception_decides() -> None:
    """An assertion whose class has a meaning of its own has that meaning."""
    assert of_exception(NoRepaveError(), {NoRepaveError: Verdict.VACUOUS}) is Verdict.VACUOUS


def test_a_cause_speaks_when_the_exception_itself_says_nothing() -> None:
    """An unnamed exception that was raised from a lost host is dead, not an error."""
    wrapped = RuntimeError("while tidying up")
    wrapped.__cause__ = HostLostError()

    assert of_exception(wrapped, {HostLostError: Verdict.DEAD}) is Verdict.DEAD


def test_of_a_group_the_gravest_counts() -> None:
    """Several exceptions at once, as Hypothesis raises them, are as grave as the gravest of them."""
    group = ExceptionGroup("two bugs", [HostLostError(), ExceptionGroup("deeper", [AssertionError()])])

    assert of_exception(group, {HostLostError: Verdict.DEAD}) is Verdict.FAIL


def test_an_exception_that_is_its_own_cause_ends_the_search() -> None:
    """A circle of causes is followed once."""
    error = RuntimeError()
    error.__cause__ = error

    assert of_exception(error, {}) is Verdict.ERROR


def test_worst_of_nothing_is_nothing() -> None:
    """No verdict is graver than none; of several the gravest is given."""
    assert worst([]) is None
    assert worst([Verdict.KNOWN, Verdict.PASS, Verdict.DEAD]) is Verdict.DEAD
