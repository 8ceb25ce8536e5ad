"""Workers that share a site: hosts are lent, each has a registry of its own, and what ends early leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from harness import ledger as ledgers
from reports.verdicts import Verdict
from tests.settling import settled
from tests.site.long_runs.test_killed_run import KillSite, ground

__all__ = ["ground"]

CASES = "every_form_of_yaml and not FOLDED"


def records_of(run: Path) -> list[dict[str, Any]]:
    """Return what the run's journal says of its cases."""
    with suppress(OSError):
        lines = map(json.loads, (run / "journal.ndjson").read_text().splitlines())
        return [record for record in lines if record["record"] == "case"]
    return []


def deploying(run: Path | None, worker: str) -> int:
    """Return the process of a worker that has made a cluster; 0 while it has none."""
    path = (run or Path()) / f"{worker}-{ledgers.FILE_NAME}"
    if run is None or not path.exists():
        return 0
    ledger = ledgers.read(path)
    has = any(kind == "cluster" for kind, _uid in ledger.entries)
    return int(ledger.about["process"].partition("@")[0]) if has else 0


@contextmanager
def both_deploy(ground: KillSite) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Start a run with a worker for each host of the site, and wait until each has a cluster."""
    known = set(ground.project.runs)

    def run() -> Path | None:
        return next((folder for folder in ground.project.runs if folder not in known), None)

    with ground.start("-k", CASES, "-n", "auto") as process:
        assert settled(
            lambda: all(deploying(run(), name) for name in ("gw0", "gw1")) or process.poll() is not None, 200
        )
        folder = run()
        assert folder is not None, process.communicate()
        yield process, folder


def test_a_killed_worker_costs_its_case_and_its_host_is_lent_again(ground: KillSite) -> None:
    """Its case is an error, every other case passes on both hosts, and nothing is left in Palette or on a host."""
    before = ground.picture()
    with both_deploy(ground) as (process, run):
        os.kill(deploying(run, "gw0"), signal.SIGKILL)
        said, _ = process.communicate(timeout=300)
    cases = records_of(run)

    assert sorted(case["verdict"] for case in cases) == [Verdict.ERROR.value, *[Verdict.PASS.value] * 3], said
    assert {host for case in cases for host in case["hosts"]} == set(before[1]), "a host was not used"
    assert ground.picture() == before


def test_workers_that_are_interrupted_clear_what_they_made(ground: KillSite) -> None:
    """After one Ctrl-C there are reports, exit 2, and nothing is left in Palette or on a host."""
    before = ground.picture()
    with both_deploy(ground) as (process, _run):
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=120)

    assert (process.returncode, ground.picture()) == (2, before), said
    assert "reports: " in said
