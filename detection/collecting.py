"""Which cases there are, and what each proves: asked of pytest itself, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.children import environment
from engine.tempdirs import temporary_directory
from harness.run import SUITES

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = SUITES.parent
FILE = pytest.StashKey[Path]()


class NoCasesError(Exception):
    """The suites cannot be collected; the message is pytest's."""


@dataclass(frozen=True)
class SuiteCase:
    """A conformance case: its node id, its file, the requirements it proves, the hosts it takes."""

    id: str
    file: str
    requirements: tuple[str, ...]
    hosts: int


def collect(suites: Sequence[str] = (str(SUITES),)) -> list[SuiteCase]:
    """List the cases of the suites. Raises NoCasesError."""
    with temporary_directory("detection") as folder:
        file = folder / "cases.json"
        command = [sys.executable, "-m", "pytest", "--collect-only", "-qqq", "-p", "no:cacheprovider"]
        command += ["-p", "detection.collecting", "--cases-to", str(file), *project_options(suites), *suites]
        done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, env=environment())
        if done.returncode != 0 or not file.exists():
            raise NoCasesError(f"the suites cannot be collected:\n{done.stdout}{done.stderr}")
        return [
            SuiteCase(**{**each, "requirements": tuple(each["requirements"])}) for each in json.loads(file.read_text())
        ]


def project_options(suites: Sequence[str]) -> list[str]:
    """Return the options by which pytest runs a case file from outside the project as one of the project's."""
    places = [(ROOT / suite.partition("::")[0]).resolve() for suite in suites]
    above = os.path.commonpath([ROOT, *places])
    return ["-c", str(ROOT / "pyproject.toml"), "--rootdir", above, "-p", "conftest"]


# --- in pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where the list goes."""
    parser.getgroup("detection").addoption("--cases-to", metavar="FILE", help="write the collected cases as JSON")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the list."""
    cases = [asdict(case_of(item)) for item in session.items]
    Path(session.config.getoption("--cases-to")).write_text(json.dumps(cases))


def case_of(item: pytest.Item) -> SuiteCase:
    """Return what is known of a case."""
    marker = item.get_closest_marker("requirement")
    ids = tuple(map(str, marker.args)) if marker else ()
    hosts = int(marker.kwargs.get("hosts", 1)) if marker else 1
    return SuiteCase(
        item.nodeid, str(item.path.relative_to(ROOT)) if ROOT in item.path.parents else str(item.path), ids, hosts
    )
