"""The history of runs in one small file that is only appended to, for build servers that throw the folder of runs away.

A line is one run: when, where, of what kind, and of each case its verdict, requirements, phase, and what it took. Of
135 cases it is about 30 KB.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from reports import breakdown, results
from reports.journal import Journal
from reports.records import CaseFinished, RunFinished, RunStarted, as_dict
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from reports.records import Record
    from reports.results import Results

_KEPT = {
    "started": ("run_id", "started", "seed", "command", "level", "site"),
    "case": ("case", "verdict", "requirements", "phase", "seconds", "hosts", "clusters", "repaves"),
    "finished": ("ended", "interrupted", "collected", "deselected", "medians"),
}


_MOST = 400  # lines that are read: sixty runs of several kinds


def file_at(path: Path) -> Path:
    """Return the file that is meant by a file or by the folder that it is kept in."""
    return path / "nights.ndjson" if path.is_dir() else path


def append(path: Path, outcome: Results) -> None:
    """Add a run that has ended to the file, in one write. Raises OSError."""
    if outcome.finished is None:
        return
    requirements = [{"id": row.requirement.id, "claim": row.requirement.claim} for row in outcome.requirements]
    night = {
        "started": {**_part("started", outcome.started), "requirements": requirements},
        "cases": [_part("case", case) for case in outcome.cases],
        "finished": _part("finished", replace(outcome.finished, medians=breakdown.medians(outcome))),
    }
    with Journal(path) as file:
        file.append(json.dumps(night, separators=(",", ":")).encode())


def _part(kind: str, record: object) -> dict[str, object]:
    return {name: value for name, value in as_dict(record).items() if name in _KEPT[kind] and value}


def read(path: Path) -> list[Results]:
    """Return the runs of the file, oldest first; what cannot be read is passed over. No file is an empty history."""
    try:
        lines = path.read_bytes().splitlines()[-_MOST:]
    except OSError:
        return []
    return [night for line in lines for night in _night(line)]


def _night(line: bytes) -> Iterator[Results]:
    try:
        night = json.loads(line)
        for case in night["cases"]:
            case["verdict"] = Verdict.read(case["verdict"]).value
        records: list[Record] = [msgspec.convert(case, CaseFinished) for case in night["cases"]]
        records.append(msgspec.convert(night["started"], RunStarted))
        records.append(msgspec.convert(night["finished"], RunFinished))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, msgspec.ValidationError):
        return
    yield results.of(records)
