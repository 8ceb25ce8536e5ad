"""Temporary folders of a user, and of a process: of these the next run clears what a killed one left, nothing else.

The owner's name is kept in the folder, not in the folder's name: paths of sockets must stay short.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from engine.ownership import is_alive, sign

KEEPER = "keeper"
#: Bytes of a folder's path in which the sockets of shared SSH connections still fit: a socket's path has 107 at most.
SHORT = 31
ALWAYS_SHORT = Path("/tmp")  # noqa: S108 - folders made in it are private


def own_folder(name: str) -> Path:
    """Return a temporary folder of this user, which nobody else can read; raises PermissionError if it is another's."""
    folder = _place() / f"{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else; remove it or set TMPDIR to a short path of your own")
    return folder


def make_room(prefix: str) -> Path:
    """Make a folder that nobody else can read and that this process answers for."""
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=_place()))
    sign(folder / KEEPER)
    return folder


def clear_rooms(prefix: str) -> list[Path]:
    """Remove this user's folders with ``prefix`` whose owner is dead; gives them."""
    abandoned = [folder for folder in _place().glob(f"{prefix}*") if _is_abandoned(folder)]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return abandoned


def _place() -> Path:
    """Return where temporary folders go: TMPDIR, unless its path is too long for sockets."""
    place = Path(tempfile.gettempdir())
    return place if len(os.fsencode(place)) <= SHORT else ALWAYS_SHORT


def _is_abandoned(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid() and not is_alive((folder / KEEPER).read_text())
    except OSError:
        return False  # nobody signed it, or it is just being made or removed
