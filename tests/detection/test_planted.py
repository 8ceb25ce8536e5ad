"""The matrix watched: what could make it lie is planted in a copy of the project, and must turn it red."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reports.kill_matrix import JSON, PAGE, Matrix, from_json
from tests.packages import copy_to

WITHIN = 900  # seconds
#: A fault that one quick case is there for, and that case.
FAULT, REQUIREMENT = "answers-not-masked", "PROFILE-08"
CASE = "suites/profile/test_profile_shape.py"
#: How the lab asks at that fault's injection point.
POINT = "self.context.behaviour.at(MASK_ANSWER, healthy, answer, frozenset(self.secrets))"
#: A fault from outside that does nothing at all: a healthy lab, presented as a faulty one.
NO_FAULT = f"""
from lab.faults import fault
from lab.injection import MASK_ANSWER

SAME = fault("same", at=MASK_ANSWER, replace=lambda healthy, answer, secrets: healthy(answer, secrets),
             catches=["{REQUIREMENT}"], because="nothing is wrong with it")
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
        done = subprocess.run(command, cwd=self.root, check=False, capture_output=True, text=True, timeout=WITHIN)
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


def test_a_fault_is_caught_and_the_healthy_lab_is_not_blamed(project: PlantedProject) -> None:
    """As things are, the fault is caught by the requirement that claims it, and the healthy lab passes: exit code 0."""
    code, matrix, said = project.detect("--fault", FAULT)

    assert (code, matrix.problems) == (0, ()), said
    assert [cell.requirement for cell in matrix.rows[0].catches] == [REQUIREMENT]
    assert [(cell.requirement, cell.verdict) for cell in matrix.healthy] == [(REQUIREMENT, "pass")]
    assert f"caught    {FAULT}" in said


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        ("lab/palette/web.py", POINT, "healthy(answer, frozenset(self.secrets))"),
        (CASE, "    assert shown == [], ", "    assert shown is not None, "),
    ],
    ids=["the injection point is gone", "the case asserts nothing"],
)
def test_a_fault_that_can_no_longer_be_caught_is_noticed(
    project: PlantedProject, file: str, right: str, wrong: str
) -> None:
    """When the lab no longer asks at its point, or its case does not assert, it survives, and the matrix is red."""
    project.plant(file, right, wrong)
    code, matrix, said = project.detect("--fault", FAULT, "--healthy-runs", "0")

    assert (code, [row.fault for row in matrix.survivors]) == (1, [FAULT]), said


def test_a_healthy_lab_presented_as_faulty_is_noticed(project: PlantedProject, tmp_path: Path) -> None:
    """A fault that does nothing is caught by nobody: the verdict follows what happens, not that a fault is named."""
    file = tmp_path / "same.py"
    file.write_text(NO_FAULT)
    code, matrix, said = project.detect("--lab-fault", f"{file}:SAME", "--healthy-runs", "0")

    assert (code, [row.fault for row in matrix.survivors]) == (1, ["same"]), said


def test_a_healthy_lab_that_is_blamed_is_noticed(project: PlantedProject) -> None:
    """When a case fails on the lab as it is, that is a false alarm, however well it catches faults."""
    project.plant(CASE, "    assert shown == [], ", "    assert shown == ['nothing'], ")
    code, matrix, said = project.detect("--fault", FAULT)

    assert code == 1, said
    assert [cell.requirement for cell in matrix.false_alarms] == [REQUIREMENT]
