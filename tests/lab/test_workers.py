"""Workers: cases that go on side by side make one run, however a worker ends."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import pytest

from engine import ownership
from reports import journal
from reports.records import CaseFinished, RunFinished, RunStarted
from reports.verdicts import Verdict
from tests.lab.ground import command_lines
from tests.lab.projects import Checkout
from tests.settling import settled

CASES = "DEPLOY-01 or MASK-01 or REPAVE-08"
#: Where it matters only that both workers run a case, and that one is left when a worker is gone.
FEW = "DEPLOY-01 or REPAVE-08 or no_refusal_has_the_password"
#: Seconds that a run may take on a machine that builds the lab's images first and has other work.
LIMIT = 400


@contextmanager
def in_workers(project: Checkout, *arguments: str, cases: str = FEW) -> Iterator[subprocess.Popen[str]]:
    """Start a run with two workers, each with a lab of one host, and see to it that it is over in any case."""
    words = ("-q", "-n", "2", "--lab-hosts", "1", "-k", cases)
    with project.start("-m", "pytest", "suites", *words, *arguments) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)


def records(project: Checkout) -> list[object]:
    """Return the records of the project's only run."""
    (folder,) = project.runs
    return list(journal.read(folder / journal.FILE_NAME).records)


def cases(project: Checkout) -> list[CaseFinished]:
    """Return the records of its cases."""
    return [record for record in records(project) if isinstance(record, CaseFinished)]


def workers(run: subprocess.Popen[str]) -> list[int]:
    """Return the processes of the run's workers, those that begin included."""
    with suppress(OSError):
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        return [int(each) for each in children if b"exec(eval" in Path(f"/proc/{each}/cmdline").read_bytes()]
    return []


def both_run_a_case(run: subprocess.Popen[str], project: Checkout) -> list[int]:
    """Wait until both workers have asked for something in Palette; return their processes."""

    def asked() -> bool:
        ledgers = [file.read_text() for file in project.folder.glob("reports/runs/*/gw*-ledger.ndjson")]
        return sum('"cluster"' in each for each in ledgers) == 2 or run.poll() is not None

    assert settled(asked, LIMIT)
    assert run.poll() is None, f"the run ended early: {run.stdout.read() if run.stdout else ''}"
    return workers(run)


def assert_nothing_is_left(engine: docker.DockerClient, project: Checkout) -> None:
    """See that no container, file or process of the run is left."""
    number = project.runs[0].name
    names = {str(found.labels) for found in engine.containers.list(all=True)}
    assert [name for name in names if number in name] == []
    assert [name for end in ("-gw0", "-gw1", "-gw2") for name in ownership.left_of(engine, f"lab-{number}{end}")] == []
    assert settled(lambda: [line for line in command_lines() if str(project.temporary) in line] == [], 15)


def test_workers_make_one_run(engine: docker.DockerClient, project: Checkout) -> None:
    """Every case runs once, in one worker or another, into one journal and one set of reports, a line for each.

    With a fault in both labs the failures of both workers are in the summary, whole. That such a run can end with exit
    code 0: tests/third_party/test_far_site.py.
    """
    faults = ("--lab-fault", "answers-not-masked", "--lab-fault", "no-repave-for-credentials")
    with in_workers(project, *faults, cases=CASES) as run:
        output, _ = run.communicate(timeout=LIMIT)
    found = cases(project)
    (masked,) = (case for case in found if "no_answer_about_a_cluster" in case.case)
    started = [record for record in records(project) if isinstance(record, RunStarted)]
    red = [case for case in found if case.verdict.is_red]

    assert run.returncode == 1, output
    assert started[-1].facts["palette.version"] == "4.9.0"
    assert started[-1].facts["image.base.digest"].startswith("sha256:")
    assert isinstance(records(project)[-1], RunFinished)
    assert len(found) == len({case.case for case in found}) == 5
    assert masked.pulls
    assert (masked.clusters, masked.repaves) == (1, 1)
    assert sum(line.startswith(("1/5 ", "2/5 ", "3/5 ", "4/5 ", "5/5 ")) for line in output.splitlines()) == 5, output
    assert {case.verdict for case in found if case not in red} == {Verdict.PASS}
    assert len(red) >= 2
    assert all(case.observed in output.replace("\n      ", " ") for case in red)
    assert_nothing_is_left(engine, project)
    assert project.leftovers == []


def test_a_worker_that_is_killed_costs_the_case_that_it_ran(engine: docker.DockerClient, project: Checkout) -> None:
    """After SIGKILL of a worker its case is an error, every other case runs, and nothing is left."""
    with in_workers(project) as run:
        os.kill(both_run_a_case(run, project)[0], signal.SIGKILL)
        output, _ = run.communicate(timeout=LIMIT)
    verdicts = sorted(case.verdict.value for case in cases(project))
    lost = next(case for case in cases(project) if case.verdict is Verdict.ERROR)

    assert run.returncode == 3, output
    assert verdicts == ["error", "pass", "pass"]
    assert "ended while it ran this case" in lost.observed + lost.reason
    ownership.sweep(engine, print)  # as the next run does
    assert_nothing_is_left(engine, project)


@pytest.mark.parametrize("told", ["the terminal", "the controller, to terminate"])
def test_an_interrupted_run_leaves_nothing_of_any_worker(
    engine: docker.DockerClient, project: Checkout, told: str
) -> None:
    """Ctrl-C ends all workers cleanly, whether every process of the terminal hears it or the controller alone."""
    with in_workers(project) as run:
        both_run_a_case(run, project)
        if told == "the terminal":
            os.killpg(run.pid, signal.SIGINT)
        else:
            os.kill(run.pid, signal.SIGTERM)  # Ctrl-C for it alone: tests/endurance/check_kills.py
        output, _ = run.communicate(timeout=120)

    assert run.returncode == 2, output
    assert "reports: " in output
    assert [case for case in cases(project) if case.verdict.is_red] == [], output
    assert_nothing_is_left(engine, project)
    assert project.leftovers == []


def test_workers_end_with_a_controller_that_is_killed(engine: docker.DockerClient, project: Checkout) -> None:
    """After SIGKILL of the controller its workers clear up and end by themselves."""
    with in_workers(project) as run:
        mine = both_run_a_case(run, project)
        os.kill(run.pid, signal.SIGKILL)
        assert settled(lambda: not any(Path(f"/proc/{pid}").exists() for pid in mine), 60)

    assert settled(lambda: ownership.left_of(engine, f"lab-{project.runs[0].name}-gw0") == [], 30)
    assert_nothing_is_left(engine, project)


def test_a_run_that_stops_at_a_failure_ends_with_the_failures_code(
    engine: docker.DockerClient, project: Checkout
) -> None:
    """With ``-x`` the first failure, in whatever worker, ends them all; the exit code is that of the failure."""
    with in_workers(project, "-x", "--lab-fault", "no-repave-for-credentials") as run:
        output, _ = run.communicate(timeout=LIMIT)

    assert run.returncode == 1, output
    assert_nothing_is_left(engine, project)


def test_a_worker_that_is_told_to_end_makes_the_run_incomplete(engine: docker.DockerClient, project: Checkout) -> None:
    """A worker that alone is terminated clears up, and the run is not green without its cases."""
    with in_workers(project) as run:
        os.kill(both_run_a_case(run, project)[0], signal.SIGTERM)
        output, _ = run.communicate(timeout=LIMIT)

    assert run.returncode == 2, output
    assert "it was told to end" in output
    assert_nothing_is_left(engine, project)
