"""Every class of verdict, made on a real lab, as terminal, JUnit, page and exit code show it."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import docker
import pytest
import yaml

from engine.children import tied
from harness.options import KNOWN_ISSUES
from lab import control
from lab.faults import specify
from reports import runs
from reports.verdicts import ExitCode
from tests.lab.ground import running_lab

ROOT = Path(__file__).parents[2]
DIAGNOSIS = r"^ *(repave|deploy), (\w+) of (\S+): everything seen equals what (.+) would give$"
LIMIT = 240  # seconds for one run of a few cases, on a machine that may be busy


@dataclass(frozen=True)
class ShownVerdict:
    """What a run showed: its exit code, its terminal, its directory."""

    code: int
    terminal: str
    folder: Path

    def junit(self, case: str) -> ET.Element:
        """Return the JUnit element of the case with this name."""
        tree = ET.parse(self.folder / runs.JUNIT)  # noqa: S314 - our own file
        return next(found for found in tree.iter("testcase") if case in str(found.get("name")))

    @property
    def page(self) -> str:
        """Return the page."""
        return (self.folder / runs.PAGE).read_text()


def conformance(*arguments: str) -> ShownVerdict:
    """Run the suites as a user does, on a lab of one host where no site is given."""
    site = () if "--site" in arguments else ("--lab-hosts", "1")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *site, *arguments, "suites"]
    done = subprocess.run(tied(command), cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT)
    found = re.search(r"^reports: (.+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout[-3000:] + done.stderr[-2000:]
    whole = done.stdout.replace("\n      ", " ")  # sentences that are broken at the terminal's width
    return ShownVerdict(done.returncode, whole, Path(found[1].strip()))


@pytest.fixture(scope="module")
def lab(engine: docker.DockerClient) -> Iterator[control.RunningLab]:
    """Run a lab of one host for the cases that differ only in the fault that is in force."""
    _ = engine
    with running_lab(1) as lab:
        yield lab


def test_a_product_failure_is_red_and_names_the_change_exactly(lab: control.RunningLab) -> None:
    """A password that is changed at repave fails with exit code 1 and is named in terminal, JUnit and page.

    The probe set names the one transform that explains everything, its phase, its path and the host, everywhere. That
    it does so for each transform: tests/registry_transforms/test_probes.py.
    """
    cases = ["test_the_probe_set_arrives", "test_repave_presents"]
    with lab.taken("test", [specify("alphanumeric-base64")]):
        shown = conformance("-k", " or ".join(cases), "--site", str(lab.site_file))
    failure, *others = (shown.junit(case).find("failure") for case in cases)

    assert shown.code == ExitCode.FAIL
    assert all(other is not None and "base64-decode(password)" in "".join(other.itertext()) for other in others)
    assert "base64-decode(password)" in shown.page
    assert failure is not None
    for text in (shown.terminal, "".join(failure.itertext())):
        told = set(re.findall(DIAGNOSIS, text, re.MULTILINE))  # a terminal tells a failure twice
        assert len(told) == 1, told
        phase, puller, host, words = told.pop()
        assert (phase, puller) == ("repave", "node")
        assert "base64-alphanumeric-prefix (" in words
        assert f"host {host} presented base64-decode(password)" in text  # "or" another that this one coincides with
    # of the probe set itself; the terminal tells one example of a cause
    assert words.startswith("base64-alphanumeric-prefix (")


@pytest.fixture
def known_issues(tmp_path: Path) -> Path:
    """Return the shipped known issues, opened today: no test depends on the day on which it runs."""
    document = yaml.safe_load(KNOWN_ISSUES.read_text())
    today = datetime.now(UTC).date()
    for record in document["known_issues"]:
        record |= {"opened": today.isoformat(), "expires": (today + timedelta(days=2)).isoformat()}
    file = tmp_path / "known_issues.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def test_what_is_known_and_what_is_not_covered_end_with_0(known_issues: Path) -> None:
    """In an affected version the failure is known, a case for two hosts on a site of one not covered; both are skipped.

    JUnit and the page name the issue, and the reason.
    """
    shown = conformance(
        "-k", "test_repave_presents or one_after_the_other", "--lab-fault", "alphanumeric-base64",
        "--lab-version", "4.2.8", "--known-issues", str(known_issues),
    )  # fmt: skip
    uncovered = shown.junit("one_after_the_other").find("skipped")

    assert shown.code == ExitCode.OK, shown.terminal[-2000:]
    assert shown.junit("test_repave_presents").find("skipped") is not None
    assert "PE-3568" in shown.page
    assert uncovered is not None
    assert "needs 2 Edge hosts" in str(uncovered.get("message"))
    assert "not covered" in shown.page


def test_a_waiver_that_meets_nothing_is_red(known_issues: Path) -> None:
    """In an affected version without the failure the waiver is out of date: exit code 10, a failure in JUnit."""
    document = yaml.safe_load(known_issues.read_text())
    document["known_issues"][0] |= {"requirement": "DEPLOY-01", "case": "lifecycle/test_deploy.py"}
    known_issues.write_text(yaml.safe_dump(document))
    case = "test_a_new_cluster_pulls_from_the_private_registry"
    shown = conformance("-k", case, "--lab-version", "4.2.8", "--known-issues", str(known_issues))

    assert shown.code == ExitCode.FIXED
    assert shown.junit(case).find("failure") is not None
    assert "remove the waiver" in shown.terminal


@pytest.fixture
def lost_site(engine: docker.DockerClient) -> Iterator[Path]:
    """Yield the site file of a lab whose hosts have lost their network."""
    with running_lab(1) as lab:
        for container in engine.containers.list(filters={"name": f"{lab.name}-edge-1"}):
            container.kill()
        site = yaml.safe_load(lab.site_file.read_text())
        site["timeouts"] |= {"edge_host_ready": 5.0, "outage": 3.0, "connect": 2.0, "answer": 3.0}
        quick = lab.site_file.with_name("quick.yaml")
        quick.write_text(yaml.safe_dump(site))
        yield quick


def proves_nothing(case: str, code: ExitCode, *arguments: str) -> None:
    """Run a case, and look that exit code and JUnit tell an error of this kind and no failure."""
    shown = conformance("-k", case, *arguments)
    error = shown.junit(case).find("error")

    assert shown.code == code, shown.terminal[-2000:]
    assert error is not None
    assert code.name.lower() in str(error.get("type"))


def test_a_lost_host_is_dead(lost_site: Path) -> None:
    """A host that is gone is infrastructure: exit code 11."""
    proves_nothing("plain_reboot", ExitCode.DEAD, "--site", str(lost_site))


def test_a_phase_that_did_not_happen_is_vacuous(lab: control.RunningLab) -> None:
    """A repave that is called done and never happened: exit code 12."""
    with lab.taken("test", [specify("repave-skipped-and-reported")]):
        proves_nothing("test_the_third_repave", ExitCode.VACUOUS, "--site", str(lab.site_file))
