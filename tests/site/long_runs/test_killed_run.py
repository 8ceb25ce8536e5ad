"""A run that is killed with SIGKILL: cleaning leaves nothing of it, and everything else as it was."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest
from docker.errors import DockerException

from engine import ownership
from harness.sites.clean import main as clean
from harness.sites.leases import RUN
from harness.sites.site import connect
from harness.sites.site_file import read_site_file
from palette import RetryPolicy
from palette.client import ProjectView
from tests.lab.ground import running_lab
from tests.lab.projects import Checkout, copy_project
from tests.settling import settled
from tests.site.long_runs.test_clean import make_profile, standing

#: Cases with clusters, profile versions, macros and two hosts; their ledger has about this many lines.
CASES = "new_version_repaves or replaced_one_after or macro_changes or project_macro"
LINES = 45
#: The moment at which a run has leased its hosts and made nothing yet.
LEASED = 5
#: How many moments a test tries, that one included; ``./run endurance`` sets 30.
MOMENTS = int(os.environ.get("KILLED_MOMENTS", "2"))


@dataclass
class KillSite:
    """A lab that outlives the runs on it, a copy of the project, and what is somebody else's."""

    project: Checkout
    site_file: Path
    view: ProjectView
    engine: docker.DockerClient

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a run on the lab."""
        site = ("--site", str(self.site_file), "--no-provision")
        return self.project.start("-m", "pytest", "suites", "-q", *site, *arguments)

    def clean(self, run: Path) -> tuple[int, str]:
        """Clean up after a run; return the exit code and what was said."""
        words = ["--site", str(self.site_file), "--run", run.name, "--runs-in", str(run.parent.parent)]
        with redirect_stdout(io.StringIO()) as said, redirect_stderr(said):
            return clean(words), said.getvalue()

    def picture(self) -> tuple[set[str], dict[str, dict[str, str]]]:
        """Return what stands in Palette: names, and the labels of every host."""
        return standing(self.view), {host.uid: dict(host.labels) for host in self.view.edge_hosts.search()}


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillSite]:
    """Start a lab, and put something into it that belongs to nobody's run."""
    try:
        engine = docker.from_env()
        engine.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    temporary = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    with running_lab(2) as lab, connect(read_site_file(lab.site_file), RetryPolicy()) as palette:
        view = palette.in_project("Default")
        make_profile(view, "conf-1122-somebody-1-profile", run=None)
        view.macros.create({"conf_1122_somebody": "x"})
        yield KillSite(
            copy_project(tmp_path_factory.mktemp("copy") / "project", temporary), lab.site_file, view, engine
        )
    shutil.rmtree(temporary, ignore_errors=True)
    engine.close()


def lines_of(run: Path | None) -> int:
    """Count the lines of a run's ledger."""
    with suppress(OSError):
        return (run / "ledger.ndjson").read_bytes().count(b"\n") if run else 0
    return 0


def kill_after(process: subprocess.Popen[str], ground: KillSite, lines: int, known: set[Path]) -> Path:
    """Kill a run once its ledger has so many lines, or when it has ended before; return its directory."""

    def run() -> Path | None:
        return next((folder for folder in ground.project.runs if folder not in known), None)

    with process:
        assert settled(lambda: lines_of(run()) >= lines or process.poll() is not None, 120)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    found = run()
    assert found is not None, process.stdout
    return found


def test_a_killed_run_can_be_cleaned_at_any_moment(ground: KillSite) -> None:
    """After SIGKILL at random moments nothing of the run is left in Palette, on the hosts or on the engine.

    A run that has leased its hosts and made nothing yet leaves its leases, and cleaning gives the hosts back.
    """
    before = ground.picture()
    chance = random.Random(6)  # noqa: S311 - moments, not secrets
    known = set(ground.project.runs)
    for moment in [LEASED, *(chance.randint(1, LINES) for _ in range(MOMENTS - 1))]:
        run = kill_after(ground.start("-k", CASES), ground, moment, known)
        known.add(run)
        leased = sorted(host.uid for host in ground.view.edge_hosts.search() if host.labels.get(RUN))
        assert moment != LEASED or leased == ["edge-1", "edge-2"]
        code, said = ground.clean(run)

        assert code == 0, f"killed after {moment} lines: {said}"
        assert ground.picture() == before, f"killed after {moment} lines: {said}"
        assert ownership.left_of(ground.engine, run.name) == []
        for uid in before[1]:
            assert ground.view.edge_hosts.wait_until_free(uid, within=30).is_free


def test_a_killed_run_is_resumed_and_repeats_nothing_that_finished(ground: KillSite) -> None:
    """The resumed run goes on in the same directory, runs what was not done, and its reports tell all of it."""
    before = ground.picture()
    known = set(ground.project.runs)
    cases = "new_version_repaves or replaced_one_after"
    process = ground.start("-k", cases, "--hypothesis-seed", "77")

    def finished() -> list[str]:
        run = next((folder for folder in ground.project.runs if folder not in known), None)
        return cases_in(run) if run else []

    with process:
        assert settled(lambda: bool(finished()) or process.poll() is not None, 120)
        os.killpg(process.pid, signal.SIGKILL)
    first = finished()
    run = next(folder for folder in ground.project.runs if folder not in known)
    with ground.start("-k", cases, "--resume", run.name) as resumed:
        output, _ = resumed.communicate(timeout=240)

    assert len(first) == 1
    assert resumed.returncode == 0, output
    assert sorted(cases_in(run)) == sorted(set(cases_in(run))), "a case ran twice"
    assert len(cases_in(run)) == 2
    assert "2 pass · seed 77" in output, output
    assert ground.picture() == before


def cases_in(run: Path) -> list[str]:
    """Return the cases that a run's journal says are finished."""
    with suppress(OSError):
        records = [json.loads(line) for line in (run / "journal.ndjson").read_text().splitlines()]
        return [record["case"] for record in records if record["record"] == "case"]
    return []


def test_the_first_interrupt_ends_cleanly_and_the_second_at_once(ground: KillSite) -> None:
    """After one Ctrl-C there are reports, exit 2 and nothing left; after two the process is gone at once."""
    before = ground.picture()
    with begun(ground) as once:
        os.killpg(once.pid, signal.SIGINT)
        output, _ = once.communicate(timeout=120)
    assert (once.returncode, ground.picture()) == (2, before), output
    assert "reports: " in output

    with begun(ground) as twice:
        os.killpg(twice.pid, signal.SIGINT)
        assert twice.stdout is not None
        assert any("ending cleanly" in line for line in twice.stdout)
        os.killpg(twice.pid, signal.SIGINT)
        output, _ = twice.communicate(timeout=20)
    run = ground.project.runs[-1]
    assert twice.returncode == 2
    assert f"--run {run.name}" in output
    assert ground.clean(run)[0] == 0
    assert ground.picture() == before


def begun(ground: KillSite) -> subprocess.Popen[str]:
    """Start a run and wait until it has asked for a cluster."""
    known = set(ground.project.runs)
    process = ground.start("-k", "third_repave")

    def asked() -> bool:
        run = next((folder for folder in ground.project.runs if folder not in known), None)
        return b'"cluster"' in (run / "ledger.ndjson").read_bytes() if run and lines_of(run) else False

    assert settled(lambda: asked() or process.poll() is not None, 120)
    return process
