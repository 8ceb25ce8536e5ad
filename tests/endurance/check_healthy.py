"""Healthy runs with three workers, each with a seed and an order of cases of its own, every second one under load.

Each takes five minutes, so own tests do not collect it; ``./run endurance`` does. ``HEALTHY_RUNS`` says how many,
``RANDOM_SEED`` which.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from engine.children import tied
from tests.lab.projects import copy_project

RUNS = int(os.environ.get("HEALTHY_RUNS", "2"))
SEED = int(os.environ.get("RANDOM_SEED", "1"))
#: A plugin of pytest: what is handed out to workers, in an order that a seed decides.
ANY_ORDER = """
import os, random
from harness import workers
longest_first = workers.units
def units(items, costs):
    found = longest_first(items, costs)
    random.Random(os.environ["ORDER"]).shuffle(found)
    return found
workers.units = units
"""


@contextmanager
def both_cores_busy() -> Iterator[None]:
    """Keep a loop on each core, as nice as another user's work."""
    with ExitStack() as loops:
        for _ in os.sched_getaffinity(0):
            loop = loops.enter_context(subprocess.Popen(tied(["nice", sys.executable, "-c", "while True: pass"])))
            loops.callback(loop.kill)
        yield


@pytest.mark.parametrize("number", range(RUNS))
def test_a_healthy_run_is_green_in_any_order(tmp_path: Path, number: int) -> None:
    """Whatever a seed draws, in whatever order and beside other work: every case passes."""
    seed = random.Random(SEED + number).randrange(1 << 30)  # noqa: S311 - a seed, no secret
    with tempfile.TemporaryDirectory(prefix="h-", dir="/tmp") as temporary, ExitStack() as beside:
        project = copy_project(tmp_path / "project", Path(temporary))
        (project.folder / "any_order.py").write_text(ANY_ORDER)
        if number % 2:
            beside.enter_context(both_cores_busy())
        words = ("-n", "3", "-p", "any_order", "--hypothesis-seed", str(seed), "--no-provision")
        with project.start("-m", "harness", "conformance", *words, ORDER=str(seed)) as run:
            output, _ = run.communicate(timeout=3600)
    print(f"seed {seed}: {output.splitlines()[-2:]}", flush=True)  # noqa: T201 - progress of a long test

    assert run.returncode == 0, output
