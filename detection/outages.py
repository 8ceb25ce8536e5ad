"""A pytest plugin: each chosen case is run once for every outage, which begins in the middle of it.

A part of the infrastructure goes while the case waits for its cluster, and comes back after the case. What the case
says then must not be about the product.
"""

from __future__ import annotations

import functools
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
import yaml
from docker.errors import DockerException

from detection.relay import Relay
from detection.switching import UNHEALED
from engine.tempdirs import make, remove
from harness.clusters import Cluster
from lab.control import RunningLab
from lab.settings import LabSettings
from palette.waiting import Wait
from registry.address import RegistryAddress
from registry.server import usable_port
from registry.token_realm import listening
from waiting import looks
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixtures.shared_clusters import SharedClusters
    from harness.evidence import Evidence
    from harness.private_registry import SiteRegistry
    from harness.sites.site import Site

REGISTRY, HOST, PALETTE = "registry", "host", "Palette"
#: How the note begins that says that an outage did begin; without it the cell of the matrix proves nothing.
BEGUN = "outage: "
HEALING = 90.0
FREEZING = 15.0
#: Seconds that a wait has at most once the outage began.
LONGEST = 40.0
#: Seconds for which a request to Palette is repeated: a run's two minutes would only be waited for, in every cell.
PATIENCE = 4.0
#: A host's place for images is replaced by one that has no room: a copy of it in memory, as large as it is.
FILL = (
    "d=$(mktemp -d /run/full.XXXX) && mount -t tmpfs -o size=512m full $d && cp -a /usr/local/. $d/ && "
    "mount -o remount,size=$(( $(df -k --output=used $d | tail -1) + 4 ))k $d && mount --bind $d /usr/local"
)
FAILING = """
from lab.injection import ANSWER, Fault
from lab.palette.errors import ApiError

def fails(_healthy, _operation, _said):
    raise ApiError(503, "ServiceUnavailable", "no server is available")

FAILING = Fault("palette-5xx", {ANSWER: fails}, (), "an outage")
"""


@dataclass
class OutageStage:
    """The parts of a lab's site that can go: its engine's containers, its registry, the way to its Palette."""

    engine: docker.DockerClient
    lab: RunningLab
    registry: SiteRegistry
    relay: Relay
    cluster: Cluster | None = None

    def host(self) -> Any:  # noqa: ANN401 - docker-py has no types
        """Return the container of the cluster's first host, or of the lab's first where there is no cluster."""
        uid = self.cluster.host.uid if self.cluster else "edge-1"
        return self.engine.containers.get(f"{self.lab.name}-{uid}")

    @property
    def private(self) -> Any:  # noqa: ANN401 - its container is its own affair
        """The registry behind the witness."""
        return self.registry.private

    def container(self) -> Any:  # noqa: ANN401 - docker-py has no types
        """Return the registry's container."""
        return self.engine.containers.get(self.private.container)


@contextmanager
def _registry_killed(stage: OutageStage) -> Iterator[None]:
    stage.private.stop()
    yield
    stage.private.start()


@contextmanager
def _paused(container: Any) -> Iterator[None]:  # noqa: ANN401 - docker-py has no types
    freeze(container)
    yield
    container.unpause()


def freeze(container: Any) -> None:  # noqa: ANN401 - docker-py has no types
    """Pause a container. An engine may fail to freeze a system that starts programs quickly, so it is asked again."""
    trouble: DockerException | None = None
    for _ in looks(FREEZING, lambda: 0.3):
        try:
            container.pause()
        except DockerException as error:
            trouble = error
        else:
            return
    raise trouble or DockerException("nothing was paused")


@contextmanager
def _witness_stopped(stage: OutageStage) -> Iterator[None]:
    listener = stage.registry.seen.listener
    listener.stop()
    yield
    listener.start()


@contextmanager
def _registry_answers(stage: OutageStage, pause: float) -> Iterator[None]:
    """Put a server in the registry's place that answers 503, each time after a pause."""

    class Failing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(pause)
            with suppress(OSError):
                self.send_error(503)

        do_HEAD = do_GET  # noqa: N815 - the name is that of http.server

        def log_message(self, *_words: object) -> None:
            """Write nothing."""

    proxy, place = stage.registry.seen.proxy, RegistryAddress("127.0.0.1", usable_port("127.0.0.1", 0))
    before = proxy.upstream
    with listening(Failing, place.host, place.port, stage.registry.authority.issue(place.host)):
        proxy.upstream = place
        yield
        proxy.upstream = before


@contextmanager
def _host_killed(stage: OutageStage) -> Iterator[None]:
    container = stage.host()
    container.kill()
    yield
    container.start()


@contextmanager
def _host_rebooting(stage: OutageStage) -> Iterator[None]:
    stage.host().kill("SIGUSR1")  # its power is cut for a moment
    yield


@contextmanager
def _disk_full(stage: OutageStage) -> Iterator[None]:
    assert stage.cluster is not None
    done = stage.cluster.host.run(FILL)
    assert done.rc == 0, f"the disk could not be filled: {done.stderr}"
    yield
    before = stage.cluster.host.boot()
    stage.host().kill("SIGUSR1")  # the disk as it was before comes back with a boot
    stage.cluster.host.wait_for_boot_after(before)


@contextmanager
def _network_cut(stage: OutageStage) -> Iterator[None]:
    container = stage.host()
    ((name, place),) = container.attrs["NetworkSettings"]["Networks"].items()
    network = stage.engine.networks.get(name)
    network.disconnect(container)
    yield
    network.connect(container, ipv4_address=place["IPAddress"])


@contextmanager
def _engine_restarted(stage: OutageStage) -> Iterator[None]:
    """Do to the run's containers what the end of the engine does to all; others use the engine, so it stays."""
    with _host_killed(stage), _registry_killed(stage):
        yield


@contextmanager
def _palette_5xx(stage: OutageStage) -> Iterator[None]:
    with stage.lab.taken("an outage", [{"name": "palette-5xx", "source": FAILING, "path": __file__}]):
        yield


@dataclass(frozen=True)
class Outage:
    """What goes: ``takes`` says which parts of the site; ``survivable``, whether a case may well bear it and pass."""

    name: str
    takes: frozenset[str]
    happens: Callable[[OutageStage], Any]
    survivable: bool = False


def _outage(name: str, takes: str, happens: Callable[[OutageStage], Any], *, survivable: bool = False) -> Outage:
    return Outage(name, frozenset(takes.split()), happens, survivable)


OUTAGES = (
    _outage("none", "", lambda _stage: ExitStack(), survivable=True),
    _outage("registry killed", "registry", _registry_killed),
    _outage("registry paused", "registry", lambda stage: _paused(stage.container())),
    _outage("registry 5xx", "registry", lambda stage: _registry_answers(stage, 0)),
    _outage("registry slow", "registry", lambda stage: _registry_answers(stage, 120)),
    _outage("witness stopped", "registry", _witness_stopped),
    _outage("host paused", "host", lambda stage: _paused(stage.host())),
    _outage("host powered off", "host", _host_killed),
    _outage("host rebooting", "host", _host_rebooting, survivable=True),
    _outage("host disk full", "host", _disk_full, survivable=True),
    _outage("host network cut", "host", _network_cut),
    _outage("Palette 5xx", "Palette", _palette_5xx),
    _outage("Palette paused", "Palette", lambda stage: stage.relay.paused()),
    _outage("Palette resets", "Palette", lambda stage: stage.relay.resetting()),
    _outage("engine restarted", "registry host", _engine_restarted),
)


@dataclass(frozen=True)
class CaseKind:
    """A kind of case: one that stands for it, what of the site it needs, and when its outage begins.

    It begins in the first wait of a ``phase``; with ``told`` once an error event was told.
    """

    name: str
    case: str
    phase: str = "deploy"
    told: bool = False
    needs: frozenset[str] = frozenset({REGISTRY, HOST, PALETTE})
    refused: bool = False

    def concerns(self, outage: Outage) -> bool:
        """Whether the outage takes away anything that the case needs."""
        return not outage.takes or bool(outage.takes & self.needs)


_LOGIN = "test_an_unknown_user_is_reported"
KINDS = (
    CaseKind("deployment", "test_a_new_cluster_pulls_from_the_private_registry"),
    CaseKind("refused deployment", _LOGIN, refused=True),
    CaseKind("refused deployment, told", "test_nobody_pulls_anonymously", told=True, refused=True),
    CaseKind("missing image", "test_a_missing_image_is_reported", refused=True),
    CaseKind("recovery", "test_a_corrected_profile_recovers_without_registering_again", told=True),
    CaseKind("repave", "test_a_new_version_repaves_the_cluster", phase="repave"),
    CaseKind("refused repave", "test_a_broken_password_shows_at_the_next_pull", phase="repave", refused=True),
    CaseKind("failed repave, told", "test_a_failed_pull_keeps_the_old_system", phase="repave", told=True, refused=True),
    CaseKind("property", "test_deploy_presents_the_password_unchanged"),
    CaseKind("stateful test", "test_a_cluster_keeps_its_promises_all_its_life"),
    CaseKind("host looked at", "test_a_plain_reboot_changes_nothing", phase="", needs=frozenset({HOST, PALETTE})),
    CaseKind("Palette's refusal", "test_no_refusal_has_the_password", phase="", needs=frozenset({PALETTE})),
)


# --- in pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("detection")
    group.addoption("--outages-lab", metavar="FOLDER", type=Path, help="the lab whose parts go")
    group.addoption("--outages-timeouts", metavar="JSON", default="{}", help="time-outs of its site")
    group.addoption("--outages-of", metavar="OUTAGE/KIND", action="append", help="these cells only")


_RELAY = pytest.StashKey[Relay]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Reach the lab's Palette through a relay that can be stopped, with little patience."""
    hasty = pytest.MonkeyPatch()
    hasty.setattr("harness.sites.site.RetryPolicy", functools.partial(RetryPolicy, give_up_after=PATIENCE))
    config.add_cleanup(hasty.undo)
    folder = config.getoption("--outages-lab")
    document = yaml.safe_load((folder / "site.yaml").read_text())
    relay = config.stash[_RELAY] = Relay.to(document["palette"]["url"])
    document["palette"]["url"] = relay.url
    document["timeouts"] |= yaml.safe_load(config.getoption("--outages-timeouts"))
    document["examples"] = 1
    place = make("outages")
    (place / "site.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    config.option.site = str(place / "site.yaml")
    config.add_cleanup(functools.partial(remove, place))
    config.add_cleanup(relay.close)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a case once for each outage."""
    if any(kind.case.partition("[")[0] == metafunc.function.__name__ for kind in KINDS):
        metafunc.parametrize("outage", OUTAGES, ids=[outage.name for outage in OUTAGES], indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cells of the matrix, outage by outage."""
    wanted = set(config.getoption("--outages-of") or ())
    cells = {f"{outage.name}/{kind.name}" for kind in KINDS for outage in OUTAGES if kind.concerns(outage)}
    chosen = [item for item in items if (cell := cell_of(item.nodeid)) in cells and (not wanted or cell in wanted)]
    order = [outage.name for outage in OUTAGES]
    items[:] = sorted(chosen, key=lambda item: order.index(cell_of(item.nodeid).partition("/")[0]))


def cell_of(case: str) -> str:
    """Return which cell of the matrix a case is, as ``outage/kind``; an empty text for one that is none."""
    name, _, parameters = case.rpartition("::")[2].removesuffix("]").partition("[")
    outage = next((outage.name for outage in OUTAGES if parameters.startswith(outage.name)), "")
    rest = parameters.removeprefix(outage).removeprefix("-")
    case = f"{name}[{rest}]" if rest else name
    kind = next((kind.name for kind in KINDS if kind.case == case), "")
    return f"{outage}/{kind}" if outage and kind else ""


@pytest.fixture(autouse=True)
def outage(
    request: pytest.FixtureRequest,
    site: Site,
    private_registry: SiteRegistry,
    evidence: Evidence,
    monkeypatch: pytest.MonkeyPatch,
    shared_clusters: SharedClusters,
) -> Iterator[None]:
    """Have the outage begin in the middle of the case; afterwards the lab must be as before."""
    chosen: Outage = request.param
    kind = next(kind for kind in KINDS if cell_of(request.node.nodeid) == f"{chosen.name}/{kind.name}")
    lab = RunningLab(LabSettings(request.config.getoption("--outages-lab")), None)
    engine = docker.from_env()
    stage = OutageStage(engine, lab, private_registry, request.config.stash[_RELAY])
    with ExitStack() as happening:
        moment = _Moment(kind, stage, lambda: begin(chosen, stage, evidence, happening), bool(chosen.takes))
        site.watchers.append(moment.phase)
        moment.watch(monkeypatch)
        yield
        monkeypatch.undo()
        site.watchers[:] = [each for each in site.watchers if each != moment.phase]
    shared_clusters.close_all()  # no other outage may find them
    _heal(request.session, site)
    engine.close()


def begin(outage: Outage, stage: OutageStage, evidence: Evidence, happening: ExitStack) -> None:
    """Take away what the outage takes, until ``happening`` ends, and note that it began."""
    happening.enter_context(outage.happens(stage))
    evidence.note(f"{BEGUN}{outage.name}")  # not before: what could not be taken away was not gone


@dataclass
class _Moment:
    """Finds the moment at which an outage begins, and begins it once; ``hasty`` cuts the waits after it."""

    kind: CaseKind
    stage: OutageStage
    begin: Callable[[], None]
    hasty: bool
    now: str = ""
    begun: bool = False

    def phase(self, cluster: Cluster, name: str) -> None:
        """Note the phase that begins, as a site's watcher."""
        self.stage.cluster, self.now = cluster, name

    def once(self) -> None:
        """Begin the outage, if it has not begun yet."""
        if not self.begun:
            self.begun = True
            self.begin()

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Look at what the case does, where its kind says that the outage begins."""
        if not self.kind.phase and HOST not in self.kind.needs:
            self.once()
            return
        until, errors, running = Wait.until, Cluster.errors, Cluster.wait_until_running

        def until_then(wait: Wait, *words: Any, **named: Any) -> Any:  # noqa: ANN401 - as it was
            if self.kind.phase and self.now == self.kind.phase and not self.kind.told:
                self.once()
            if self.begun and self.hasty:
                named["within"] = min(named["within"], LONGEST)
            return until(wait, *words, **named)

        def errors_then(cluster: Cluster) -> Any:  # noqa: ANN401 - as it was
            found = errors(cluster)
            if found and self.kind.told and self.now == self.kind.phase:
                self.once()
            return found

        def running_then(cluster: Cluster) -> Any:  # noqa: ANN401 - as it was
            found = running(cluster)
            if not self.kind.phase:
                self.once()
            return found

        patch.setattr(Wait, "until", until_then)
        patch.setattr(Cluster, "errors", errors_then)
        patch.setattr(Cluster, "wait_until_running", running_then)


def _heal(session: pytest.Session, site: Site) -> None:
    """Wait until the lab is as it was; one that does not heal is of no use to the next outage."""
    trouble: Exception | None = None
    for _ in looks(HEALING, lambda: 1.0):
        try:
            site.ledger.clear(site.project)
            for host in site.free_hosts(len(site.hosts)):
                host.boot()
        except Exception as error:  # noqa: BLE001 - whatever stands in the way
            trouble = error
        else:
            return
    session.shouldstop = f"{UNHEALED}: {trouble}"
