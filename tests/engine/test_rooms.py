from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from engine import rooms
from engine.rooms import KEEPER, clear_rooms, make_room

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make temporary folders where only this test does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(rooms, "SHORT", 4096)
    return tmp_path


def test_a_room_is_nobody_elses() -> None:
    """Others can neither read nor list a room, and its name is short enough for sockets in it."""
    room = make_room("test-")

    assert room.stat().st_mode & 0o777 == 0o700
    assert len(room.name) < 20


def test_a_long_place_for_temporary_files_is_left_to_others(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a socket's path would become longer than the system allows, rooms are made, and cleared, in /tmp."""
    monkeypatch.setattr(rooms, "SHORT", len(str(temporary)) - 1)
    room = make_room("test-rooms-")
    (room / KEEPER).write_text("4194305@gone")

    assert room.parent == rooms.ALWAYS_SHORT
    assert room in clear_rooms("test-rooms-")
    assert list(temporary.iterdir()) == []


def test_rooms_of_dead_processes_are_cleared(temporary: Path) -> None:
    """A dead process' room goes; a living one's, one that nobody signed, and another kind of room stay."""
    dead, living, other = make_room("test-"), make_room("test-"), make_room("other-")
    for room in (dead, other):
        (room / KEEPER).write_text("4194305@gone")
    unsigned = temporary / "test-unsigned"
    unsigned.mkdir()

    assert clear_rooms("test-") == [dead]
    assert [room.exists() for room in (dead, living, other, unsigned)] == [False, True, True, True]
