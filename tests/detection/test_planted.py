"""The matrix watched: what could make it lie is planted in a copy of the project, and must turn it red."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.children import tied
from reports.kill_matrix import JSON, PAGE, Matrix, from_json
from tests.packages import copy_to

WITHIN = 900  # seconds
#: A fault that one quick case is there for, and that case.
FAULT, REQUIREMENT = "answers-not-masked", "PROFILE-08"
CASE = "suites/profile/test_profile_shape.py"
#: A second fault and the place where the lab asks for it, which is planted: nothing is asked there any more.
UNASKED, POINT = "publishing-does-nothing", "call.context.behaviour.at(PUBLISH, profile_rules.publish, profile)"
#: A fault from outside that does nothing at all: a healthy lab, presented as a faulty one.
NO_FAULT = """
from lab.faults import fault
from lab.injection import RENDER_VALUES

SAME = fault("same", at=RENDER_VALUES, replace=lambda healthy, *given, **known: healthy(*given, **known),
             catches=["PROFILE-06"], because="nothing is wrong with it")
"""


class PlantedProject:
    """A copy of the project in which something is planted, and taken out again."""

    def __init__(self, root: Path) -> None:
        self.root, self._before = root, dict[Path, str]()

    def plant(self, name: str, right: str, wrong: str) -> None:
        """Put ``wrong`` in the place of ``right``, which must be there."""
        file = self.root / name
        text = file.read_text()
        assert right in text, f"{name} has changed; plant something else"
        self._before[file] = text
        file.write_text(text.replace(right, wrong))

    def restore(self) -> None:
        """Make the copy as it was, without the matrix of the test before."""
        for file, text in self._before.items():
            file.write_text(text)
        shutil.rmtree(self.root / "reports" / "detection", ignore_errors=True)

    def detect(self, *arguments: str) -> tuple[int, Matrix, str]:
        """Make a matrix; give exit code, matrix and what was said."""
        command = [sys.executable, "-m", "detection", "--labs", "1", "--suites", CASE, *arguments]
        done = subprocess.run(tied(command), cwd=self.root, check=False, capture_output=True, text=True, timeout=WITHIN)
        assert (self.root / "reports/detection" / PAGE).exists(), done.stdout + done.stderr
        matrix = from_json((self.root / "reports/detection" / JSON).read_bytes())
        return done.returncode, matrix, done.stdout


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the project, once: Python compiles it for the first test, and the others begin sooner."""
    root = tmp_path_factory.mktemp("planted")
    copy_to(root)
    return root


@pytest.fixture
def project(copied: Path) -> Iterator[PlantedProject]:
    """Yield a copy of the project."""
    project = PlantedProject(copied)
    yield project
    project.restore()


def test_faults_are_caught_and_the_healthy_lab_is_not_blamed(project: PlantedProject) -> None:
    """As things are, each fault is caught by the requirement that claims it, the healthy lab passes: exit code 0."""
    code, matrix, said = project.detect("--fault", FAULT, "--fault", UNASKED)

    assert (code, matrix.problems) == (0, ()), said
    caught = {row.fault: {cell.requirement for cell in row.catches} for row in matrix.rows}
    assert caught == {FAULT: {REQUIREMENT}, UNASKED: {"PROFILE-09"}}
    assert {cell.verdict for cell in matrix.healthy} == {"pass"}
    assert REQUIREMENT in {cell.requirement for cell in matrix.healthy}
    assert f"caught    {FAULT}" in said


def test_what_no_case_can_see_survives(project: PlantedProject, tmp_path: Path) -> None:
    """Three faults survive, and the matrix is red.

    The lab no longer asks at the injection point of one; the case that is there for another asserts nothing; the third
    does nothing: a verdict follows what happens, not that a fault is named.
    """
    project.plant("lab/palette/operations/profiles.py", POINT, "profile_rules.publish(profile)")
    project.plant(CASE, "    assert shown == [], ", "    assert shown is not None, ")
    (file := tmp_path / "same.py").write_text(NO_FAULT)
    faults = ("--fault", FAULT, "--fault", UNASKED, "--lab-fault", f"{file}:SAME")
    code, matrix, said = project.detect(*faults, "--healthy-runs", "0")

    assert (code, {row.fault for row in matrix.survivors}) == (1, {FAULT, UNASKED, "same"}), said


def test_a_healthy_lab_that_is_blamed_is_noticed(project: PlantedProject) -> None:
    """When a case fails on the lab as it is, that is a false alarm, however well it catches faults."""
    project.plant(CASE, "    assert shown == [], ", "    assert shown == ['nothing'], ")
    code, matrix, said = project.detect("--fault", FAULT)

    assert code == 1, said
    assert [cell.requirement for cell in matrix.false_alarms] == [REQUIREMENT]
