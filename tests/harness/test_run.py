"""What ends a case, and what was gone, decide its verdict."""

from __future__ import annotations

import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from edge import HostUnreachable
from harness.clusters import NotCleanedUpError, VacuousPhase
from harness.evidence import Evidence
from harness.run import Run, verdict_of
from harness.sites.site import HostsGoneError
from palette.errors import ConflictError, ForbiddenError, ServerError, UnauthorizedError, UnreachableError
from palette.waiting import WaitTimeoutError
from reports.verdicts import Verdict

SLOW = WaitTimeoutError("the cluster to be gone", "not so within 30 s", [], "Deleting")
REFUSED: Any = {"method": "GET", "path": "/v1", "message": "no"}


def caused_by(cause: Exception) -> Exception:
    """Return an exception that says nothing by itself, with a cause."""
    error = LookupError("odd")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (pytest.skip.Exception("needs a page"), Verdict.NOT_COVERED),
        (HostsGoneError("1 free Edge host: 0 free"), Verdict.DEAD),
        (NotCleanedUpError("still there"), Verdict.DEAD),
        (UnauthorizedError(**REFUSED), Verdict.DEAD),
        (ForbiddenError(**REFUSED), Verdict.DEAD),
        (ServerError(**REFUSED), Verdict.DEAD),
        (ExceptionGroup("two bugs", [ServerError(**REFUSED), UnreachableError(**REFUSED)]), Verdict.DEAD),
        (caused_by(UnreachableError(**REFUSED)), Verdict.DEAD),
        (ConflictError(**REFUSED), Verdict.FAIL),
        (SLOW, Verdict.FAIL),
        (KeyError("x"), Verdict.ERROR),
        (OSError(errno.ENOSPC, "No space left on device"), Verdict.DEAD),
        (OSError(errno.EMFILE, "Too many open files"), Verdict.DEAD),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), Verdict.DEAD),
        (RuntimeError("can't start new thread"), Verdict.DEAD),
        (MemoryError(), Verdict.DEAD),
        (APIError("no space left on device"), Verdict.DEAD),
        (OSError(errno.ENOENT, "No such file"), Verdict.ERROR),
        (RuntimeError("something else"), Verdict.ERROR),
    ],
)
def test_an_exception_means_what_it_is_about(error: BaseException, verdict: Verdict) -> None:
    """A skip is no error of the harness; lost hosts, a key or a disk that ran out are not the product's."""
    assert verdict_of(error) is verdict


class Asked:
    """Stands for what asks whether everything is alive."""

    def __init__(self, *gone: str) -> None:
        self.gone, self.times = list(gone), 0

    def look(self, _evidence: Evidence, *, passed: bool) -> list[str]:  # noqa: ARG002 - as what it stands for
        """Return what is gone."""
        self.times += 1
        return self.gone


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a run in the middle of a case."""
    nothing: Any = SimpleNamespace()
    made = Run(nothing, tmp_path, nothing, Evidence(tmp_path))
    made.begin_case("suites/lifecycle/test_deploy.py::test_made_up")
    return made


@pytest.mark.parametrize(
    ("error", "refusals", "asked"),
    [
        (AssertionError("no"), 0, 1),
        (VacuousPhase("nothing was pulled"), 0, 1),
        (None, 1, 1),
        (None, 0, 0),
        (HostUnreachable("edge-1"), 0, 0),
    ],
    ids=["a failure", "a vacuous phase", "an expected refusal", "a plain pass", "dead anyway"],
)
def test_a_verdict_about_the_product_is_earned(run: Run, error: Exception | None, refusals: int, asked: int) -> None:
    """Before a failure, and before a pass that rests on one, everything is asked; what is gone makes it dead."""
    run.liveness = liveness = Asked("the registry does not answer")  # type: ignore[assignment]
    run.evidence.refusals = refusals
    if error is not None:
        run.failed(error, "call")
    run.look_around()

    assert liveness.times == asked
    assert run.verdict is (Verdict.DEAD if asked or error else Verdict.PASS)


def test_with_everything_alive_a_failure_is_a_failure(run: Run) -> None:
    """Nothing is gone: the product is wrong."""
    run.liveness = Asked()  # type: ignore[assignment]
    run.failed(AssertionError("no"), "call")
    run.look_around()

    assert run.verdict is Verdict.FAIL


def test_a_slow_clean_up_is_never_the_products(run: Run) -> None:
    """After a case that passed, a fixture that cannot clear in time leaves it dead."""
    run.failed(SLOW, "teardown")

    assert run.verdict is Verdict.DEAD


def test_a_slow_clean_up_does_not_replace_a_failure(run: Run) -> None:
    """After a failure, what cleaning up raised is a note."""
    run.failed(AssertionError("the real reason"), "call")
    run.failed(SLOW, "teardown")

    assert run.verdict is Verdict.FAIL
    assert run.evidence.notes == [
        "clean-up failed: waited for the cluster to be gone: not so within 30 s; states seen: Deleting"
    ]


@pytest.mark.parametrize(("error", "verdict"), [(None, Verdict.NOT_COVERED), (AssertionError("no"), Verdict.FAIL)])
def test_a_pass_that_would_rest_on_what_no_page_says_is_none(
    run: Run, error: Exception | None, verdict: Verdict
) -> None:
    """The case is not covered, for that reason; what failed all the same is a failure."""
    run.evidence.undocumented.append("no page says how such a host tells which provider image it runs")
    if error is not None:
        run.failed(error, "call")
    run.look_around()

    assert run.verdict is verdict
