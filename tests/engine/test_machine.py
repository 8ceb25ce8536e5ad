"""What a machine must have left for a lab: too little is told in one line with the command that helps."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import docker
import pytest

from engine import machine
from engine.machine import INOTIFY_PER_HOST, Left, shortages, slowness, spare_inotify

PLENTY = Left(inotify=10**6, memory=1 << 40, tasks=10**6)


def test_a_machine_with_enough_is_not_remarked_on() -> None:
    """Nothing is said where nothing is short, and of what cannot be told."""
    assert shortages(16, PLENTY) == []
    assert shortages(16, Left(None, None, None)) == []


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (
            Left(13, 1 << 40, 10**6),
            "13 inotify instances are free and 2 Edge hosts of a lab need 14; run as root: sysctl",
        ),
        (Left(14, 100 << 20, 10**6), "100 MiB of memory are free and 2 Edge hosts of a lab need 512"),
        (Left(14, 1 << 40, 299), "299 more processes can be started and 2 Edge hosts of a lab need 300"),
    ],
)
def test_what_is_short_is_named_with_what_helps(left: Left, said: str) -> None:
    """The line has what is left, what is needed and what to do."""
    (line,) = shortages(2, left)

    assert line.startswith(said)
    assert "sysctl -w " in line or "--lab-hosts" in line


def test_everything_that_is_short_is_told_at_once() -> None:
    """Nobody mends one thing to hear of the next."""
    assert len(shortages(2, Left(0, 0, 0))) == 3


def test_free_inotify_instances_are_counted_as_the_kernel_does() -> None:
    """As many as are asked for can be had on a machine that has them, and all are given back."""
    before = len([*Path("/proc/self/fd").iterdir()])
    found = spare_inotify(INOTIFY_PER_HOST)

    assert found in {INOTIFY_PER_HOST, None}
    assert len([*Path("/proc/self/fd").iterdir()]) == before


def test_an_exhausted_limit_is_noticed() -> None:
    """Where the kernel gives three instances and no more, three are counted."""
    program = "from engine.machine import spare_inotify; print(spare_inotify(7))"

    assert with_few_instances(3, sys.executable, "-c", program).stdout == "3\n"


def test_a_host_does_not_boot_half() -> None:
    """A lab host that the machine cannot carry does not boot, and its console has the reason and the command."""
    program = "from lab import firmware; raise SystemExit(firmware._too_little())"
    done = with_few_instances(3, sys.executable, "-c", program)

    assert done.returncode == 1
    assert done.stdout.startswith("firmware: 3 inotify instances are free and 1 Edge host of a lab needs 7; run as")


def test_a_run_that_the_machine_cannot_carry_is_refused(tmp_path: Path, engine: docker.DockerClient) -> None:
    """Too few inotify instances: exit 4 with one line that has the command, before anything is started."""
    _ = engine
    command = [sys.executable, "-m", "pytest", "suites", "-q", "-k", "DEPLOY-01", "-p", "no:cacheprovider"]
    done = with_few_instances(3, *command, "--no-provision", "--runs-in", str(tmp_path / "home"))

    assert done.returncode == 4, done.stdout
    assert "bad set-up: this machine has too little left: 3 inotify instances are free" in done.stdout + done.stderr
    assert not (tmp_path / "home").exists()


def with_few_instances(count: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a user namespace in which the kernel gives so many inotify instances."""
    script = f'echo {count} > /proc/sys/user/max_inotify_instances && exec "$@"'
    unshare = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh", *command]
    done = subprocess.run(unshare, check=False, capture_output=True, text=True)
    if "unshare failed" in done.stderr:
        pytest.skip(f"this user may make no user namespace: {done.stderr.strip()}")
    return done


def test_another_user_reads_the_limit_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The hosts' instances are root's: another user knows the limit, and whether it can be enough at all."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(machine, "INSTANCES", tmp_path / "limit")
    (tmp_path / "limit").write_text("10\n")

    assert (spare_inotify(7), spare_inotify(14)) == (None, 10)


@pytest.mark.parametrize(("load", "times"), [(0.1, 1.0), (4.0, 1.0), (16.0, 4.0), (900.0, 5.0)])
def test_load_makes_things_slower_within_limits(load: float, times: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of two processors with sixteen programs that want one takes four times as long as in a usual run."""
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})

    assert slowness() == times


def test_this_machine_can_be_read() -> None:
    """Memory and processes are found where Linux tells them."""
    left = Left.now(1)

    assert left.memory is not None
    assert left.memory > 1 << 20
    assert left.tasks is not None
    assert left.tasks > 0
