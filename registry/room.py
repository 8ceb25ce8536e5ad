"""The directory of one registry: configuration, key, accounts, and what was pushed. It goes with its registry.

A directory is named for the process that answers for it. What a killed run left behind (a directory, and in it the
id of a registry process) is cleared when the next registry starts; what belongs to a living process is not touched.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.ownership import is_alive, process_identity

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "palette-edge-registry-"
PID_FILE = "registry.pid"

END_SECONDS = 2.0
"""How long a killed registry may take to be gone; it takes a few milliseconds."""


@contextlib.contextmanager
def room(parent: Path | None = None) -> Iterator[Path]:
    """Yield a directory that nobody else can read; afterwards it is gone."""
    parent = parent or Path(tempfile.gettempdir())
    clear_abandoned(parent)
    directory = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{process_identity(os.getpid())}-", dir=parent))
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def clear_abandoned(parent: Path) -> list[Path]:
    """Clear the directories and registry processes of runs that are dead; gives the directories that were there."""
    abandoned = [directory for directory in parent.glob(f"{_PREFIX}*") if _is_abandoned(directory)]
    for directory in abandoned:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            registry = (directory / PID_FILE).read_text()
            if is_alive(registry):  # the very process, not another one with its number
                _end(registry)
        shutil.rmtree(directory, ignore_errors=True)
    return abandoned


def _is_abandoned(directory: Path) -> bool:
    try:
        return directory.stat().st_uid == os.getuid() and not is_alive(_keeper(directory))
    except FileNotFoundError:
        return False  # its owner has just removed it


def _end(process: str) -> None:
    pid = int(process.partition("@")[0])
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS
    while (is_alive(process) or _listens(pid)) and time.monotonic() < deadline:
        time.sleep(0.002)


def _listens(pid: int) -> bool:
    """Return whether a process whose first thread has ended has others that have not: they hold its port."""
    try:
        return len([*Path(f"/proc/{pid}/task").iterdir()]) > 1
    except OSError:
        return False


def _keeper(directory: Path) -> str:
    return directory.name.removeprefix(_PREFIX).rpartition("-")[0]
