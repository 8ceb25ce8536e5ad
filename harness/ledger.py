"""What this run creates in Palette, on the disk before it is created, until it is gone again.

The file is one line of JSON for every step: ``meant`` before something is asked for, ``made`` when its uid is known,
``gone`` when it is removed. A run that is killed between two of them leaves enough for ``./run clean`` to find what it
made and to tell it from everything else.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from harness.removal import ORDER, remove

if TYPE_CHECKING:
    from pathlib import Path

    from palette.client import ProjectView

Kind = Literal["cluster", "profile", "macro", "tenant macro", "lease"]
FILE_NAME = "ledger.ndjson"


@dataclass
class Ledger:
    """Everything to be removed, in the order it was made; with a ``path`` it is on the disk as well.

    ``names`` holds every name that was ever meant, also of what is long gone: a second look searches for these.
    """

    path: Path | None = None
    entries: list[tuple[Kind, str]] = field(default_factory=list)
    names: set[tuple[Kind, str]] = field(default_factory=set)
    about: dict[str, str] = field(default_factory=dict)

    def begin(self, **about: str) -> None:
        """Record which run on which site this is; a run that is resumed records it again."""
        self.about = about
        self._write(step="run", **about)

    def meant(self, kind: Kind, name: str) -> None:
        """Note what is about to be asked for, by name."""
        self.names.add((kind, name))
        self._write(step="meant", kind=kind, name=name)

    def add(self, kind: Kind, uid: str) -> None:
        """Note what was just created."""
        self.entries.append((kind, uid))
        self._write(step="made", kind=kind, uid=uid)

    def remove(self, kind: Kind, uid: str) -> None:
        """Note that it is gone."""
        if (kind, uid) in self.entries:
            self.entries.remove((kind, uid))
            self._write(step="gone", kind=kind, uid=uid)

    def clear(self, project: ProjectView) -> list[str]:
        """Remove whatever is left. Return a line for each thing that could not be removed."""
        failed = []
        for kind in ORDER:
            for entry in [found for found in reversed(self.entries) if found[0] == kind]:
                trouble = remove(project, *entry, run=self.about.get("run", ""))
                if trouble:
                    failed.append(f"{kind} {entry[1]}: {trouble}")
                else:
                    self.remove(*entry)
        return failed

    def _write(self, **step: str) -> None:
        if self.path is None:
            return
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, b"\n" * _is_torn(file) + json.dumps(step).encode() + b"\n")
            os.fsync(file)
        finally:
            os.close(file)


def _is_torn(file: int) -> bool:
    """Return whether a kill cut the last line off."""
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def read(path: Path) -> Ledger:
    """Read a ledger, also one whose last line was cut off by a kill. Raises OSError."""
    ledger = Ledger()
    for line in path.read_bytes().splitlines():
        try:
            _replay(ledger, json.loads(line))
        except (ValueError, RecursionError, LookupError, AttributeError, TypeError):
            continue  # the run was killed while it wrote; what the line was about had not begun
    ledger.path = path
    return ledger


def _replay(ledger: Ledger, step: dict[str, Any]) -> None:
    match step.pop("step", ""):
        case "run":
            ledger.about = step
        case "meant":
            ledger.names.add((step["kind"], step["name"]))
        case "made":
            ledger.entries.append((step["kind"], step["uid"]))
        case "gone" if (step["kind"], step["uid"]) in ledger.entries:
            ledger.entries.remove((step["kind"], step["uid"]))
