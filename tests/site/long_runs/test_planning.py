"""Levels, plan and budget: what a run would do, before it does anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.levels import seed_of
from harness.planning import seconds_of

HOME = Path(__file__).parent.parent.parent.parent


def plan(*arguments: str) -> tuple[int, list[str]]:
    """Run pytest as a user does; gives its exit code and lines."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=HOME, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.mark.parametrize(
    ("text", "seconds"), [("45m", 2700.0), ("1h30m", 5400.0), ("90s", 90.0), ("2h", 7200.0), ("1h1m1s", 3661.0)]
)
def test_a_budget_is_written_as_people_write_times(text: str, seconds: float) -> None:
    """Hours, minutes and seconds, each with its letter."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "45", "m", "-5m", "4.5h", "5m1h"])
def test_a_budget_that_is_no_time_is_refused(text: str) -> None:
    """What is no time, or no time at all, is refused with an example of what is right."""
    with pytest.raises(ValueError, match="45m"):
        seconds_of(text)


def test_a_plan_names_cases_clusters_repaves_minutes_and_hosts_and_does_nothing(tmp_path: Path) -> None:
    """Every case stands there with its cost and the sums below; no run begins."""
    code, lines = plan("--plan", "--runs-in", str(tmp_path), "-k", "new_version_repaves")

    assert code == 0
    assert any(
        "test_a_new_version_repaves_the_cluster" in line and line.split()[1:4] == ["1", "1", "1"] for line in lines
    )
    assert "1 case at level default, on edge-1 of a lab, edge-2 of a lab" in lines
    assert any(line.startswith("1 clusters, 1 repaves, about ") for line in lines)
    assert "nothing was done" in lines
    assert list(tmp_path.iterdir()) == []


def test_a_budget_chooses_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Of two cases a budget that has room for one keeps the one that settles more, and names the loss."""
    both = "new_version_repaves or third_repave"
    _, lines = plan("--plan", "--runs-in", str(tmp_path), "-k", both, "--budget", "34s")

    assert sum("lifecycle/test_repave.py::" in line for line in lines) == 1
    assert any("test_a_new_version_repaves_the_cluster" in line for line in lines)
    assert "the budget leaves out 1 case; nothing is said about REPAVE-04" in lines


def test_smoke_takes_one_case_of_each_part_and_phase(tmp_path: Path) -> None:
    """At level smoke a fraction of the cases is left, from every part of the suites."""
    _, everything = plan("--plan", "--runs-in", str(tmp_path))
    _, smoke = plan("--plan", "--runs-in", str(tmp_path), "--level", "smoke")
    parts = {line.partition("/")[0] for line in everything if "::" in line}

    assert {line.partition("/")[0] for line in smoke if "::" in line} == parts
    assert sum("::" in line for line in smoke) * 4 < sum("::" in line for line in everything)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--level", "certification", "-k", "repave"), "-k"),
        (("--level", "certification", "--budget", "5m"), "--budget"),
        (("--level", "certification", "--hypothesis-seed", "5"), "--hypothesis-seed"),
        (("--budget", "soon"), "45m"),
        (("--resume", "1999"), "1999"),
    ],
)
def test_options_that_cannot_be_are_refused_before_anything_begins(
    tmp_path: Path, arguments: tuple[str, ...], found: str
) -> None:
    """A certification that leaves something out, a budget that is no time, a run that is none: exit 4, and why."""
    code, lines = plan("--runs-in", str(tmp_path), *arguments)

    assert code == 4
    assert any(line.startswith("ERROR: ") and found in line for line in lines)


def test_the_seed_of_a_certification_follows_the_version() -> None:
    """The same version gives everybody the same seed, another version another one."""
    assert seed_of("1.0.0") == seed_of("1.0.0")
    assert seed_of("1.0.0") != seed_of("1.0.1")
