"""The suites on a site whose registry is somebody else's: started by the test, named in a site file, never changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from doctor.__main__ import main as doctor
from engine.children import tied
from harness.sites.clean import main as clean
from lab.control import RunningLab
from lab.faults import specify
from registry.images import push_layout
from registry.server import Account, PrivateRegistry
from reports import results
from reports.verdicts import ExitCode, Verdict
from tests.lab.ground import running_lab
from tests.registry.others import KINDS, OURS

ROOT = Path(__file__).parents[3]
LIMIT = 300  # seconds for one run of a few cases, on a machine that may be busy
ACCOUNTS = (
    Account("their-push", "a#first-password-of-theirs"),
    Account("their-pull", "SecondPasswordOfTheirs1"),  # letters and digits only: the documented bug changes it
    Account("their-pull-2", "a#third-password-of-theirs"),
)
ALPHANUMERIC = ACCOUNTS[1]


@dataclass
class Shown:
    """What a run showed: its exit code, its terminal, its directory."""

    code: int
    terminal: str
    folder: Path

    def verdicts(self) -> dict[str, str]:
        """Return the verdict of every case by the name of its function."""
        cases = results.load(self.folder).cases
        return {case.case.rpartition("::")[2].partition("[")[0]: case.verdict.value for case in cases}

    def reasons(self) -> str:
        """Return what was said of all that was not covered."""
        return "\n".join(case.reason for case in results.load(self.folder).cases)

    def quotes(self, accounts: tuple[Account, ...] = ACCOUNTS) -> list[str]:
        """Name every artefact (and the terminal) in which a password of these accounts stands."""
        texts = {path.name: path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}
        texts["terminal"] = self.terminal.encode()
        return [name for name, text in texts.items() for known in accounts if known.password.encode() in text]


@dataclass
class Theirs:
    """Somebody's registry, the lab that pulls from it, and the site file that names both."""

    registry: PrivateRegistry
    lab: RunningLab
    folder: Path

    def site_file(self, *, witness: bool = True, accounts: tuple[Account, ...] = ACCOUNTS[1:]) -> Path:
        """Describe the site; passwords are in the environment."""
        document: dict[str, Any] = yaml.safe_load(self.lab.site_file.read_text())
        document["registry"]["existing"] = {
            "address": str(self.registry.address),
            "authority": "theirs.pem",
            "pusher": described(ACCOUNTS[0]),
            "accounts": [described(known) for known in accounts],
        }
        if not witness:
            del document["registry"]["bind"]
        (self.folder / "theirs.pem").write_text(self.registry.authority.pem)
        file = self.folder / "site.yaml"
        file.write_text(yaml.safe_dump(document))
        return file

    def run(self, file: Path, cases: str, *more: str) -> Shown:
        """Run cases as a user does, less tox."""
        return run_cases(self.folder, ACCOUNTS, file, cases, *more)


def run_cases(folder: Path, accounts: tuple[Account, ...], file: Path, cases: str, *more: str) -> Shown:
    """Run cases as a user does, less tox; passwords are in the environment."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--site", str(file), "-k", cases]
    command += ["--runs-in", str(folder), *more, "suites"]
    environment = {**os.environ, **{variable(known): known.password for known in accounts}}
    done = subprocess.run(
        tied(command), cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT, env=environment
    )
    found = re.search(r"^reports: (.+)$", done.stdout, re.MULTILINE)
    return Shown(done.returncode, done.stdout + done.stderr, Path(found[1].strip()) if found else folder / "runs")


def variable(account: Account) -> str:
    """Name the environment variable in which a password is."""
    return f"PALETTE_{account.username.upper().replace('-', '_')}"


def described(account: Account) -> dict[str, Any]:
    """Describe an account as a site file does."""
    return {"username": account.username, "password": {"env": variable(account)}}


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """Run a lab with one Edge host, in a process of its own."""
    with running_lab(1) as lab:
        yield lab


@pytest.fixture(scope="module")
def registry(engine: docker.DockerClient, lab: RunningLab) -> Iterator[PrivateRegistry]:
    """Start somebody's registry where the lab's hosts reach it, with an image of theirs."""
    site = yaml.safe_load(lab.site_file.read_text())
    with PrivateRegistry(engine, bind=site["registry"]["bind"], names=tuple(site["registry"].get("names", ()))) as held:
        with held.client() as client:
            push_layout(client, Path(site["provider_image"].removeprefix("oci:")), "team/golden", "v1")
        yield held


@pytest.fixture
def theirs(registry: PrivateRegistry, lab: RunningLab, tmp_path: Path) -> Theirs:
    """Return that registry with accounts of theirs, as they were before any other test changed a password."""
    for known in ACCOUNTS:
        registry.accounts.add(known.username, known.password)
    return Theirs(registry, lab, tmp_path)


def left_in(registry: PrivateRegistry, run: Path) -> list[str]:
    """Return the tags that a run has left in a registry."""
    with registry.client() as client:
        assert client.tags("team/golden") == ["v1"], "an image that is not the run's was changed"
        return client.tags(f"conformance/conf-{run.name[4:]}/provider")


def test_the_witness_stands_in_front_of_an_existing_registry(theirs: Theirs) -> None:
    """Cases run with the accounts that were given and the witness sees them; what needs others is not covered."""
    before = theirs.registry.accounts.path.read_bytes()
    cases = "new_version_repaves or pulls_from_the_private or state_machine or repave_presents"
    shown = theirs.run(theirs.site_file(), cases)

    assert shown.code == ExitCode.OK, shown.terminal[-3000:]
    verdicts = shown.verdicts()
    assert verdicts["test_a_new_version_repaves_the_cluster"] == Verdict.PASS.value
    assert verdicts["test_a_new_cluster_pulls_from_the_private_registry"] == Verdict.PASS.value
    assert {name for name, verdict in verdicts.items() if verdict == Verdict.NOT_COVERED.value} == {
        "test_repave_presents_the_password_unchanged",
        "test_a_cluster_keeps_its_promises_all_its_life",
    }
    assert "none with the password that the case needs is listed in registry.existing.accounts" in shown.reasons()
    assert shown.quotes() == []
    assert left_in(theirs.registry, shown.folder) == []
    assert theirs.registry.accounts.path.read_bytes() == before


def test_without_a_witness_what_asks_for_it_is_not_covered(theirs: Theirs) -> None:
    """Where hosts reach no address of this machine, cases that no witness is needed for run, and no other passes."""
    cases = "plain_reboot or new_version_repaves or second_registry_gets or registry_without_tls or nobody_pulls"
    shown = theirs.run(theirs.site_file(witness=False), cases)

    assert shown.code == ExitCode.OK, shown.terminal[-3000:]
    verdicts = shown.verdicts()
    passed = {name for name, verdict in verdicts.items() if verdict == Verdict.PASS.value}
    assert passed == {"test_a_plain_reboot_changes_nothing", "test_nobody_pulls_anonymously"}
    assert set(verdicts.values()) == {Verdict.PASS.value, Verdict.NOT_COVERED.value}
    assert "no witness stands in front of the site's registry" in shown.reasons()
    assert "the hosts reach no address of this machine" in shown.reasons()
    assert left_in(theirs.registry, shown.folder) == []


def test_a_failure_does_not_tell_the_password(theirs: Theirs) -> None:
    """A password of theirs that a repave changes is told of as a change, and stands in no artefact and no terminal."""
    with theirs.lab.taken("test", [specify("alphanumeric-base64")]):
        shown = theirs.run(theirs.site_file(accounts=(ALPHANUMERIC,)), "renewed_certificate")

    assert shown.code == ExitCode.FAIL, shown.terminal[-3000:]
    assert "presented base64-decode(password) at repave" in shown.terminal
    assert shown.quotes() == []


def test_a_password_that_the_site_quotes_is_masked(theirs: Theirs) -> None:
    """Where events quote a password of theirs, the failure is told with a name in its place, and nothing withheld."""
    with theirs.lab.taken("test", [specify("password-in-an-event")]):
        shown = theirs.run(theirs.site_file(), "the_host_shows_the_password_to_nobody")
    (case,) = results.load(shown.folder).cases

    assert shown.code == ExitCode.FAIL, shown.terminal[-3000:]
    assert any("[password of registry account their-pull]" in event.message for event in case.events)
    assert shown.quotes() == []


def test_a_password_that_is_refused_ends_the_run_before_anything_is_deployed(theirs: Theirs) -> None:
    """A login that the registry refuses is bad set-up: exit code 4 and one line with the account and no password."""
    theirs.registry.accounts.add("their-pull", "changed behind our back")
    shown = theirs.run(theirs.site_file(), "new_version_repaves")
    said = [line for line in shown.terminal.splitlines() if "bad set-up" in line]

    assert shown.code == ExitCode.SETUP, shown.terminal[-3000:]
    assert "user 'their-pull' cannot log in" in said[0]
    assert "Traceback" not in shown.terminal
    assert [*shown.folder.iterdir()] == [], "a run that never began has left a trace"
    assert shown.quotes() == []


def test_what_a_dead_run_left_in_their_registry_is_cleaned(
    theirs: Theirs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images of a run that was killed are deleted by ``clean``, by their repository, and nothing else is."""
    file = theirs.site_file()
    for known in ACCOUNTS:
        monkeypatch.setenv(variable(known), known.password)
    run = theirs.folder / "runs" / "20261122-010203-abcd"
    run.mkdir(parents=True)
    document = yaml.safe_load(file.read_text())
    about = {"palette": document["palette"]["url"], "project": document["palette"]["project"], "process": ""}
    (run / "journal.ndjson").touch()
    (run / "ledger.ndjson").write_text(json.dumps({"step": "run", "run": "conf-1122-010203-abcd", **about}) + "\n")
    with theirs.registry.client() as client:
        image = Path(document["provider_image"].removeprefix("oci:"))
        for tag in ("base", "again"):
            push_layout(client, image, "conformance/conf-1122-010203-abcd/provider", tag)

    code = clean(["--site", str(file), "--run", run.name, "--runs-in", str(theirs.folder)])

    assert code == ExitCode.OK, capsys.readouterr()
    assert left_in(theirs.registry, run) == []


def test_the_doctor_looks_at_an_existing_registry(
    theirs: Theirs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a good registry nothing is found, from here and from the hosts; a refused login and a silent one are found."""
    for known in ACCOUNTS:
        monkeypatch.setenv(variable(known), known.password)
    for witness in (True, False):
        assert doctor(["--site", str(theirs.site_file(witness=witness))]) == 0, capsys.readouterr()

    file = theirs.site_file(witness=False)
    theirs.registry.accounts.add("their-pull", "changed behind our back")
    capsys.readouterr()
    assert doctor(["--site", str(file)]) == 4
    told = capsys.readouterr().out
    assert told.startswith(f"existing registry: registry.existing {theirs.registry.address}: user 'their-pull' cannot")
    assert not [known for known in ACCOUNTS if known.password in told]

    theirs.registry.stop()
    try:
        assert doctor(["--site", str(file)]) == 4
    finally:
        theirs.registry.start()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("existing registry: ")
    assert any(line.startswith("registry not reachable: host edge-1: ") for line in lines), lines


@pytest.mark.parametrize("kind", KINDS)
def test_a_registry_that_gives_tokens(kind: str, engine: docker.DockerClient, lab: RunningLab, tmp_path: Path) -> None:
    """Clusters deploy and repave through the witness and its token endpoint.

    That its witness tells a changed password of each kind: tests/registry/test_tokens_behind_a_witness.py.
    """
    document = yaml.safe_load(lab.site_file.read_text())
    site = document["registry"]
    with KINDS[kind](engine, site["bind"], tuple(site.get("names", ()))) as found:
        accounts = tuple(known.revealed() for known in (found.pusher, *found.given))
        named = {"pusher": described(accounts[0]), "accounts": [described(known) for known in accounts[1:]]}
        document["registry"]["existing"] = {"address": str(found.address), "authority": "theirs.pem", **named}
        (tmp_path / "theirs.pem").write_text(found.trusted or "")
        file = tmp_path / "site.yaml"
        file.write_text(yaml.safe_dump(document))
        shown = [run_cases(tmp_path, accounts, file, "new_version_repaves")]
        if kind == OURS:
            with lab.taken("test", [specify("alphanumeric-base64")]):
                shown.append(run_cases(tmp_path, accounts, file, "renewed_certificate"))

    assert shown[0].code == ExitCode.OK, shown[0].terminal[-3000:]
    assert set(shown[0].verdicts().values()) == {Verdict.PASS.value}
    for ill in shown[1:]:
        assert ill.code == ExitCode.FAIL, ill.terminal[-3000:]
        assert "presented base64-decode(password) at repave" in ill.terminal
    assert [name for each in shown for name in each.quotes(accounts)] == []
