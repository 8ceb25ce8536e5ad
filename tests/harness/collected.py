"""A pytest plugin that writes down which cases there are, and what each is marked with."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

#: The environment variable that names the file to write.
FILE = "COLLECTED_CASES"
HOME = Path(__file__).parents[2]
_found: list[Case] = []


@dataclass(frozen=True)
class Case:
    """A conformance case."""

    name: str
    requirements: tuple[str, ...]
    phase: str
    docstring: str


def collect(file: Path, *arguments: str, **environment: str) -> list[Case]:
    """Collect cases as a run would, in a process of its own, with a change of its environment."""
    command = [sys.executable, "-m", "pytest", *arguments, "--collect-only", "-q", "-p", "tests.harness.collected"]
    everything = {**os.environ, **environment, FILE: str(file), "PYTHONPATH": str(HOME)}
    done = subprocess.run(command, check=False, cwd=HOME, env=everything, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(file.read_text())
    return [Case(**{**case, "requirements": tuple(case["requirements"])}) for case in found]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Take a case, also one that is left out afterwards."""
    marker = item.get_closest_marker("requirement")
    docstring = inspect.getdoc(getattr(item, "obj", None)) or ""
    phase = marker.kwargs.get("phase", "") if marker else ""
    _found.append(Case(item.nodeid, tuple(marker.args) if marker else (), phase, docstring))


def pytest_sessionfinish() -> None:
    """Write them down."""
    Path(os.environ[FILE]).write_text(json.dumps([asdict(case) for case in _found]))
