"""How a run starts: what its process loads, and what it does only once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fixtures.scenarios import lives

ROOT = Path(__file__).parents[2]
#: Loads what a run loads before it collects, and writes down what came of it.
LOADS = """
import gc, importlib, json, sys
import conftest
for name in conftest.pytest_plugins:
    importlib.import_module(name)
while_loading = gc.isenabled()
conftest.pytest_configure()
print(json.dumps([[name for name in sys.modules if name.startswith("lab.")], while_loading, gc.isenabled()]))
"""


def test_a_run_loads_little_of_the_lab_and_looks_for_no_garbage_meanwhile() -> None:
    """The lab is a process of its own; garbage is looked for once everything is loaded."""
    done = subprocess.run([sys.executable, "-c", LOADS], cwd=ROOT, check=True, capture_output=True, text=True)
    loaded, while_loading, afterwards = json.loads(done.stdout)

    assert "lab.control" in loaded
    assert [name for name in loaded if name.startswith(("lab.palette", "lab.site", "lab.serving"))] == []
    assert (while_loading, afterwards) == (False, True)


def test_scenarios_are_computed_once() -> None:
    """Cases of one host, of two and of three are collected from one covering array."""
    assert lives("default") is lives("default")
