"""Registry, witness, hosts and Palette are asked whether they are alive; what is gone is named."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import docker
import pytest
import requests

from edge import HostUnreachable
from harness.clusters import Phase
from harness.evidence import ClusterEvidence, Evidence
from harness.liveness import Liveness, hosts_gone
from harness.private_registry import SiteRegistry
from palette.errors import ServerError
from protected import Secret
from registry.address import RegistryAddress
from registry.client import RegistryClient
from registry.existing import ExistingRegistry, GivenAccount
from registry.manifests import RegistryError
from registry.server import Account, PrivateRegistry
from registry.witness import Witness
from reports.records import EventRow
from tests.registry.test_hostile_registry import AUTHORITY, BASIC, scripted
from waiting.retry import RetryPolicy

CASE = "suites/lifecycle/test_deploy.py::test_nobody_pulls_anonymously"


@pytest.fixture
def registry(engine: docker.DockerClient) -> Iterator[SiteRegistry]:
    """Yield a real registry behind its witness, both of which a test may stop."""
    with PrivateRegistry(engine) as private, Witness(private) as witness:
        yield SiteRegistry(private, witness, ())


@pytest.fixture
def evidence(tmp_path: Path, registry: SiteRegistry) -> Evidence:
    """Return the evidence of a case whose pulls the witness sees."""
    evidence = Evidence(tmp_path, witness=registry.witness)
    evidence.begin(CASE)
    return evidence


def palette(error: Exception | None = None) -> Any:  # noqa: ANN401 - as much of a site as is asked
    """Return a site whose Palette answers, or fails."""

    def version(_service: str) -> str:
        if error is not None:
            raise error
        return "4.9.0"

    return SimpleNamespace(palette=SimpleNamespace(tenant=SimpleNamespace(service_version=version)))


def pull(registry: SiteRegistry) -> None:
    """Ask for an image as a host does in the middle of the case, whatever comes of it."""
    registry.seen.begin("deploy", cluster="c", case=CASE)
    client = RegistryClient(registry.address, authorities=registry.authority.pem, retry=RetryPolicy(attempts=1))
    with client, pytest.raises((RegistryError, requests.RequestException)):
        client.manifest("conformance/provider", "v1")


def test_with_everything_alive_nothing_is_gone(registry: SiteRegistry, evidence: Evidence) -> None:
    """A registry that refuses a login answers; so does Palette."""
    pull(registry)

    assert Liveness(palette(), registry).look(evidence) == []


def test_an_account_that_is_locked_after_wrong_passwords_is_not_blamed_on_the_product(evidence: Evidence) -> None:
    """A registry of somebody's that refuses the right password after three wrong ones is told as that."""
    account = GivenAccount("edge", Secret("right-S3cret"))
    right = f"Basic {base64.b64encode(b'edge:right-S3cret').decode()}"
    wrong: list[str] = []

    def locking(_method: str, path: str, login: str) -> tuple[int, dict[str, str], bytes]:
        wrong.extend([login] if login not in {"", right} else [])
        is_in = login == right and len(wrong) < 3
        return (404 if "manifests" in path else 200, {}, b"{}") if is_in else (401, BASIC, b"{}")

    with scripted(locking) as server:
        existing = ExistingRegistry(RegistryAddress("127.0.0.1", server.port), account, (account,), AUTHORITY.pem)
        with Witness(existing, renamed=True) as witness:
            alive = Liveness(palette(), SiteRegistry(existing, witness, ()))
            assert alive.look(evidence) == []
            for _ in range(3):
                with existing.client(Account("edge", "wrong")) as client, pytest.raises(RegistryError, match="401"):
                    client.login()
            (line,) = alive.look(evidence)

    assert "refuses a right login: user 'edge' cannot log in" in line
    assert "locked an account after wrong passwords" in line


def test_a_quota_of_pulls_is_not_blamed_on_the_product(evidence: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that answered a host's pull with 429 did not serve it, whatever it answers now."""
    monkeypatch.setattr("harness.liveness.ANSWER", 0.5)  # it asks for patience in each answer
    account = GivenAccount("edge", Secret("right-S3cret"))
    with scripted(lambda _method, path, _login: (429 if "manifests" in path else 200, {}, b"{}")) as server:
        existing = ExistingRegistry(RegistryAddress("127.0.0.1", server.port), account, (account,), AUTHORITY.pem)
        with Witness(existing, renamed=True) as witness:
            registry = SiteRegistry(existing, witness, ())
            evidence.witness = registry.witness
            pull(registry)
            lines = Liveness(palette(), registry).look(evidence)

    assert any(line.startswith("the registry did not serve GET conformance/provider v1: 429") for line in lines), lines


def test_a_registry_that_is_gone_is_named(registry: SiteRegistry, evidence: Evidence) -> None:
    """The registry behind the witness was killed: it does not answer, and did not serve the case."""
    registry.seen.registry.stop()
    pull(registry)
    now, during = Liveness(palette(), registry).look(evidence)

    assert now.startswith(f"the registry at {registry.address} does not answer: GET /v2/: 502")
    assert during.startswith("the registry did not serve GET conformance/provider v1: 502")


def test_an_outage_that_is_over_is_remembered(registry: SiteRegistry, evidence: Evidence) -> None:
    """What was lost in the middle of the case counts, though all is well when it is asked."""
    registry.seen.registry.stop()
    pull(registry)
    registry.seen.registry.start()
    (line,) = Liveness(palette(), registry).look(evidence)

    assert line.startswith("the registry did not serve")


def test_an_outage_of_another_case_is_not_counted(registry: SiteRegistry, evidence: Evidence) -> None:
    """Only requests of the case itself say anything about its verdict."""
    registry.seen.registry.stop()
    pull(registry)
    registry.seen.registry.start()
    evidence.begin("another case")

    assert Liveness(palette(), registry).look(evidence) == []


def test_a_witness_that_is_gone_is_named(registry: SiteRegistry, evidence: Evidence) -> None:
    """Nothing listens where the hosts pull from."""
    registry.seen.stop()
    (line,) = Liveness(palette(), registry).look(evidence)

    assert line.startswith(f"the registry at {registry.address} does not answer: ")
    assert "object at 0x" not in line


def test_a_palette_that_fails_is_named(evidence: Evidence) -> None:
    """A 5xx of Palette is no answer."""
    failing = palette(ServerError(method="GET", path="/v1/services", message="no server is available", status=503))
    (line,) = Liveness(failing).look(evidence)

    assert line.startswith("Palette does not answer: GET /v1/services: 503")


def test_a_node_without_a_container_runtime_is_named(evidence: Evidence) -> None:
    """Where a node's runtime serves no images, as its event says, the machine is short of something."""
    told = "rpc error: code = Unimplemented desc = unknown service runtime.v1.ImageService"
    event = EventRow(time="", severity="Error", reason="FailedPullImage", message=told)
    evidence.clusters.append(ClusterEvidence("c", ("edge-1",), events=(event,)))
    (line,) = Liveness(palette()).look(evidence)

    assert line == f"a node's container runtime does not serve images: {told}"
    assert Liveness(palette()).look(evidence, passed=True) == []


def cluster_on(*answers: str | Exception) -> Any:  # noqa: ANN401 - as much of a cluster as is asked
    """Return a cluster with one host for each answer."""

    def host(number: int, answer: str | Exception) -> SimpleNamespace:
        def run(_command: str) -> SimpleNamespace:
            if isinstance(answer, Exception):
                raise answer
            return SimpleNamespace(stdout=answer)

        def boot() -> SimpleNamespace:
            return SimpleNamespace(began=datetime.now(UTC))

        return SimpleNamespace(uid=f"edge-{number}", run=run, boot=boot)

    timeouts = SimpleNamespace(edge_host_ready=0.2)
    hosts = [host(number, answer) for number, answer in enumerate(answers, 1)]
    phases = [Phase("deploy", datetime.now(UTC) - timedelta(minutes=1), "")]
    return SimpleNamespace(hosts=hosts, phases=phases, site=SimpleNamespace(file=SimpleNamespace(timeouts=timeouts)))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("active\n", ""),
        ("activating\n", ""),
        ("active\n---\nJournal stopped\n", ""),
        ("active\n---\n", ""),
        ("active\n---\nsession opened for user root\n", "lost its power, or crashed, before "),
        ("failed inactive \n", "has no agent: stylus-agent and spectro-stylus-agent are failed and inactive"),
        ("active\nmktemp: No space left on device\n", "has a full or broken disk: mktemp: No space left on device"),
        ("clock 1000\nactive\n", "has another time, -"),
        (f"clock {time.time() + 86400:.0f}\nactive\n", "has another time, +"),
        (f"clock {time.time() - 600:.0f}\nactive\n", ""),
        (HostUnreachable("kairos@10.0.0.1:22: No route to host"), "does not answer: kairos@10.0.0.1:22: No route"),
    ],
    ids=[
        "active",
        "starting",
        "rebooted",
        "no journal kept",
        "power cut",
        "failed",
        "disk full",
        "no time",
        "tomorrow",
        "a little late",
        "unreachable",
    ],
)
def test_a_host_that_does_not_work_is_named(answer: str | Exception, said: str) -> None:
    """SSH, the agent and room on the disk are what a host needs to do anything at all."""
    gone = hosts_gone(cluster_on("active\n", answer))

    assert len(gone) == bool(said)
    assert all(line.startswith(f"Edge host edge-2 {said}") for line in gone)
