"""The plugin that runs cases under faults, and where a matrix is written."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from detection import matrix
from detection.__main__ import write
from detection.labs import HEALTHY_LAB, Done, Findings, Job
from detection.matrix import SEED, Detection, Wanted, random_ones
from detection.switching import HEALTHY, ROOT, Mutant, NoCasesError, Plan, SuiteCase, cases_file, collect
from harness.levels import DEFAULT, NIGHTLY
from reports import runs
from reports.kill_matrix import JSON, PAGE, Matrix
from reports.records import CaseFinished
from reports.verdicts import Verdict

MATRIX = Matrix(started="2026-11-22T06:00:00Z")


@pytest.mark.parametrize(
    ("verdicts", "disturbed"),
    [
        ((Verdict.ERROR,), True),
        ((Verdict.PASS, Verdict.DEAD), True),
        ((Verdict.FAIL, Verdict.ERROR), False),
        ((Verdict.PASS,), False),
    ],
)
def test_a_fault_whose_lab_was_lost_is_tried_again(verdicts: tuple[Verdict, ...], disturbed: bool) -> None:  # noqa: FBT001 - data
    """What ended in a harness error or a dead host proves nothing about a fault; on a healthy lab it is not excused."""
    cases = [CaseFinished(case=str(number), verdict=verdict) for number, verdict in enumerate(verdicts)]
    findings = Findings()
    findings.of["x"] = findings.of[HEALTHY] = cases

    assert Done(Mutant("x", {"name": "x"}, ()), findings).is_disturbed is disturbed
    assert Done(Mutant(HEALTHY, None, ()), findings).is_disturbed is False


def test_further_healthy_runs_have_an_order_of_their_own(tmp_path: Path) -> None:
    """A seed gives all cases a random order, the same one every time; without one they come in their usual order."""
    orders = [ordered(tmp_path, shuffle) for shuffle in (None, 1, 1)]
    usual, first, again = orders

    assert len({*map(tuple, map(sorted, orders))}) == 1
    assert first == again
    assert usual != first
    detection = Detection((), (), tmp_path, print, print, whole=True, healthy_runs=3)
    assert [job.shuffle for job in detection._jobs()] == [None, SEED + 1, SEED + 2]


def ordered(folder: Path, shuffle: int | None) -> list[str]:
    """Collect the cases of one file for the healthy lab; return their names."""
    return planned(folder, Plan("lab", (HEALTHY_LAB,), shuffle=shuffle), "suites/lifecycle")


def planned(folder: Path, plan: Plan, suites: str) -> list[str]:
    """Collect what a plan runs of the suites; return the names of the cases in their order."""
    file = folder / "plan.json"
    plan.write(file)
    command = [sys.executable, "-m", "pytest", suites, "--collect-only", "-qq", "-p", "no:cacheprovider"]
    command += ["-p", "detection.switching", "--detection-plan", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return [*json.loads(cases_file(file).read_text())]


def test_a_night_has_longer_cases() -> None:
    """A case that presents every vector takes longer than any of the default level; no lab is given up for it."""
    usual, night = (Job((HEALTHY_LAB,), ("suites",), 1, level=level) for level in (DEFAULT, NIGHTLY))

    assert night.patience > 5 * usual.patience
    assert len(collect(("suites",), NIGHTLY)) > len(collect(("suites",)))


def test_the_cases_that_prove_little_else_come_first(tmp_path: Path) -> None:
    """What looks for nothing but the fault's own requirements catches it soonest; what draws comes first among equals.

    The property that repaves with every class of password takes a minute, and proves two requirements.
    """
    names = planned(tmp_path, Plan("lab", (Mutant("x", {"name": "x"}, ("CRED-05",)),)), "suites/credentials")

    cases = [name.rpartition("::")[2].partition("[")[0] for name in names]
    assert cases[0] == "test_user_names_arrive_unchanged_at_deployment"
    assert cases[-2:] == ["test_repave_presents_the_password_unchanged", "test_the_probe_set_arrives_unchanged"]


def test_a_mutant_may_concern_single_cases(tmp_path: Path) -> None:
    """Of all that it could concern, only those cases are run for it that it names, parametrized ones by their ids.

    They come in the order in which they are named: the quickest first, as the rehearsal found.
    """
    usual = planned(tmp_path, Plan("lab", (HEALTHY_LAB,)), "suites/validation")
    bases = [case["case"] for case in json.loads(cases_file(tmp_path / "plan.json").read_text()).values()]
    chosen = (next(base for base in bases if base.endswith("]")), bases[0])
    fault = Mutant("x", {"name": "x"}, (), once=True, cases=chosen)

    assert len(usual) > 2
    assert len(planned(tmp_path, Plan("lab", (fault,)), "suites/validation")) == 2
    assert [case["case"] for case in json.loads(cases_file(tmp_path / "plan.json").read_text()).values()] == [*chosen]


CASES = ("t.py::a", "t.py::b")


class PretendWorker:
    """A lab on which the first random fault is different in case b alone, and fails it."""

    def __init__(self, *_known: object, verdict: Verdict = Verdict.PASS) -> None:
        self.verdict = verdict
        self.stopped = threading.Event()
        self.asked: list[Mutant] = []

    def run(self, job: Job) -> Iterator[Done]:
        """Run what is asked."""
        for mutant in job.mutants if not self.stopped.is_set() else ():
            self.asked.append(mutant)
            findings = Findings()
            for case in mutant.cases or CASES:
                verdict = Verdict.FAIL if mutant.specification else self.verdict
                took = 2.0 if case == "t.py::a" else 1.0
                ended = CaseFinished(case=case, verdict=verdict, requirements=("CRED-05",), seconds=took)
                findings.of[mutant.name].append(ended)
                self._touch(mutant, case, findings)
            yield Done(mutant, findings)

    def close(self) -> None:
        """Take the lab down."""

    def _touch(self, mutant: Mutant, case: str, findings: Findings) -> None:
        for fault in (mutant.specification, *mutant.watched):
            if fault is not None:
                findings.reached[fault["name"]]["report"].add(case)
                if case == "t.py::b" and fault["name"] == "random-7-1":
                    findings.differed[fault["name"]]["report"].add(case)


def tried(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict, wanted: Sequence[Wanted] = tuple(random_ones(2, 7))
) -> tuple[Matrix, list[Mutant]]:
    """Try faults, random ones, on two cases that end so on the healthy lab; return the matrix and what was run."""
    workers: list[PretendWorker] = []

    def make(*known: object) -> PretendWorker:
        workers.append(PretendWorker(*known, verdict=verdict))
        return workers[-1]

    monkeypatch.setattr(matrix, "Worker", make)
    cases = [SuiteCase(name, "t.py", ("CRED-05",), 1) for name in CASES]
    made = Detection(wanted, cases, Path(), print, lambda _row: None, labs=2).make()
    assert len(workers) == 2  # a folder of a lab's number is made once
    return made, [mutant for worker in workers for mutant in worker.asked]


def test_a_random_fault_is_tried_where_it_would_be_different(monkeypatch: pytest.MonkeyPatch) -> None:
    """The healthy lab tells first in which cases each is; one that is so nowhere is told as idle and not tried."""
    made, asked = tried(monkeypatch, Verdict.PASS)

    assert [mutant.cases for mutant in asked if mutant.name == HEALTHY] == [("t.py::a",), ("t.py::b",)]
    assert [(mutant.name, mutant.cases) for mutant in asked if mutant.name] == [("random-7-1", ("t.py::b",))]
    assert made.rows[1].survival == "reached in 2 of 2 cases, and never different"
    assert made.problems == ()
    assert made.sentence == (
        "1 of 2 faults caught, 100.0% of the 1 that changed anything, 0 false alarms on the healthy lab"
    )


@pytest.mark.parametrize("verdict", [Verdict.ERROR, Verdict.DEAD])
def test_a_case_that_was_lost_in_the_rehearsal_is_tried_with_every_fault(
    monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    """What a fault would have done in it is not known; that the healthy lab was lost is told."""
    made, asked = tried(monkeypatch, verdict)

    assert [mutant.cases for mutant in asked if mutant.name] == [("t.py::b", "t.py::a")] * 2
    assert [problem.partition(":")[0] for problem in made.problems] == ["false alarm"]


def test_few_faults_are_given_to_all_labs() -> None:
    """No lab is idle while another has a batch of several faults before it."""
    wanted = [replace(each, once=False, every=True) for each in random_ones(3, 7)]
    jobs = Detection(wanted, (), Path(), print, print, labs=2, healthy_runs=0)._jobs()

    assert [len(job.mutants) for job in jobs] == [2, 1]


def test_the_rehearsal_is_shared_out_so_that_one_long_case_holds_up_little() -> None:
    """Each case is in one part, and a lab that is done with its part takes the next."""
    cases = [SuiteCase(f"t.py::{number}", "t.py", (), 1) for number in range(30)]
    parts = Detection(random_ones(3, 7), cases, Path(), print, print, labs=2)._rehearsal()
    chosen = [case for part in parts for case in part.mutants[0].cases]

    assert sorted(chosen) == sorted(case.id for case in cases)
    assert max(len(part.mutants[0].cases) for part in parts) <= len(cases) / 4


def test_a_failure_of_the_healthy_lab_catches_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """A false alarm of the rehearsal is told as one; the faults that were only watched stay idle."""
    made, _ = tried(monkeypatch, Verdict.FAIL)

    assert made.rows[1].is_idle
    assert [problem.partition(":")[0] for problem in made.problems] == ["false alarm"]


def test_the_healthy_lab_is_judged_by_the_cases_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cases are a part, a requirement of which none is about is no false alarm."""
    wanted = [replace(each, once=False, every=True) for each in random_ones(1, 7)]
    made, _ = tried(monkeypatch, Verdict.PASS, wanted)

    assert [(cell.requirement, cell.verdict) for cell in made.healthy] == [("CRED-05", "pass")]


def test_a_matrix_leaves_runs_of_the_suites_alone(tmp_path: Path) -> None:
    """The matrix has a directory of its own; the latest run keeps its place and gets no file of another's."""
    run = runs.create(tmp_path)
    (tmp_path / "latest").symlink_to(Path("runs") / run.name)

    assert write(MATRIX, tmp_path / "detection") == [tmp_path / "detection" / JSON, tmp_path / "detection" / PAGE]
    assert (tmp_path / "latest").resolve() == run
    assert [*run.iterdir()] == []


def test_a_case_file_may_be_anywhere(tmp_path: Path) -> None:
    """A case outside the project is collected with the project's fixtures and settings, by its path alone."""
    file = tmp_path / "test_mine.py"
    file.write_text(
        '"""Mine."""\nfrom harness.requirements import requirement\n\n\n@requirement("MASK-01", phase="validation")\n'
        'def test_mine(site):\n    """Ask for a site."""\n    assert site\n'
    )
    (case,) = collect((str(file),))

    assert (case.requirements, case.file) == (("MASK-01",), str(file))
    file.write_text(
        f"import pytest\n{file.read_text()}".replace("@requirement", "@pytest.mark.unheard_of\n@requirement")
    )
    with pytest.raises(NoCasesError, match="unheard_of"):  # the project's settings are in force
        collect((str(file),))
