"""Leases among processes: what one machine's threads cannot show."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.site.long_runs.stage import Stage

ROOT = Path(__file__).parents[3]
ROUNDS = 10


class Lessee:
    """A process that leases a host when told to."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._words, self._answers = process, process.stdin, process.stdout
        assert self.hear() == "ready"

    def tell(self, word: str) -> None:
        """Send it a command, and do not wait."""
        self._words.write(f"{word}\n")
        self._words.flush()

    def hear(self) -> str:
        """Wait for its answer."""
        return self._answers.readline().strip()

    def end(self) -> None:
        """End it."""
        self._words.close()
        self._process.wait(20)
        self._answers.close()


@pytest.fixture
def lessees(stage: Stage) -> Iterator[list[Lessee]]:
    """Start two processes that lease the same host, each as a run of its own."""
    with ExitStack() as stack:
        command = [sys.executable, "-m", "tests.site.long_runs.lessee", str(stage.site.path)]
        started = []
        for number in (1, 2):
            process = subprocess.Popen(
                [*command, f"conf-{number}", "edge-1"], cwd=ROOT, text=True, stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )  # fmt: skip
            lessee = Lessee(process)
            stack.callback(lessee.end)
            started.append(lessee)
        yield started


def test_of_two_processes_exactly_one_leases_the_host(stage: Stage, lessees: list[Lessee]) -> None:
    """Two processes that lease a host at once: one has it and its name stands there, round after round."""
    for round_number in range(ROUNDS):
        for lessee in lessees if round_number % 2 else reversed(lessees):
            lessee.tell("take")
        taken = [lessee.hear() for lessee in lessees]
        named = stage.project().edge_hosts.get("edge-1").labels["conformance-run"]

        assert sorted(taken) == ["", "edge-1"], f"round {round_number}: {taken}"
        assert named == f"conf-{taken.index('edge-1') + 1}"
        for lessee in lessees:
            lessee.tell("back")
        assert [lessee.hear() for lessee in lessees] == ["given back"] * 2
    assert not stage.project().edge_hosts.get("edge-1").labels
