"""The whole of it: choose faults, run them on labs, gather the rows, tell each as soon as it is known."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from detection import odds, random_faults
from detection.labs import HEALTHY_LAB, LOST, Done, Findings, Job, Worker
from detection.switching import CAUGHT, HEALTHY, Mutant
from harness import requirements
from harness.levels import DEFAULT
from lab.faults import families, load, specify_all
from lab.faults.credentials import ELSEWHERE, INVISIBLE
from reports.kill_matrix import Cell, Matrix, Row
from reports.pulls import changed
from reports.records import utc
from reports.verdicts import Verdict, worst

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from detection.switching import SuiteCase
    from lab.injection import Fault
    from reports.records import CaseFinished, PullRecord

#: The seed of a matrix, the same every time, so that matrices can be compared. It is one of those that find the changes
#: soonest, for every example costs a deployment and a repave; how surely the others find them is for ``--thorough``.
SEED = 634
#: Faults that a lab is given at a time: a pytest of its own for each batch costs a few seconds.
BATCH = 16
#: Parts of the rehearsal for each lab: one case of a night can take longer than fifty others.
PARTS = 4
OUTSIDE = "from outside"
NO_VERDICT = "not run"
EQUIVALENT = {
    **dict.fromkeys(
        INVISIBLE, "no password that registry:2 accepts shows it: it holds no NUL, and bcrypt takes 72 bytes"
    ),
    **dict.fromkeys(ELSEWHERE, "needs a second value on the host; a fault of its own"),
}


@dataclass(frozen=True)
class Wanted:
    """One fault to try: what it is, where it stands, what the lab is told of it, on which cases (as of a mutant)."""

    fault: Fault
    family: str
    specification: dict[str, object]
    every: bool = False
    once: bool = False

    @property
    def mutant(self) -> Mutant:
        """What the plan says of it."""
        return Mutant(self.fault.name, dict(self.specification), self.fault.catches, every=self.every, once=self.once)


def choose(names: Sequence[str], outside: Sequence[str], *, full: bool | None = None) -> list[Wanted]:
    """Return the faults of the catalogue (those named, or all) and those of files from outside. Raises UnknownFault.

    Every case is run for a fault from outside, unless ``full`` is False; for one of the catalogue only if it is True.
    """
    chosen = [dict(each) for name in [*names, *outside] for each in specify_all(name)]
    if not chosen:
        chosen = [{"name": fault.name} for faults in families().values() for fault in faults]
    family_of = {fault.name: family for family, faults in families().items() for fault in faults}
    return [
        Wanted(load(each), OUTSIDE, each, every=full is not False)
        if "source" in each
        else Wanted(load(each), family_of[str(each["name"])], each, every=bool(full))
        for each in chosen
    ]


def random_ones(count: int, seed: int) -> list[Wanted]:
    """Return so many random faults, each to be tried until a case catches it, on those cases where it is different."""
    return [Wanted(load(each), random_faults.FAMILY, each, once=True) for each in random_faults.made(count, seed)]


@dataclass
class Detection:
    """One making of a matrix. ``say`` is told each row as soon as it is known."""

    wanted: Sequence[Wanted]
    cases: Sequence[SuiteCase]
    area: Path
    say: Callable[[str], None]
    tell: Callable[[Row], None]
    labs: int = 3
    seed: int = SEED
    whole: bool = False
    seeds: int = 0
    suites: tuple[str, ...] = ("suites",)
    healthy_runs: int = 1
    level: str = DEFAULT
    kubernetes: Path | None = None
    _rows: dict[str, Row] = field(default_factory=dict)
    _rehearsed: Findings = field(default_factory=Findings)
    _healthy: list[Cell] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self) -> Matrix:
        """Try every fault and the healthy lab. Raises KeyboardInterrupt; labs are taken down whatever happens."""
        began, started = time.monotonic(), utc()
        workers = [Worker(n, self.area, self._hosts, self.say, self.kubernetes) for n in range(1, self.labs + 1)]
        if rehearsal := self._rehearsal():
            self._run(rehearsal, workers)
            self._healthy += cells(self._rehearsed.of[HEALTHY], self._judged, drawn=self._rehearsed.drawn)
        self._run(self._jobs(), workers)
        rows = [
            self._rows.get(each.fault.name) or self._row(each, Done(each.mutant, Findings())) for each in self.wanted
        ]
        return Matrix(
            started=started,
            seconds=round(time.monotonic() - began, 1),
            seed=self.seed,
            labs=self.labs,
            hosts=self._hosts,
            whole=self.whole,
            requirements={r.id: r.claim for r in requirements.load().values()},
            rows=tuple(rows),
            healthy=tuple(self._healthy),
            healthy_runs=self.healthy_runs,
            equivalent=EQUIVALENT,
        )

    @property
    def _judged(self) -> tuple[str, ...]:
        """The requirements that the healthy lab is judged by: all, or those of these cases where they are a part."""
        proven = dict.fromkeys(name for case in self.cases for name in case.requirements)
        return tuple(requirements.load() if self.whole else proven)

    @property
    def _hosts(self) -> int:
        return max([2, *(case.hosts for case in self.cases)])

    # --- labs

    def _rehearsal(self) -> list[Job]:
        """Return the healthy lab with every case, in several parts for each lab, with the random faults watched.

        A case in which a fault would do nothing else cannot catch it: until something differs, all is as without it.
        """
        watched = tuple(dict(each.specification) for each in self.wanted if each.once)
        count = self.labs * PARTS
        parts = [tuple(case.id for case in self.cases[n::count]) for n in range(count)] if watched else []
        return [
            Job((replace(HEALTHY_LAB, cases=part, watched=watched),), self.suites, self.seed, level=self.level)
            for part in parts
            if part
        ]

    def _mutants(self) -> Iterator[Mutant]:
        """Yield what is to be tried. A random fault that would have been different nowhere is told and left out."""
        rehearsed = self._rehearsed.of[HEALTHY]
        seconds = defaultdict(float, {each.case: each.seconds for each in rehearsed})
        unknown = {case.id for case in self.cases} - {each.case for each in rehearsed if each.verdict not in LOST}
        for each in self.wanted:
            if not each.once:
                yield each.mutant
            elif cases := unknown.union(*self._rehearsed.differed[each.fault.name].values()):
                yield replace(each.mutant, cases=tuple(sorted(cases, key=lambda case: (seconds[case], case))))
            else:
                ran = sum(case.verdict is not Verdict.NOT_COVERED for case in rehearsed)
                self._keep(replace(self._row(each, Done(each.mutant, self._rehearsed)), cases=ran))

    def _jobs(self) -> list[Job]:
        mutants = list(self._mutants())
        size = max(1, min(BATCH, math.ceil(len(mutants) / self.labs)))
        batches = [mutants[at : at + size] for at in range(0, len(mutants), size)]
        jobs = [Job(tuple(batch), self.suites, self.seed, level=self.level) for batch in batches]
        if self.whole:
            jobs[:0] = [self._healthy_job(number) for number in range(self.healthy_runs)]
        elif self.healthy_runs and not self._healthy:
            jobs[:0] = [Job((lab,), self.suites, self.seed, level=self.level) for lab in self._healthy_part()]
        return jobs

    def _healthy_part(self) -> list[Mutant]:
        """Return the healthy lab with what these faults are tried on; nothing where no case is about that."""
        if any(not each.fault.catches for each in self.wanted):
            return [HEALTHY_LAB]
        claims = tuple(dict.fromkeys(c for each in self.wanted for c in each.fault.catches if c in self._judged))
        return [replace(HEALTHY_LAB, claims=claims, every=False)] if claims else []

    def _healthy_job(self, number: int) -> Job:
        """Return a healthy run: the first as users have it, each further one with its own seed in a random order."""
        seed = self.seed + number
        return Job((HEALTHY_LAB,), self.suites, seed, shuffle=seed if number else None)

    def _run(self, jobs: Sequence[Job], workers: Sequence[Worker]) -> None:
        todo: queue.SimpleQueue[Job] = queue.SimpleQueue()
        for job in jobs:
            todo.put(job)
        workers = workers[: len(jobs)]
        failures: list[BaseException] = []
        threads = [threading.Thread(target=self._work, args=(worker, todo, failures)) for worker in workers]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except BaseException:  # interrupted: let the labs go at once
            for worker in workers:
                worker.stopped.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def _work(self, worker: Worker, todo: queue.SimpleQueue[Job], failures: list[BaseException]) -> None:
        try:
            while not failures:
                try:
                    job = todo.get_nowait()
                except queue.Empty:
                    return
                for done in worker.run(job):
                    self._take(done)
        except BaseException as error:  # noqa: BLE001 - raised again where it can be seen
            failures.append(error)
        finally:
            worker.close()

    # --- rows

    def _take(self, done: Done) -> None:
        cases = done.cases
        if done.mutant.watched:
            with self._lock:
                self._rehearsed.add(done.findings)
            return
        if done.mutant.specification is None:
            claims = done.mutant.claims or self._judged
            with self._lock:
                self._healthy += cells(cases, claims, drawn=done.findings.drawn)
            return
        wanted = next(each for each in self.wanted if each.fault.name == done.mutant.name)
        self._keep(self._row(wanted, done))

    def _row(self, wanted: Wanted, done: Done) -> Row:
        fault, cases, name = wanted.fault, done.cases, done.mutant.name
        drawn = fault.change and fault.road in odds.DRAWN
        first = self.seed
        return Row(
            fault=fault.name,
            family=wanted.family,
            because=fault.because,
            points=tuple(point.name for point in fault.replacements),
            change=fault.change,
            road=fault.road,
            claims=fault.catches,
            cells=cells(cases, fault.catches, drawn=done.findings.drawn),
            seconds=round(sum(case.seconds for case in cases), 1),
            trouble=done.trouble,
            cases=sum(case.verdict is not Verdict.NOT_COVERED for case in cases),
            reached={point: len(found) for point, found in done.findings.reached[name].items()},
            differed={point: len(found) for point, found in done.findings.differed[name].items()},
            odds=odds.odds(fault.change, first, range(1, self.seeds + 1)) if drawn and self.seeds else None,
        )

    def _keep(self, row: Row) -> None:
        with self._lock:
            self._rows[row.fault] = row
        self.tell(row)


def cells(cases: Sequence[CaseFinished], claims: Sequence[str], *, drawn: set[str]) -> tuple[Cell, ...]:
    """Return a cell for each requirement that some case spoke of, or that claims the fault."""
    by_requirement: dict[str, list[CaseFinished]] = defaultdict(list)
    for case in cases:
        for requirement in case.requirements:
            by_requirement[requirement].append(case)
    names = dict.fromkeys((*claims, *by_requirement))
    return tuple(
        _cell(name, by_requirement.get(name, ()), claimed=not claims or name in claims, drawn=drawn)
        for name in names
        if name in claims or _said(by_requirement[name])
    )


def _said(cases: Iterable[CaseFinished]) -> list[CaseFinished]:
    return [case for case in cases if case.verdict is not Verdict.NOT_COVERED]


def _cell(name: str, cases: Iterable[CaseFinished], *, claimed: bool, drawn: set[str]) -> Cell:
    said = _said(cases)
    caught = next((case for case in said if case.verdict in CAUGHT), None)
    if caught is None:
        verdict = worst(case.verdict for case in said)
        shown = next((case for case in said if case.verdict is verdict), None)
        return Cell(
            requirement=name, verdict=verdict.value if verdict else NO_VERDICT, claimed=claimed,
            case=shown.case if shown else "", observed=shown.observed if shown else "",
        )  # fmt: skip
    return Cell(
        requirement=name,
        verdict=caught.verdict.value,
        claimed=claimed,
        case=caught.case,
        presented=presented(caught.pulls, caught.phase),
        observed=caught.observed,
        examples=caught.examples if caught.case in drawn else 0,
        seconds=caught.seconds,
    )


def presented(pulls: Iterable[PullRecord], phase: str) -> str:
    """Name what the witness saw in place of the credentials, in the phase that the case is about where it can."""
    found = [pull for pull in pulls if changed(pull)]
    chosen = [pull for pull in found if pull.phase == phase] or found
    return chosen[0].presented if chosen else ""
