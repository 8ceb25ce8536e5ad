"""Temporary directories: all of the product's are made, owned and removed here.

They are private to the user. Each names the process that made it, in a file: the next run removes what a killed
process left, and nothing else. A process that ends, even by a second Ctrl-C, removes its own.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from engine.ownership import is_alive, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

KEEPER = "keeper"
PREFIX = "edge-"
#: Bytes of TMPDIR in which the sockets of shared SSH connections and of labs still fit: a socket's path has 107.
SHORT = 31
ALWAYS_SHORT = Path("/tmp")  # noqa: S108 - directories made in it are private
_PRIVATE = 0o700


def of_user(name: str, mode: int = _PRIVATE, *, sockets: bool = False) -> Path:
    """Return a directory that all processes of this user share, and that no other user can write to.

    Raises PermissionError when something else has its name: another user's directory, or a symbolic link.
    """
    directory = _place(sockets=sockets) / f"palette-edge-{name}-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(
            f"{directory} is not a directory of this user; remove it, or set TMPDIR to a directory of your own"
        )
    if stat.S_IMODE(found.st_mode) != mode:
        directory.chmod(mode)
    return directory


def make(purpose: str, *, sockets: bool = False) -> Path:
    """Make a directory that nobody else can read and that this process answers for."""
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=_place(sockets=sockets)))
    atexit.register(_remove_as, os.getpid(), directory)  # after a second Ctrl-C no other code removes it
    sign(directory / KEEPER)
    return directory


def remove(directory: Path) -> None:
    """Remove a directory with everything in it."""
    shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def temporary_directory(purpose: str, *, sockets: bool = False) -> Iterator[Path]:
    """Yield a directory of :func:`make`; afterwards it is gone."""
    directory = make(purpose, sockets=sockets)
    try:
        yield directory
    finally:
        remove(directory)


def clear_abandoned() -> list[Path]:
    """Remove this user's temporary directories whose process is dead, and return their paths."""
    places = {Path(tempfile.gettempdir()), _place(sockets=True)}
    found = [directory for place in places for directory in place.glob(f"{PREFIX}*") if _is_abandoned(directory)]
    for directory in found:
        remove(directory)
    return found


def elsewhere() -> str:
    """Return why sockets are not in TMPDIR, as a line for the user; an empty text when they are."""
    place = Path(tempfile.gettempdir())
    if _place(sockets=True) == place:
        return ""
    return f"TMPDIR {place} is longer than {SHORT} bytes, too long for sockets: labs and SSH use {ALWAYS_SHORT}"


def _place(*, sockets: bool) -> Path:
    """Return TMPDIR, unless its path is too long for the sockets that are wanted in it."""
    place = Path(tempfile.gettempdir())
    return ALWAYS_SHORT if sockets and len(os.fsencode(place)) > SHORT else place


def _remove_as(pid: int, directory: Path) -> None:
    if os.getpid() == pid:  # a forked child inherits the handler, and not the directory
        remove(directory)


def _is_abandoned(directory: Path) -> bool:
    try:
        return directory.lstat().st_uid == os.getuid() and not is_alive((directory / KEEPER).read_text())
    except OSError:
        return False  # it names no process, or it is just being made or removed
