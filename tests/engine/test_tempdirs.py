"""Temporary directories: private, in TMPDIR, and gone when their process is."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from engine import tempdirs
from engine.tempdirs import KEEPER, clear_abandoned, make, of_user

DEAD = "4194305@gone"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make temporary directories where only this test does."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_directory_is_private_and_in_tmpdir(temporary: Path) -> None:
    """Others can neither read nor list it, however long TMPDIR is, and its name is short enough for sockets in it."""
    directory = make("test")

    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.parent == temporary
    assert len(directory.name) < 20


def test_sockets_do_not_follow_a_long_tmpdir(temporary: Path) -> None:
    """Where a socket's path would be too long, directories for sockets are made, and cleared, in /tmp; it is said."""
    directory = make("long", sockets=True)
    (directory / KEEPER).write_text(DEAD)

    assert directory.parent == tempdirs.ALWAYS_SHORT
    assert "too long for sockets" in tempdirs.elsewhere()
    assert directory in clear_abandoned()
    assert list(temporary.iterdir()) == []


def test_a_short_tmpdir_holds_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where sockets fit nothing is said."""
    monkeypatch.setattr(tempdirs, "SHORT", 4096)

    assert tempdirs.elsewhere() == ""
    assert tempdirs._place(sockets=True) == tempdirs._place(sockets=False)


def test_directories_of_dead_processes_are_cleared(temporary: Path) -> None:
    """A dead process' directory goes; a living one's, one that names no process, and a user's shared one stay."""
    dead, living, shared = make("test"), make("test"), of_user("test")
    (dead / KEEPER).write_text(DEAD)
    unsigned = temporary / "edge-test-unsigned"
    unsigned.mkdir()

    assert clear_abandoned() == [dead]
    assert [each.exists() for each in (dead, living, unsigned, shared)] == [False, True, True, True]


def test_a_directory_that_goes_meanwhile_was_not_abandoned(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that its owner removes between being seen and being looked at is no trouble."""
    monkeypatch.setattr(type(temporary), "glob", lambda _self, _pattern: [temporary / "edge-gone"])

    assert clear_abandoned() == []


@pytest.mark.parametrize("kind", ["symbolic link", "file"])
def test_a_shared_directory_is_never_followed_elsewhere(temporary: Path, kind: str) -> None:
    """Whoever puts something else in its place chooses nothing: the directory is refused by name."""
    taken = temporary / f"palette-edge-labs-{os.getuid()}"
    if kind == "file":
        taken.touch()
    else:
        (temporary / "mine").mkdir()
        taken.symlink_to(temporary / "mine")

    with pytest.raises(PermissionError, match=f"{taken} is not a directory of this user"):
        of_user("labs")


def test_a_shared_directory_that_others_may_read_is_closed(temporary: Path) -> None:
    """A directory of ours with open permissions gets the right ones back."""
    (temporary / f"palette-edge-labs-{os.getuid()}").mkdir(mode=0o755)

    assert of_user("labs").stat().st_mode & 0o777 == 0o700


_TWICE_INTERRUPTED = """
from engine.tempdirs import make
(make("test") / "server.key").write_text("secret")
try:
    raise KeyboardInterrupt
finally:
    raise KeyboardInterrupt  # the second one: no clean-up of the caller's runs
"""


def test_a_second_interrupt_leaves_no_secret(temporary: Path) -> None:
    """A process that is interrupted while it cleans up removes its directories when it ends."""
    environment = {**os.environ, "TMPDIR": str(temporary)}
    done = subprocess.run([sys.executable, "-c", _TWICE_INTERRUPTED], env=environment, check=False, capture_output=True)

    assert b"KeyboardInterrupt" in done.stderr
    assert list(temporary.iterdir()) == []
