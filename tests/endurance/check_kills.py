"""SIGKILL of any process of a run at any moment, and signals to ``./run``: nothing is left, and every run ends.

Takes minutes, so own tests do not collect it; ``./run endurance`` does. ``RANDOM_KILLS`` and ``RANDOM_SIGNALS`` say how
many, ``RANDOM_SEED`` which.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from engine import ownership
from reports.verdicts import ExitCode
from tests.lab.projects import Checkout, copy_project
from tests.settling import settled

KILLS = int(os.environ.get("RANDOM_KILLS", "20"))
SIGNALS = int(os.environ.get("RANDOM_SIGNALS", "10"))
SEED = int(os.environ.get("RANDOM_SEED", "1"))
CASES = "new_cluster_pulls or plain_reboot or new_version_repaves"
#: Seconds in which a run ends by itself, whatever was killed of it, on a busy machine.
ENDS = 300
GONE = 30
#: Kills after which a run follows that must clear up.
EACH = 10


@dataclass
class KillsGround:
    """A copy of the project with temporary files of its own, by which its processes are known."""

    project: Checkout
    engine: docker.DockerClient
    seen: set[str] = field(default_factory=set)

    def start(self, cases: str = CASES) -> subprocess.Popen[str]:
        """Start a run with two workers as ``./run`` does, in a process group of its own."""
        words = ("-m", "harness", "conformance", "-n", "2", "-k", cases, "--lab-hosts", "1", "--no-provision")
        return self.project.start(*words, MARK=str(self.project.temporary))

    def processes(self) -> dict[int, str]:
        """Return the processes of this project's runs, on this machine and in their containers."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if self._is_ours(entry, words):
                    found[int(entry.name)] = words[:90]
        for container in self.containers():
            with suppress(Exception):
                found[container.attrs["State"]["Pid"]] = f"container {container.name}"
        found.pop(0, None)
        return found

    def _is_ours(self, entry: Path, words: str) -> bool:
        mark = str(self.project.temporary)
        return mark in words or f"TMPDIR={mark}".encode() in (entry / "environ").read_bytes()

    def containers(self) -> list[Container]:
        """Return the containers of this project's runs."""
        self.seen |= {run.name for run in self.project.runs}
        everything = self.engine.containers.list(all=True, ignore_removed=True)
        return [each for each in everything if any(run in str(each.labels) for run in self.seen)]

    def left(self, *but: str) -> list[str]:
        """Return what is left of every run but these: on the engine, and as processes."""
        self.seen |= {run.name for run in self.project.runs}
        labels = {label for run in self.seen - set(but) for label in self._labels(run)}
        return [name for label in sorted(labels) for name in ownership.left_of(self.engine, label)]

    @staticmethod
    def _labels(run: str) -> list[str]:
        return [run, *(f"{prefix}{run}{worker}" for prefix in ("", "lab-") for worker in ("", "-gw0", "-gw1", "-gw2"))]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[KillsGround]:
    """Copy the project."""
    engine = docker.from_env()
    temporary = Path(tempfile.mkdtemp(prefix="k-", dir="/tmp"))
    ground = KillsGround(copy_project(tmp_path / "project", temporary), engine)
    yield ground
    for pid in ground.processes():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ownership.sweep(engine, print)
    shutil.rmtree(temporary, ignore_errors=True)
    engine.close()


def at_a_moment(run: subprocess.Popen[str], longest: float, chance: random.Random) -> float:
    """Wait for a part of a run's time; return how long."""
    moment = chance.uniform(0.1, longest)
    with suppress(subprocess.TimeoutExpired):
        run.wait(moment)
    return moment


def whole(ground: KillsGround, cases: str = CASES) -> float:
    """Run once without any harm; return how long it took."""
    began = time.monotonic()
    with ground.start(cases) as run:
        output, _ = run.communicate(timeout=ENDS)
    assert run.returncode in {0, ExitCode.DEAD}, output  # a busy machine may be too slow for it
    return time.monotonic() - began


def killed(ground: KillsGround, longest: float, chance: random.Random, most: int) -> list[str]:
    """Kill processes of one run, one after the other, until it ends; return which, and when."""
    stories: list[str] = []
    with ground.start() as run:
        while len(stories) < most:
            moment = at_a_moment(run, longest / 4, chance)
            victims = ground.processes()
            if run.poll() is not None or not victims:
                break
            pid = chance.choice(sorted(victims))
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            stories.append(f"{moment:.1f} s later {pid} ({victims[pid]})")
        output, _ = run.communicate(timeout=ENDS)
    stories.append(f"ended with {run.returncode}")
    assert run.returncode == -signal.SIGKILL or "Traceback" not in output, f"{stories}\n{output}"
    return stories


def test_nothing_outlives_the_run_after_one_of_which_processes_were_killed(ground: KillsGround) -> None:
    """Controller, workers, registries, hosts, ssh: whichever is killed, the run ends and the next one clears up."""
    longest, chance, kills, checked = whole(ground), random.Random(SEED), 0, 0  # noqa: S311 - moments, no secrets
    while kills < KILLS:
        stories = killed(ground, longest, chance, KILLS - kills)
        kills += len(stories) - 1
        print(f"{kills} kills: {'; '.join(stories)}", flush=True)  # noqa: T201 - progress of a long test
        assert settled(lambda: not local(ground), GONE), f"{stories}: {ground.processes()}"
        if kills - checked >= EACH or kills == KILLS:
            checked = kills
            print(f"the next run took {whole(ground, 'plain_reboot'):.1f} s", flush=True)  # noqa: T201
            assert ground.left() == [], stories
            assert ground.processes() == {}, stories
            assert ground.project.leftovers == [], stories


def local(ground: KillsGround) -> list[str]:
    """Return the processes that are left outside of containers; those the next run removes."""
    return [words for words in ground.processes().values() if not words.startswith("container ")]


@pytest.mark.parametrize("cases", ["plain_reboot", CASES], ids=["alone", "workers"])
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_run_is_like_ctrl_c(ground: KillsGround, by: signal.Signals, cases: str) -> None:
    """Whenever ``./run`` alone is told, the run ends with 2 and leaves nothing, without another run's help."""
    longest, chance = whole(ground, cases), random.Random(SEED)  # noqa: S311 - moments, no secrets
    for _ in range(-(-SIGNALS // 6)):
        with ground.start(cases) as run:
            moment = at_a_moment(run, longest, chance)
            run.send_signal(by)
            output, _ = run.communicate(timeout=ENDS)
        story = f"{by.name} after {moment:.1f} s: {run.returncode}\n{output}"
        print(story.partition("\n")[0], flush=True)  # noqa: T201 - progress of a long test
        whole_summary = re.search(r"^\d pass ·", output, re.MULTILINE)
        ended_before = whole_summary and "Interrupted, not a result" not in output
        assert run.returncode == (0 if ended_before else 2), story
        assert "Traceback" not in output, story
        assert settled(lambda: ground.processes() == {}, GONE), f"{story}{ground.processes()}"
        assert ground.left() == [], story
        assert ground.project.leftovers == [], story
