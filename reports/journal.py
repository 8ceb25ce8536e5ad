"""The journal of a run: one record a line, on the disk before the next case begins.

Everything a reader gets is made from this file, also long after the run. So it is only ever appended to, each record
in one write, and a reader takes what stands there: a process killed in the middle of a line costs that line only.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from reports.records import Record, UnreadableRecordError, from_json, to_json

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "journal.ndjson"


class Journal:
    """The writing end. One process writes a journal at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._close_torn_line()

    def write(self, record: Record) -> None:
        """Append a record; when this returns it is on the disk."""
        self.append(to_json(record).encode("ascii"))

    def close(self) -> None:
        """Close the file; closing twice does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, line: bytes) -> None:
        """Append a line without its end; when this returns it is on the disk."""
        # A write to a file is short only when the disk is full; the next attempt then says so.
        line += b"\n"
        while line:
            line = line[os.write(self._file, line) :]
        os.fsync(self._file)

    def _close_torn_line(self) -> None:
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            self.append(b"")


@dataclass(frozen=True)
class Damage:
    """A line that could not be read: its number (from 1) and why."""

    line: int
    why: str


@dataclass(frozen=True)
class Contents:
    """What a journal says, and which of its lines say nothing."""

    records: tuple[Record, ...]
    damage: tuple[Damage, ...]


def read(path: Path) -> Contents:
    """Read all that can be read of a journal, whatever state it is in. Raises OSError if there is no such file."""
    return parse(path.read_bytes())


def parse(content: bytes) -> Contents:
    """Read all that can be read of a journal's bytes."""
    records: list[Record] = []
    damage: list[Damage] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip(b"\0\r\t "):  # a file system may leave NULs where a power cut ended a write
            continue
        try:
            records.append(from_json(line))
        except UnreadableRecordError as error:
            damage.append(Damage(number, str(error)))
    return Contents(tuple(records), tuple(damage))
