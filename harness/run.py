"""A conformance run as pytest sees it: which cases are ours, their evidence, the journal, the reports at the end."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
import time
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
import requests
from docker.errors import DockerException

from edge import BlindSearchError, CommandRefusedError, HostUnreachable, UnknownLayoutError
from harness import ledger as ledgers
from harness import requirements as catalogue
from harness.clusters import NotCleanedUpError, VacuousPhase
from harness.environment import COMMAND
from harness.errors import is_shortage
from harness.evidence import Evidence
from harness.failure_report import Ending, FailureReport, failure_report, masked, words_of
from harness.pull_addresses import SharedAddressError
from harness.sites.site import HostsGoneError, NoFreeHostError
from harness.sites.site_file import NoOwnAddressError
from harness.tracebacks import first_of
from palette.errors import INFRASTRUCTURE, ForbiddenError, NeverTouchError, PaletteError, UnauthorizedError
from palette.waiting import WaitError
from registry.existing import AccountNotGivenError
from registry.manifests import RegistryError
from registry.runners import RegistryFailed
from registry.transforms import TRANSFORMS, Context
from reports import runs, summary, waivers
from reports.journal import FILE_NAME, Journal
from reports.leaks import Gate
from reports.records import CaseFinished, Record, RequirementRecord, RunFinished, RunStarted, utc
from reports.verdicts import ExitCode, Verdict, of_exception

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from harness.liveness import Liveness
    from harness.options import Options
    from harness.resuming import Earlier
    from harness.worker import Wire
    from reports.leak_forms import Protected
    from reports.waivers import Waiver

SUITES = Path(__file__).parent.parent / "suites"
HARNESS = "0.1.0"


#: A protected secret is looked for as every known change of a secret would leave it.
LEAK_FORMS = {known.id: lambda raw, known=known: known.apply(Context(raw)) for known in TRANSFORMS}


class NotCovered(Exception):  # noqa: N818 - a verdict
    """The site lacks what the case needs; the message says what."""


#: What exceptions of clients and fixtures mean for a verdict.
CLASSES: Mapping[type[BaseException], Verdict] = {
    HostUnreachable: Verdict.DEAD,
    CommandRefusedError: Verdict.DEAD,
    UnknownLayoutError: Verdict.DEAD,
    HostsGoneError: Verdict.DEAD,
    NotCleanedUpError: Verdict.DEAD,
    RegistryFailed: Verdict.DEAD,
    RegistryError: Verdict.DEAD,
    DockerException: Verdict.DEAD,
    VacuousPhase: Verdict.VACUOUS,
    BlindSearchError: Verdict.VACUOUS,
    NotCovered: Verdict.NOT_COVERED,
    NoFreeHostError: Verdict.NOT_COVERED,
    NoOwnAddressError: Verdict.NOT_COVERED,
    SharedAddressError: Verdict.NOT_COVERED,
    pytest.skip.Exception: Verdict.NOT_COVERED,
    AccountNotGivenError: Verdict.NOT_COVERED,
    requests.ConnectionError: Verdict.DEAD,  # of the registry's client; those of Palette's are PaletteErrors
    requests.Timeout: Verdict.DEAD,
    PaletteError: Verdict.FAIL,
    **dict.fromkeys(INFRASTRUCTURE, Verdict.DEAD),
    UnauthorizedError: Verdict.DEAD,  # the key was good when the run began
    ForbiddenError: Verdict.DEAD,
    NeverTouchError: Verdict.ERROR,
    # time is part of the promise: a cluster that never runs is the product's failure, told by its events
    WaitError: Verdict.FAIL,
    # what pytest.raises and pytest.fail end with: something that had to happen did not
    pytest.fail.Exception: Verdict.FAIL,
}


class Recorder(Protocol):
    """What takes the records of a run: its journal, or a way to it."""

    def write(self, record: Record) -> None:
        """Take a record."""

    def close(self) -> None:
        """Take no more."""


@dataclass
class Run:
    """One run of the suites: its directory, its journal, and the case that runs now."""

    options: Options
    folder: Path
    journal: Recorder
    evidence: Evidence
    collected: int = 0
    deselected: int = 0
    protected: list[Protected] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    features: frozenset[str] = frozenset()
    cases: list[CaseFinished] = field(default_factory=list)
    began: str = field(default_factory=utc)
    liveness: Liveness | None = None
    worker: str = ""
    owner: int = -1
    _known: dict[str, str] | None = None
    _case_began: float = 0.0
    _case_utc: str = ""
    _error: BaseException | None = None
    _ended_in: str = ""

    def __post_init__(self) -> None:
        self.evidence.protected = self.protected

    @classmethod
    def begin(cls, options: Options) -> Run:
        """Make the run's directory and journal, or take those of the run that is resumed."""
        if options.resume is not None:
            return cls._resumed(options, options.resume)
        folder = runs.create(options.home)
        return cls(options, folder, Journal(folder / FILE_NAME), Evidence(folder), owner=runs.take(folder))

    @classmethod
    def beside(cls, options: Options, wire: Wire, *, folder: Path, worker: str) -> Run:
        """Return a worker's part of a run: its records go to the controller, its lab has a name of its own."""
        run = cls(options, folder, wire, Evidence(folder), worker=worker)
        wire.run = run
        return run

    @classmethod
    def _resumed(cls, options: Options, earlier: Earlier) -> Run:
        folder = earlier.folder
        run = cls(options, folder, Journal(folder / FILE_NAME), Evidence(folder), owner=earlier.owner)
        run.began = earlier.started.started
        run.cases += earlier.cases
        return run

    @property
    def id(self) -> str:
        """The run's identity: the name of its directory."""
        return self.folder.name

    @property
    def short_id(self) -> str:
        """The run's identity as part of the names of what it makes in Palette."""
        return runs.short(self.id)

    @property
    def site_id(self) -> str:
        """The same, and which worker it is where several share a site."""
        return f"{self.short_id}-{self.worker}" if self.worker and self.options.site is not None else self.short_id

    @property
    def waivers_in_force(self) -> list[Waiver]:
        """The known issues that affect the version of Palette under test, and have not expired."""
        return [waiver for waiver in self._affecting if not waiver.is_expired(self._today)]

    @property
    def expired_waivers(self) -> list[Waiver]:
        """The known issues that would affect it, had they not expired."""
        return [waiver for waiver in self._affecting if waiver.is_expired(self._today)]

    @property
    def _affecting(self) -> list[Waiver]:
        version = self.facts.get("palette.version", "")
        return [waiver for waiver in self.options.known_issues if waiver.affects(version)]

    @property
    def _today(self) -> date:
        return datetime.fromisoformat(self.began).date()

    @property
    def verdict(self) -> Verdict:
        """What would be said of the running case as it stands; what is gone leaves nothing to say of the product."""
        verdict = verdict_of(self._error)
        if verdict is Verdict.FAIL and self._ended_in == "teardown":
            return Verdict.DEAD  # cleaning up is no promise of the product
        of_the_product = verdict in {Verdict.PASS, Verdict.FAIL, Verdict.VACUOUS}
        return Verdict.DEAD if of_the_product and self.evidence.gone else verdict

    def as_it_stands(self, item: pytest.Item) -> CaseFinished:
        """Return the record of the running case as it stands, known issues recognised."""
        verdict = self.verdict
        ended = Ending(self._error, verdict, tuple(self.evidence.gone), traceback=_wants_traceback(item.config))
        report = failure_report(item, sentence_of(item), ended, self.evidence, self.options)
        record = masked(self._record(item, verdict, report), self.protected)
        return waivers.recognise(record, self.waivers_in_force, self.expired_waivers)

    # --- records -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Write the record of the run's beginning before that of a case; again where more is known by then."""
        if self.worker or self._known == self.facts:
            return
        self._known = dict(self.facts)
        listed = tuple(
            RequirementRecord(
                id=r.id, claim=r.claim, section=r.section, level=r.level, phases=r.phases, since=r.since, until=r.until,
                features=r.features,
            )
            for r in catalogue.load().values()
        )  # fmt: skip
        self.journal.write(
            RunStarted(
                run_id=self.id,
                started=self.began,
                seed=str(self.options.seed),
                command=command_line(sys.argv[1:]),
                site=self.options.site.name if self.options.site else "lab",
                level=self.options.level,
                harness=HARNESS,
                facts={**harness_facts(), **self.facts, **self._expired_facts()},
                requirements=listed,
                waivers=tuple(waiver.in_force() for waiver in self.waivers_in_force),
                features=tuple(sorted(self.features)),
            )
        )

    def _expired_facts(self) -> dict[str, str]:
        return {f"waiver.{waiver.id}": waivers.expired_words(waiver) for waiver in self.expired_waivers}

    def begin_case(self, case: str) -> None:
        """Start the clock and the evidence of a case."""
        self.evidence.begin(case)
        self._case_began, self._case_utc, self._error = time.monotonic(), utc(), None

    def failed(self, error: BaseException, when: str) -> None:
        """Take an exception of the case. The first one ended it; what cleaning up raised afterwards is noted."""
        first = first_of(error)
        if self._error is None:
            self._error, self._ended_in = first, when
        if error is not self._error:
            self.evidence.note(f"clean-up failed: {words_of(error)}")

    def look_around(self) -> None:
        """Ask whether everything that the verdict rests on is alive, before one is drawn about the product."""
        if self._error is None and self.evidence.undocumented:
            self.failed(NotCovered("; ".join(dict.fromkeys(self.evidence.undocumented))), "call")
        about_the_product = {Verdict.FAIL, Verdict.VACUOUS, *([Verdict.PASS] if self.evidence.refusals else [])}
        verdict = verdict_of(self._error)
        if self.liveness is not None and verdict in about_the_product:
            self.evidence.gone += self.liveness.look(self.evidence, passed=verdict is Verdict.PASS)

    def end_case(self, item: pytest.Item) -> Verdict:
        """Judge the case and write its record."""
        self.start()
        case = self.as_it_stands(item)
        self.cases.append(case)
        self.journal.write(case)
        return case.verdict

    def _record(self, item: pytest.Item, verdict: Verdict, told: FailureReport) -> CaseFinished:
        evidence = self.evidence
        marker = item.get_closest_marker("requirement")
        return CaseFinished(
            case=item.nodeid,
            verdict=verdict,
            title=sentence_of(item),
            requirements=tuple(marker.args) if marker else (),
            phase=str(marker.kwargs.get("phase", "")) if marker else "",
            started=self._case_utc,
            seconds=round(time.monotonic() - self._case_began, 3),
            hosts=tuple(dict.fromkeys(host for cluster in evidence.clusters for host in cluster.hosts)),
            vector=evidence.vector,
            vector_class=evidence.vector_class,
            password_classes=evidence.last_classes if verdict.is_red else evidence.classes,
            seed=str(self.options.seed),
            expected=told.expected,
            observed=told.observed,
            reason=told.reason,
            story=told.lines,
            reproduce=told.reproduce if verdict.is_red else "",
            pulls=tuple(pull for cluster in evidence.clusters for pull in cluster.all_pulls),
            timeline=tuple(moment for cluster in evidence.clusters for moment in cluster.moments),
            events=tuple(event for cluster in evidence.clusters for event in cluster.events),
            notes=tuple(evidence.notes),
            attachments=tuple(evidence.attachments),
            examples=evidence.examples,
            clusters=evidence.deployed,
            repaves=evidence.repaved,
        )

    @property
    def lab_name(self) -> str:
        """What the lab of this run, or of this worker of it, is called."""
        return f"{self.id}-{self.worker}" if self.worker else self.id

    def learn(self, facts: Mapping[str, str], features: frozenset[str]) -> None:
        """Take what a worker knows of the site."""
        self.facts.update(facts)
        self.features |= features

    def take(self, record: CaseFinished) -> None:
        """Take the record of a case from a worker."""
        self.start()
        self.cases.append(record)
        self.journal.write(record)

    def lose(self, item: pytest.Item, error: Exception) -> CaseFinished:
        """Record a case whose worker is gone; return the record."""
        self.begin_case(item.nodeid)
        self.failed(error, "call")
        self.end_case(item)
        return self.cases[-1]

    def withdraw(self) -> None:
        """Leave no trace of a run whose set-up was refused before its first case, unless something is left behind."""
        self.journal.close()
        ledger = self.folder / ledgers.FILE_NAME
        owes = self.left_behind or (ledger.exists() and ledgers.read(ledger).entries)
        if self.options.resume is None and not owes:
            shutil.rmtree(self.folder, ignore_errors=True)

    def finish(self, *, interrupted: bool) -> tuple[ExitCode, str]:
        """Write every report; return the exit code and the summary for the terminal."""
        from reports.finish import finish  # noqa: PLC0415 - pages take 0.1 s to load, and workers write none

        self.start()
        complete = not interrupted and not self.deselected and len(self.cases) >= self.collected
        for case in waivers.settle(self.cases, self.waivers_in_force, complete=complete):
            self.journal.write(case)
        self.journal.close()
        ended = RunFinished(
            ended=utc(),
            interrupted=interrupted,
            collected=self.collected,
            deselected=self.deselected,
            left_behind=tuple(self.left_behind),
        )
        gate, options = Gate(self.protected, LEAK_FORMS), self.options
        finished = finish(self.folder, ended, gate, signer=options.signer, history=options.history)
        text = summary.render(
            finished.results,
            width=shutil.get_terminal_size((100, 24)).columns,
            colour=summary.wants_colour(sys.stdout),
            where=finished.run,
            certificate=finished.certificate,
            earlier=finished.earlier,
        )
        return finished.results.exit_code, text


def verdict_of(error: BaseException | None) -> Verdict:
    """Return what the exception that ended a case means for its verdict."""
    return Verdict.DEAD if is_shortage(error) else of_exception(error, CLASSES)


def _wants_traceback(config: pytest.Config) -> bool:
    """Whether ``--tb`` was given, and not to have none."""
    return config.getoption("tbstyle", "auto") not in {"auto", "no"}


def command_line(arguments: Sequence[str]) -> str:
    """Return the command that the user typed: as ``./run`` noted it, else as pytest was called."""
    return os.environ.get(COMMAND) or shlex.join(["pytest", *arguments])


def sentence_of(item: pytest.Item) -> str:
    """Return the first sentence of a case's docstring: what it claims."""
    function = getattr(item, "function", None)
    text = (getattr(function, "__doc__", None) or item.name).strip()
    return " ".join(text.split("\n\n")[0].split())


def harness_facts() -> dict[str, str]:
    """Versions of the harness and of what it stands on."""
    packages = ("pytest", "pytest-testinfra", "hypothesis", "docker", "requests", "aiohttp", "bcrypt", "cryptography")
    return {
        "harness.version": HARNESS,
        "harness.python": platform.python_version(),
        "harness.machine": f"{platform.system()} {platform.release()} {platform.machine()}",
        **{f"harness.{name}": version(name) for name in packages},
    }


def is_case(item: pytest.Item) -> bool:
    """Return whether an item is a conformance case, not a test of the harness."""
    return _is_of_suites(item.path)


@cache  # it is asked many times of each of thousands of tests, which are in few files
def _is_of_suites(path: Path) -> bool:
    return SUITES in path.parents


def cases_of(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Return the conformance cases among what was collected."""
    return (item for item in items if is_case(item))


def is_for_cases(config: pytest.Config) -> bool:
    """Return whether a command line names conformance cases."""
    paths = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    return any(path == SUITES or SUITES in path.parents or path in SUITES.parents for path in paths)
