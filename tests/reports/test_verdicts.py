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


@pytest.mark.parametrize(
    ("verdicts", "besides", "code"),
    [
        *(([verdict, Verdict.FAIL, Verdict.PASS], {}, ExitCode.FAIL) for verdict in RED),
        ([Verdict.FAIL], {"interrupted": True, "leaked": True}, ExitCode.LEAK),
        ([Verdict.PASS], {"gate_broken": True}, ExitCode.ERROR),
        ([Verdict.FAIL], {"gate_broken": True}, ExitCode.FAIL),
        ([Verdict.PASS], {"interrupted": True}, ExitCode.INTERRUPTED),
        ([], {}, ExitCode.NOTHING_RUN),
    ],
)
def test_of_several_classes_the_first_in_the_table_is_the_code(
    verdicts: list[Verdict], besides: dict[str, bool], code: ExitCode
) -> None:
    """A leak outweighs everything; a product failure is hidden by no other class, nor by a gate without a canary."""
    assert exit_code(verdicts, **besides) is code


def raised_from(error: Exception, cause: Exception) -> Exception:
    """Return an exception with its cause."""
    error.__cause__ = cause
    return error


CIRCLE = RuntimeError()


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (AssertionError(), Verdict.FAIL),
        (KeyError("x"), Verdict.ERROR),
        (None, Verdict.PASS),
        (NoRepaveError(), Verdict.VACUOUS),
        (raised_from(RuntimeError("while tidying up"), HostLostError()), Verdict.DEAD),
        (ExceptionGroup("two", [HostLostError(), ExceptionGroup("deeper", [AssertionError()])]), Verdict.FAIL),
        (raised_from(CIRCLE, CIRCLE), Verdict.ERROR),
    ],
    ids=["assertion", "unnamed", "none", "most specific", "its cause", "gravest of a group", "its own cause"],
)
def test_an_exception_means_what_its_class_is_said_to_mean(error: Exception | None, verdict: Verdict) -> None:
    """The product is blamed for failed assertions only; what nobody named is the harness' own fault."""
    assert of_exception(error, {NoRepaveError: Verdict.VACUOUS, HostLostError: Verdict.DEAD}) is verdict


def test_worst_of_nothing_is_nothing() -> None:
    """No verdict is graver than none; of several the gravest is given."""
    assert worst([]) is None
    assert worst([Verdict.KNOWN, Verdict.PASS, Verdict.DEAD]) is Verdict.DEAD
