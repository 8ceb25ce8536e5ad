"""Levels, plan and budget: what a run would do, before it does anything."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from harness.levels import seed_of
from harness.planning import seconds_of

HOME = Path(__file__).parent.parent.parent.parent


def plan(*arguments: str) -> tuple[int, list[str]]:
    """Run pytest as a user does; return its exit code and lines."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=HOME, check=False, capture_output=True, text=True, timeout=120)
    return done.returncode, (done.stdout + done.stderr).splitlines()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the plan of all cases, line by line."""
    return plan("--plan", "--runs-in", str(tmp_path_factory.mktemp("whole")))[1]


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


def test_a_plan_names_cases_clusters_repaves_time_and_hosts_and_does_nothing(tmp_path: Path) -> None:
    """Every case stands there with its cost, below its folder's, and the sums at the end; no run begins."""
    code, lines = plan("--plan", "--runs-in", str(tmp_path), "-k", "new_version_repaves")

    assert code == 0
    assert any(line.split()[2:] == ["1", "1", "1", "a_new_version_repaves_the_cluster"] for line in lines), lines
    assert any(line.split()[2:] == ["1", "1", "lifecycle:", "1", "case"] for line in lines), lines
    assert "1 case at level default, on edge-1 of a lab, edge-2 of a lab" in lines
    assert any(line.startswith("1 cluster, 1 repave, about ") for line in lines)
    assert "nothing was done" in lines
    assert list(tmp_path.iterdir()) == []


def test_a_plan_fits_80_columns_and_has_the_costliest_first(whole: list[str]) -> None:
    """No line is wider than the terminal, and within a folder times only fall."""
    lines = whole
    begin = next(number for number, line in enumerate(lines) if line.split()[:1] == ["clusters"])
    rows = lines[begin + 1 : lines.index("", begin)]
    repaves = [
        [max(2.0, int(row.split()[2]) * 1.5 + int(row.split()[3]) * 2) for row in rows[start + 1 : end]]
        for start, end in pairwise([*(n for n, row in enumerate(rows) if " case" in row and ":" in row), len(rows)])
    ]

    assert [line for line in lines if len(line) > 80] == []
    assert len(repaves) == 6, rows
    assert all(folder == sorted(folder, reverse=True) for folder in repaves)


def site_of(folder: Path, hosts: int) -> Path:
    """Describe a site with so many Edge hosts; a plan asks it nothing."""
    (folder / "image").mkdir()
    (folder / "image" / "index.json").write_text("{}")
    (folder / "key").write_text("a-key-that-nobody-has")
    document = {
        "palette": {"url": "https://palette.example", "project": "Default", "api_key": {"file": "key"}},
        "edge_hosts": [{"uid": f"e{number}", "ssh": "kairos@192.0.2.1"} for number in range(hosts)],
        "registry": {"bind": "127.0.0.1"},
        "provider_image": "oci:image",
    }
    (folder / "site.yaml").write_text(yaml.safe_dump(document))
    return folder / "site.yaml"


def hours(text: str) -> float:
    """Read a duration as a plan writes it."""
    found = re.search(r"about (?:(\d+) h ?)?(?:(\d+) min)?", text)
    assert found, text
    return int(found[1] or 0) + int(found[2] or 0) / 60


@pytest.mark.parametrize(("hosts", "most"), [(1, 22.0), (4, 6.5), (8, 4.0)])
def test_a_night_is_long_enough_for_the_default_level(tmp_path: Path, hosts: int, most: float) -> None:
    """With 10 minutes for a deployment and 12 for a repave, all cases fit into the night, on one host and on many."""
    _, lines = plan("--plan", "--runs-in", str(tmp_path / "runs"), "--site", str(site_of(tmp_path, hosts)))
    sums = next(line for line in lines if re.match(r"\d+ clusters, \d+ repaves", line))
    clusters, repaves = map(int, re.findall(r"(\d+) (?:clusters|repaves)", sums))
    with_workers = next((line for line in lines if line.startswith("with -n auto")), sums)

    assert clusters <= 60, sums
    assert repaves <= 60, sums
    assert hours(with_workers) <= most, lines[-20:]
    assert sum(line.startswith("worker ") for line in lines) == (hosts if hosts > 1 else 0)


def test_a_budget_chooses_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    """Of two cases a budget that has room for one keeps the one that settles more, and names the loss."""
    both = "new_version_repaves or third_repave"
    _, lines = plan("--plan", "--runs-in", str(tmp_path), "-k", both, "--budget", "34s")

    assert "1 case at level default, on edge-1 of a lab, edge-2 of a lab" in lines
    assert any("a_new_version_repaves_the_cluster" in line for line in lines)
    assert "the budget leaves out 1 case; nothing is said about REPAVE-04, EVENT-02, TLS-03" in lines


def test_smoke_takes_one_case_of_each_part_and_phase(whole: list[str], tmp_path: Path) -> None:
    """At level smoke a fraction of the cases is left, from every part of the suites."""
    everything = folders(whole)
    smoke = folders(plan("--plan", "--runs-in", str(tmp_path), "--level", "smoke")[1])

    assert smoke.keys() == everything.keys()
    assert sum(smoke.values()) * 4 < sum(everything.values())


def folders(lines: list[str]) -> dict[str, int]:
    """Return the folders of a plan and how many cases each has."""
    found = [re.search(r"  (\w+): (\d+) cases?$", line) for line in lines]
    return {match[1]: int(match[2]) for match in found if match}


#: Asks pytest for one thing after the other, which takes a fraction of a process for each.
ASKS = """
import json, sys
import pytest
for words in json.loads(sys.argv[1]):
    print("exit", int(pytest.main(["suites", "-q", "-p", "no:cacheprovider", *words])), flush=True)
"""
REFUSED = {
    ("--level", "certification", "-k", "repave"): "-k",
    ("--level", "certification", "--budget", "5m"): "--budget",
    ("--level", "certification", "--hypothesis-seed", "5"): "--hypothesis-seed",
    ("--budget", "soon"): "45m",
    ("--resume", "1999"): "1999",
    ("-n", "9"): "at most 8",
    ("-n", "2", "--keep-lab"): "leave out --keep-lab",
}


def test_options_that_cannot_be_are_refused_before_anything_begins(tmp_path: Path) -> None:
    """A certification that leaves something out, a budget that is no time, a run that is none: exit 4, and why."""
    words = json.dumps([["--runs-in", str(tmp_path), *arguments] for arguments in REFUSED])
    command = [sys.executable, "-c", ASKS, words]
    done = subprocess.run(
        command, cwd=HOME, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120
    )
    told = re.findall(r"(.*?)^exit (\d+)$", done.stdout, re.MULTILINE | re.DOTALL)

    assert len(told) == len(REFUSED), done.stdout
    for (said, code), found in zip(told, REFUSED.values(), strict=True):
        assert code == "4"
        assert any(line.startswith("ERROR: ") and found in line for line in said.splitlines()), said


def test_the_seed_of_a_certification_follows_the_version() -> None:
    """The same version gives everybody the same seed, another version another one."""
    assert seed_of("1.0.0") == seed_of("1.0.0")
    assert seed_of("1.0.0") != seed_of("1.0.1")
