"""A home for runs that is no project's own, and runs in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from reports import runs
from reports.journal import Journal
from reports.records import Record

MakeRun = Callable[[Iterable[Record]], Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Return a function that writes a journal into a new run's directory."""

    def make(records: Iterable[Record]) -> Path:
        run = runs.create(tmp_path / "reports")
        with Journal(run / "journal.ndjson") as journal:
            for record in records:
                journal.write(record)
        return run

    return make
