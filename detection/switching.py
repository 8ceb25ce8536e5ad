"""Which cases there are, and a pytest plugin that runs each once for every fault that it may catch.

A plan (a file) names the lab to switch, and which fault concerns which requirements. A case does not learn which fault
is in force. When a fault has been caught for every requirement that a case could add, the case is not run. Without a
plan the plugin lists the cases only, for :func:`collect`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.children import environment
from engine.tempdirs import temporary_directory
from harness.levels import DEFAULT
from harness.run import SUITES, NotCovered
from lab.control import RunningLab
from lab.settings import LabSettings
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from fixtures.shared_clusters import SharedClusters
    from harness.run import Run
    from harness.sites.site import Site

#: What a case must end with for its fault to count as caught: the product's fault, or nothing proven about it.
CAUGHT = frozenset({Verdict.FAIL, Verdict.VACUOUS})
#: How a run ends whose lab was not as before after a fault: another lab takes its place.
UNHEALED = "the lab does not heal"
HEALTHY = ""
ROOT = SUITES.parent


class NoCasesError(Exception):
    """The suites cannot be collected; the message is pytest's."""


@dataclass(frozen=True)
class SuiteCase:
    """A conformance case: its node id, its file, the requirements it proves, the hosts it takes."""

    id: str
    file: str
    requirements: tuple[str, ...]
    hosts: int


def collect(suites: Sequence[str] = (str(SUITES),), level: str = DEFAULT) -> list[SuiteCase]:
    """List the cases of the suites at a level. Raises NoCasesError."""
    with temporary_directory("detection") as folder:
        file = folder / "cases.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qqq", "-p", "no:cacheprovider"]
        command += ["-p", "detection.switching", "--cases-to", str(file), "--level", level]
        command += [*project_options(suites), *suites]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment())
        if done.returncode != 0 or not file.exists():
            raise NoCasesError(f"the suites cannot be collected:\n{done.stdout}{done.stderr}")
        return [
            SuiteCase(**{**each, "requirements": tuple(each["requirements"])}) for each in json.loads(file.read_text())
        ]


def project_options(suites: Sequence[str]) -> list[str]:
    """Return the options by which pytest runs a case file from outside the project as one of the project's."""
    places = [(ROOT / suite.partition("::")[0]).resolve() for suite in suites]
    above = os.path.commonpath([ROOT, *places])
    return ["-c", str(ROOT / "pyproject.toml"), "--rootdir", above, "-p", "conftest"]


@dataclass(frozen=True)
class Mutant:
    """A fault as the plan has it. ``specification`` is what the lab is told; none for the healthy lab."""

    name: str
    specification: dict[str, Any] | None
    claims: tuple[str, ...]
    every: bool = False
    """Whether it concerns every case, and none is left out once it is caught."""
    once: bool = False
    """Whether it concerns every case until it is caught, whatever by."""
    cases: tuple[str, ...] = ()
    """The only cases that it concerns, by their node ids, in their order; none for all that the rest says."""
    watched: tuple[dict[str, Any], ...] = ()
    """Specifications of faults that are not in force: the lab notes where they would do something else."""

    @property
    def specifications(self) -> list[dict[str, Any]]:
        """What the lab is told."""
        in_force = [self.specification] if self.specification else []
        return [*in_force, *({**each, "watched": True} for each in self.watched)]

    def concerns(self, requirements: Collection[str]) -> bool:
        """Return whether a case that proves ``requirements`` is run for it."""
        return self.every or self.once or not self.claims or bool(set(self.claims) & set(requirements))

    def is_settled(self, proves: Collection[str], caught: Collection[str]) -> bool:
        """Return whether a case can add nothing, given the requirements that have caught it already."""
        wanted = set(self.claims) & set(proves)
        return bool(caught) if self.once else not self.every and bool(wanted) and wanted <= set(caught)


@dataclass(frozen=True)
class Plan:
    """Which lab, and which mutants in which order.

    ``shuffle`` is the seed of a random order of all cases, None for the usual one.
    """

    lab: str
    mutants: tuple[Mutant, ...]
    shuffle: int | None = None

    def write(self, file: Path) -> None:
        """Write the plan for the plugin."""
        file.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, file: Path) -> Plan:
        """Read a plan."""
        record = json.loads(file.read_text())
        lists = ("claims", "cases", "watched")
        mutants = [Mutant(**{**each, **{name: tuple(each[name]) for name in lists}}) for each in record["mutants"]]
        return cls(record["lab"], tuple(mutants), record["shuffle"])

    def mutants_for(self, requirements: tuple[str, ...]) -> list[Mutant]:
        """Return those who concern a case that proves ``requirements``."""
        return [mutant for mutant in self.mutants if mutant.concerns(requirements)]


PLAN = pytest.StashKey[Plan]()
CAUGHT_SO_FAR = pytest.StashKey[dict[str, set[str]]]()


def cases_file(plan: Path) -> Path:
    """Where the plugin writes which case ran for which mutant."""
    return plan.with_suffix(".cases.json")


def touches_file(plan: Path) -> Path:
    """Where the plugin writes what each mutant did during its cases, one JSON document a line."""
    return plan.with_suffix(".touches.jsonl")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options: one of them is given."""
    group = parser.getgroup("detection")
    group.addoption("--detection-plan", metavar="FILE", help="which faults, on which lab")
    group.addoption("--cases-to", metavar="FILE", help="write the collected cases as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Read the plan."""
    if plan := config.getoption("--detection-plan"):
        config.stash[PLAN] = Plan.read(Path(plan))
    config.stash[CAUGHT_SO_FAR] = {}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case once for each mutant it concerns."""
    marker = metafunc.definition.get_closest_marker("requirement")
    if marker is None or PLAN not in metafunc.config.stash:
        return
    chosen = metafunc.config.stash[PLAN].mutants_for(tuple(map(str, marker.args)))
    if chosen:
        metafunc.parametrize("mutant", chosen, ids=[s.name or "healthy" for s in chosen], indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Order by mutant, and its cases so that the quickest to catch it come first."""
    plan = config.stash.get(PLAN, None)
    if plan is None:
        return
    order = {mutant.name: number for number, mutant in enumerate(plan.mutants)}
    chosen = [item for item in items if (mutant := mutant_of(item)) and _base(item) in (mutant.cases or {_base(item)})]
    chosen.sort(key=lambda item: (order[_name(item)], *_rank(item)))
    if plan.shuffle is not None:
        random.Random(plan.shuffle).shuffle(chosen)  # noqa: S311 - an order, no secret
    items[:] = chosen
    cases = {item.nodeid: {"mutant": _name(item), "case": _base(item), "drawn": _draws(item)} for item in chosen}
    cases_file(Path(config.getoption("--detection-plan"))).write_text(json.dumps(cases))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the list of cases, where that is all that is asked for."""
    if file := session.config.getoption("--cases-to"):
        Path(file).write_text(json.dumps([asdict(_case_of(item)) for item in session.items]))


def _case_of(item: pytest.Item) -> SuiteCase:
    marker = item.get_closest_marker("requirement")
    ids = tuple(map(str, marker.args)) if marker else ()
    hosts = int(marker.kwargs.get("hosts", 1)) if marker else 1
    file = item.path.relative_to(ROOT) if ROOT in item.path.parents else item.path
    return SuiteCase(item.nodeid, str(file), ids, hosts)


def _draws(item: pytest.Item) -> bool:
    """Return whether the case's examples are drawn."""
    return "passwords" in getattr(item, "fixturenames", ())


def mutant_of(item: pytest.Item) -> Mutant | None:
    """Return the mutant that an item is run for."""
    callspec = getattr(item, "callspec", None)
    mutant: Mutant | None = callspec.params.get("mutant") if callspec else None
    return mutant


def _rank(item: pytest.Item) -> tuple[int, bool]:
    """Return the place of a case among those of its mutant: first what proves little else, then what draws."""
    mutant, marker = mutant_of(item), item.get_closest_marker("requirement")
    assert mutant is not None
    if mutant.cases:
        return mutant.cases.index(_base(item)), False
    assert marker is not None
    others = set(marker.args).difference(mutant.claims) if mutant.claims else ()
    return len(others), not _draws(item)


def _name(item: pytest.Item) -> str:
    mutant = mutant_of(item)
    return mutant.name if mutant else HEALTHY


def _base(item: pytest.Item) -> str:
    """Return the node id that the case has in an ordinary run."""
    stem, _, parameters = item.nodeid.removesuffix("]").partition("[")
    shown = _name(item) or "healthy"
    rest = parameters.removeprefix(shown).removeprefix("-")
    return f"{stem}[{rest}]" if rest else stem


@pytest.fixture(autouse=True)
def mutant(request: pytest.FixtureRequest, site: Site, run: Run, shared_clusters: SharedClusters) -> Iterator[None]:
    """Put the fault in force for the time of the case; afterwards the lab must be as it was."""
    chosen: Mutant = request.param
    caught = request.config.stash[CAUGHT_SO_FAR].setdefault(chosen.name, set())
    proves = set(request.node.get_closest_marker("requirement").args)
    if chosen.is_settled(proves, caught):
        raise NotCovered("the fault has been caught already for all that this case could add")
    site.project.scope.transport.odd.clear()  # of the fault before
    with _in_force(request, chosen.specifications):
        yield
        shared_clusters.close_all()  # no other fault may find them
    if chosen.specification and run.verdict in CAUGHT:
        caught |= proves
    _wait_until_healed(request.session, site)


@contextlib.contextmanager
def _in_force(request: pytest.FixtureRequest, faults: list[dict[str, Any]]) -> Iterator[None]:
    """Put faults in force; without a lab the run ends."""
    lab = RunningLab(LabSettings(Path(request.config.stash[PLAN].lab)), None)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lab.taken("detection", faults))
        except OSError as error:
            request.session.shouldstop = f"the lab is gone: {error}"
            raise
        try:
            yield
        finally:
            _keep_touches(request, lab)


def _keep_touches(request: pytest.FixtureRequest, lab: RunningLab) -> None:
    with contextlib.suppress(OSError):
        record = {"case": request.node.nodeid, "touches": lab.ask("touches")["touches"]}
        with touches_file(Path(request.config.getoption("--detection-plan"))).open("a") as file:
            file.write(json.dumps(record) + "\n")


def _wait_until_healed(session: pytest.Session, site: Site) -> None:
    try:
        site.ledger.clear(site.project)
        site.free_hosts(len(site.hosts))
    except Exception as error:  # noqa: BLE001 - whatever stands in the way, the next fault needs another lab
        session.shouldstop = f"{UNHEALED}: {error}"
