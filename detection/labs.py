"""Labs that run faults, each in a process of its own, used for one batch of faults after the other.

What came of a fault is read from the journals of the runs; nothing is guessed from its name.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

import yaml

from detection.switching import CAUGHT, HEALTHY, ROOT, UNHEALED, Mutant, Plan, cases_file, project_options, touches_file
from engine.children import environment, tied
from harness.levels import DEFAULT, NIGHTLY, depth_of
from lab import control
from lab.settings import LabSettings, labs_folder
from reports import journal
from reports.records import CaseFinished
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lab.control import RunningLab


#: Time-outs of a lab's site while faults are in force, in seconds on a machine with nothing else to do: healthy phases
#: take one or two, and many a fault shows as something that never comes.
TIMEOUTS = {
    "cluster_running": 6.0,
    "repave": 6.0,
    "repave_pending": 3.0,
    "cluster_deleted": 8.0,
    "force_delete_after": 4.0,
    "edge_host_ready": 12.0,
}
#: How much longer clusters and repaves take that run a real Kubernetes.
WITH_KUBERNETES = 5.0
#: The same of a night, in which a lab's Palette comes to hold a thousand versions of a profile.
AT_NIGHT = 3.0
#: Seconds in which a lab starts on such a machine; where it takes longer, everything is given more time.
USUAL_START = 3.0
MOST_PATIENT = 5.0
#: Seconds that one case may take before its pytest is ended, by how deep properties go.
PATIENCE = {DEFAULT: 300.0, NIGHTLY: 3600.0}
LOOK = 0.3  # seconds between two looks at a journal
#: Exit codes of a pytest that leaves its lab as it was.
_HEALED = (ExitCode.OK, ExitCode.FAIL, ExitCode.FIXED, ExitCode.VACUOUS)
#: Verdicts of a case in which the harness or the lab stood in the way.
LOST = frozenset({Verdict.ERROR, Verdict.DEAD})
#: How often a fault is tried when its lab or its pytest was lost on the way.
TRIES = 2


@dataclass(frozen=True)
class Job:
    """What a lab is asked to do with pytest: for which mutants, over which suites, with which seed, in which order."""

    mutants: tuple[Mutant, ...]
    suites: tuple[str, ...]
    seed: int
    shuffle: int | None = None
    level: str = DEFAULT

    @property
    def patience(self) -> float:
        """Seconds that one case may take."""
        return PATIENCE[depth_of(self.level)]


@dataclass
class Findings:
    """What the cases said, by mutant, each case under its ordinary name and in the order they ran."""

    of: dict[str, list[CaseFinished]] = field(default_factory=lambda: defaultdict(list))
    drawn: set[str] = field(default_factory=set)
    """Cases whose examples are drawn."""
    reached: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """By fault and injection point, the cases in which it was asked there."""
    differed: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    """The same, where something else came of it than without the fault."""
    planned: dict[str, int] = field(default_factory=dict)
    """How many cases each mutant was to be run with."""

    def are_complete(self, mutant: str) -> bool:
        """Return whether every case of a mutant has ended."""
        return len(self.of.get(mutant, ())) >= self.planned.get(mutant, 0)

    def add(self, others: Findings) -> None:
        """Take over what was found with other cases."""
        for mutant, cases in others.of.items():
            self.of[mutant] += cases
        self.drawn |= others.drawn
        for mine, theirs in ((self.reached, others.reached), (self.differed, others.differed)):
            for fault, points in theirs.items():
                for point, found in points.items():
                    mine[fault][point] |= found

    @property
    def count(self) -> int:
        """How many cases have ended."""
        return sum(map(len, self.of.values()))


def journals_length(runs: Path) -> int:
    """Return how many bytes the journals of a batch have."""
    return sum(file.stat().st_size for file in runs.glob(f"runs/*/{journal.FILE_NAME}"))


def read(plan: Path, runs: Path) -> Findings:
    """Read what is in the journals so far; a run that still goes on has what it has."""
    findings = Findings()
    try:
        cases = json.loads(cases_file(plan).read_text())
    except (OSError, ValueError):
        return findings
    findings.planned = dict(Counter(case["mutant"] for case in cases.values()))
    _read_touches(plan, cases, findings)
    for file in sorted(runs.glob(f"runs/*/{journal.FILE_NAME}")):
        for record in journal.read(file).records:
            if isinstance(record, CaseFinished) and record.case in cases:
                ran = cases[record.case]
                findings.of[ran["mutant"]].append(replace(record, case=ran["case"]))
                findings.drawn |= {ran["case"]} if ran["drawn"] else set()
    return findings


def _read_touches(plan: Path, cases: Mapping[str, Mapping[str, str]], findings: Findings) -> None:
    file = touches_file(plan)
    for line in file.read_text().splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):  # the last line is being written
            record = json.loads(line)
            ran = cases[record["case"]]
            for touch in record["touches"]:
                findings.reached[touch["fault"]][touch["point"]].add(ran["case"])
                if touch["differed"]:
                    findings.differed[touch["fault"]][touch["point"]].add(ran["case"])


@dataclass
class Done:
    """What became of one mutant: its cases, and why they are not complete, if they are not."""

    mutant: Mutant
    findings: Findings
    trouble: str = ""

    @property
    def is_disturbed(self) -> bool:
        """Whether the harness or the lab stood in the way of finding a fault out. A healthy lab is not excused."""
        verdicts = {case.verdict for case in self.cases}
        lost = bool(verdicts & LOST) and not verdicts & CAUGHT
        return lost and self.mutant.specification is not None

    @property
    def cases(self) -> list[CaseFinished]:
        """Its cases, in the order they ran."""
        return self.findings.of.get(self.mutant.name, [])


@dataclass
class Worker:
    """A lab and the pytest that uses it. ``area`` holds plans and runs; nothing of it is an ordinary run."""

    number: int
    area: Path
    hosts: int
    say: Callable[[str], None]
    kubernetes: Path | None = None
    """Where the programs of a Kubernetes are, if clusters are to run one."""
    stopped: threading.Event = field(default_factory=threading.Event)
    _tried: list[Mutant] = field(default_factory=list)
    _lab: RunningLab | None = None
    _has_had_a_lab: bool = False
    _batches: Iterator[int] = field(default_factory=count)

    def run(self, job: Job) -> Iterator[Done]:
        """Run a batch and give each mutant as soon as it is done. A lab that does not heal is replaced."""
        left, tries = list(job.mutants), 0
        while left and not self.stopped.is_set():
            before = len(left)
            for done in self._batch_on_a_lab(job, left):
                if done.is_disturbed and done.mutant not in self._tried:
                    self._tried.append(done.mutant)  # once more, on another lab
                    continue
                left.remove(done.mutant)
                yield done
            if any(mutant in self._tried for mutant in left):
                self.close()
            tries = tries + 1 if len(left) == before else 1
            if left and tries >= TRIES:
                yield Done(left.pop(0), Findings(), "its cases did not come to an end")
                tries = 0

    def _batch_on_a_lab(self, job: Job, mutants: Sequence[Mutant]) -> Iterator[Done]:
        """Run a batch. A lab that once came up and does not do so again costs its mutants a try, not the matrix."""
        try:
            yield from self._batch(job, mutants)
        except control.LabFailed as error:
            if not self._has_had_a_lab:
                raise
            self.say(f"lab {self.number} does not come up again: {error}")

    def close(self) -> None:
        """Take the lab down."""
        if self._lab is not None:
            self._lab.stop()
            self._lab = None

    # --- one pytest

    def _batch(self, job: Job, mutants: Sequence[Mutant]) -> Iterator[Done]:
        lab = self._ready(job.level)
        home = self.area / f"lab-{self.number}-batch-{next(self._batches)}"
        home.mkdir(parents=True)
        plan = home / "plan.json"
        Plan(str(lab.settings.folder), tuple(mutants), job.shuffle).write(plan)
        with (home / "pytest.txt").open("w") as output:
            process = subprocess.Popen(
                tied(self._command(job, lab, plan, home)), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
                env=environment(),
            )  # fmt: skip
        try:
            yield from self._follow(process, plan, home, mutants, job.patience)
        finally:
            end(process)
        if process.returncode not in _HEALED or UNHEALED in (home / "pytest.txt").read_text():
            self.say(f"lab {self.number} is replaced (pytest ended with {process.returncode}; {home.name})")
            self.close()

    def _command(self, job: Job, lab: RunningLab, plan: Path, home: Path) -> list[str]:
        command = [sys.executable, "-m", "pytest", *project_options(job.suites), *job.suites]
        command += ["-q", "-n", "0", "-p", "no:cacheprovider"]
        command += ["-p", "detection.switching", "--detection-plan", str(plan), "--runs-in", str(home)]
        command += ["--site", str(lab.settings.folder / "detection.yaml"), "--no-provision"]
        return [*command, "--hypothesis-seed", str(job.seed), "--level", job.level]

    def _follow(
        self, process: subprocess.Popen[bytes], plan: Path, home: Path, mutants: Sequence[Mutant], patience: float
    ) -> Iterator[Done]:
        """Yield mutants whose last case has ended: those before the one whose case ended last."""
        waiting, known, length = list(mutants), 0, 0
        deadline = time.monotonic() + patience
        while process.poll() is None and time.monotonic() < deadline:
            if self.stopped.wait(LOOK):
                return
            if (grown := journals_length(home)) == length:
                continue  # reading them anew all the time took a tenth of the processor
            length, findings = grown, read(plan, home)
            if findings.count > known:
                known, deadline = findings.count, time.monotonic() + patience
            while len(waiting) > 1 and any(later.name in findings.of for later in waiting[1:]):
                yield Done(waiting.pop(0), findings)
        if time.monotonic() >= deadline:
            self.say(
                f"lab {self.number}: a case of {waiting[0].name or 'the healthy lab'} took {patience:g} s and more"
            )
            return
        findings = read(plan, home)
        for mutant in [each for each in waiting if findings.planned and findings.are_complete(each.name)]:
            yield Done(mutant, findings, "" if findings.of.get(mutant.name) else "no case of the suites concerns it")

    def _ready(self, level: str) -> RunningLab:
        if self._lab is None:
            folder = labs_folder() / f"detection-{os.getpid()}-{self.number}-{time.monotonic_ns() % 10**6}"
            began = time.monotonic()
            self._lab = control.start(
                LabSettings(folder, self.hosts, kubernetes=self.kubernetes), lambda _message: None
            )
            self._has_had_a_lab = True
            slower = min(MOST_PATIENT, max(1.0, (time.monotonic() - began) / USUAL_START))
            slower *= WITH_KUBERNETES if self.kubernetes else 1
            slower *= AT_NIGHT if depth_of(level) == NIGHTLY else 1
            site = yaml.safe_load(self._lab.site_file.read_text())
            site["timeouts"] |= {name: round(slower * seconds, 1) for name, seconds in TIMEOUTS.items()}
            (folder / "detection.yaml").write_text(yaml.safe_dump(site, sort_keys=False))
        return self._lab


def end(process: subprocess.Popen[bytes]) -> None:
    """End a run of pytest, which takes back what it made when it is asked to end."""
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


HEALTHY_LAB = Mutant(HEALTHY, None, (), every=True)
