"""Lanes: cases that go on side by side make one run, however a lane ends."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine import ownership
from harness.clusters import settled
from reports import journal
from reports.records import CaseFinished, RunFinished, RunStarted
from tests.lab.ground import command_lines
from tests.lab.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

    import docker

CASES = "DEPLOY-01 or MASK-01 or REPAVE-08"


@contextmanager
def in_lanes(project: Project, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Start a run in two lanes, and see to it that it is over in any case."""
    with project.start("-m", "pytest", "suites", "-q", "--lanes", "2", "-k", CASES, *arguments) as run:
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)


def records(project: Project) -> tuple[object, ...]:
    """Return the records of the project's only run."""
    (folder,) = project.runs
    return journal.read(folder / journal.FILE_NAME).records


def other_lane(run: subprocess.Popen[str], project: Project) -> int:
    """Wait until the second lane's lab runs; gives the lane's process."""
    labs: list[Path] = []

    def look() -> bool:
        labs[:] = project.temporary.glob("palette-edge-labs-*/lab-*-2/site.yaml")
        return bool(labs) or run.poll() is not None

    assert settled(look, 240)  # on a fresh machine the lab's images are built first
    assert labs, f"the run ended early: {run.stdout.read() if run.stdout else ''}"
    looks: list[set[int]] = [set(), set()]

    def only_lane() -> bool:
        looks[:] = [looks[1], _pytests_below(run.pid)]
        return len(looks[0] & looks[1]) == 1  # a child that is just being started looks like its parent, once

    assert settled(only_lane, 10)
    return (looks[0] & looks[1]).pop()


def _pytests_below(pid: int) -> set[int]:
    """Return the children that are pytest; none when one of them ends meanwhile."""
    with suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return {int(each) for each in children if "pytest" in Path(f"/proc/{each}/cmdline").read_text()}
    return set()


def assert_nothing_is_left(engine: docker.DockerClient, project: Project) -> None:
    """See that no container or process of the run is left."""
    number = project.runs[0].name
    names = {str(found.labels) for found in engine.containers.list(all=True)}
    assert [name for name in names if number in name] == []
    assert [name for lane in ("", "-2", "-3") for name in ownership.left_of(engine, f"lab-{number}{lane}")] == []
    assert settled(lambda: [line for line in command_lines() if str(project.temporary) in line] == [], 5)


def test_lanes_make_one_run(engine: docker.DockerClient, project: Project) -> None:
    """Every case runs once, in one lane or the other, into one journal and one set of reports."""
    with in_lanes(project) as run:
        output, _ = run.communicate(timeout=120)
    found = records(project)
    cases = [record for record in found if isinstance(record, CaseFinished)]

    assert run.returncode == 0, output
    assert isinstance(found[0], RunStarted)
    assert found[0].facts["palette.version"] == "4.9.0"
    assert found[0].facts["image.base.digest"].startswith("sha256:")
    assert isinstance(found[-1], RunFinished)
    assert len(cases) == len({case.case for case in cases}) == 5
    assert all(case.pulls for case in cases if case.requirements == ("REPAVE-08",))
    assert "5 pass" in output
    assert_nothing_is_left(engine, project)
    assert project.leftovers == []


def test_failures_of_another_lane_are_told_like_any_other(project: Project) -> None:
    """With a fault in both labs the failures of both lanes are in the summary, with their stories."""
    with in_lanes(project, "--lab-fault", "answers-not-masked", "--lab-fault", "no-repave-for-credentials") as run:
        output, _ = run.communicate(timeout=120)
    red = [record for record in records(project) if isinstance(record, CaseFinished) and record.verdict.is_red]

    assert run.returncode == 1, output
    assert len(red) >= 2
    assert all(case.observed in output for case in red)


def test_a_lane_that_dies_makes_the_run_incomplete(engine: docker.DockerClient, project: Project) -> None:
    """When a lane is killed the others finish; the run says which lane ended where and is not green."""
    with in_lanes(project) as run:
        os.kill(other_lane(run, project), signal.SIGKILL)
        output, _ = run.communicate(timeout=120)
    ended = records(project)[-1]

    assert run.returncode == 2, output
    assert "lane 2 ended with -9 in " in output
    assert isinstance(ended, RunFinished)
    assert ended.interrupted
    assert settled(lambda: not list(project.temporary.glob("palette-edge-labs-*/lab-*-2")), 15)
    ownership.sweep(engine)  # as the next run does; that clears the folder of shared connections as well
    assert_nothing_is_left(engine, project)


@pytest.mark.parametrize("told", ["the terminal", "the first lane"])
def test_an_interrupted_run_leaves_nothing_of_any_lane(
    engine: docker.DockerClient, project: Project, told: str
) -> None:
    """Ctrl-C, whether every process of the terminal hears it or the first lane alone, ends all lanes cleanly."""
    with in_lanes(project) as run:
        other_lane(run, project)
        if told == "the terminal":
            os.killpg(run.pid, signal.SIGINT)
        else:
            os.kill(run.pid, signal.SIGTERM)
        output, _ = run.communicate(timeout=60)

    assert run.returncode == 2, output
    assert "reports: " in output
    assert_nothing_is_left(engine, project)
    assert project.leftovers == []


def test_a_run_that_stops_at_a_failure_ends_with_the_failures_code(
    engine: docker.DockerClient, project: Project
) -> None:
    """With ``-x`` the first failure, in whatever lane, ends all lanes; the exit code is that of the failure."""
    with in_lanes(project, "--lanes", "3", "-x", "--lab-fault", "no-repave-for-credentials") as run:
        output, _ = run.communicate(timeout=120)

    assert run.returncode == 1, output
    assert_nothing_is_left(engine, project)


def test_a_lane_that_is_told_to_end_makes_the_run_incomplete(engine: docker.DockerClient, project: Project) -> None:
    """A lane that alone is terminated clears up, and the run is not green without its cases."""
    with in_lanes(project) as run:
        os.kill(other_lane(run, project), signal.SIGTERM)
        output, _ = run.communicate(timeout=120)

    assert run.returncode == 2, output
    assert "lane 2 ended early" in output
    assert_nothing_is_left(engine, project)


def test_a_single_case_knows_its_site(project: Project) -> None:
    """However few the cases, the first lane has one, so the run's facts are those of a site."""
    with project.start("-m", "pytest", "suites", "-q", "--lanes", "3", "-k", "PROFILE-02") as run:
        output, _ = run.communicate(timeout=120)
    found = records(project)[0]

    assert run.returncode == 0, output
    assert isinstance(found, RunStarted)
    assert found.facts["palette.version"] == "4.9.0"
