"""Where runs are kept: ``reports/runs/<run-id>/`` for each, and ``reports/latest`` for the last one that finished."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from reports import journal
from reports.records import RunFinished

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(__file__).parent
JUNIT, PAGE, SUMMARY, CERTIFICATE = "junit.xml", "report.html", "summary.md", "certificate.tar"
TREND = "trend.html"
DETECTION, KILL_MATRIX = "detection", "kill-matrix.html"
_PAGES = {
    "Latest report": f"latest/{PAGE}",
    "Night by night": TREND,
    "Kill matrix": f"{DETECTION}/{KILL_MATRIX}",
    "Infrastructure matrix": f"{DETECTION}/infrastructure-matrix.html",
}


def links(home: Path, place: Path, *names: str) -> list[tuple[str, str]]:
    """Return the pages of a home that are there, or those of these names, as seen from a folder."""
    known = {name: home / _PAGES[name] for name in names or _PAGES}
    return [(name, os.path.relpath(page, place)) for name, page in known.items() if page.exists()]


class NoSuchRunError(Exception):
    """There is no run of this name; the message lists the ones nearby."""


class RunTakenError(Exception):
    """Another process writes this run; the message names it."""


def take(run: Path) -> int:
    """Return a descriptor that owns a run's directory until it is closed, or until its process ends.

    The directory itself is locked, so nothing is left to be cleared. Raises RunTakenError.
    """
    owner = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return owner
        os.close(owner)
        raise RunTakenError(f"{run.name}: the run is still going on, in another process") from error
    return owner


@contextmanager
def taken(run: Path) -> Iterator[None]:
    """Own a run's directory while the context lasts. Raises RunTakenError."""
    owner = take(run)
    try:
        yield
    finally:
        os.close(owner)


#: What file systems say, such as some over a network, that lock no directories.
_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL, errno.ENOSYS})


def create(home: Path = HOME, *, now: datetime | None = None) -> Path:
    """Make the directory of a new run; its name sorts by time and is the run's id."""
    stamp = (now or datetime.now(UTC)).strftime("%Y%m%d-%H%M%S")
    runs = home / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    while True:
        run = runs / f"{stamp}-{secrets.token_hex(2)}"
        with suppress(FileExistsError):
            run.mkdir(mode=0o700)  # it will hold what hosts say of themselves
            return run


def every(home: Path = HOME) -> list[Path]:
    """List all runs that have a journal, oldest first."""
    return sorted(path.parent for path in (home / "runs").glob(f"*/{journal.FILE_NAME}"))


def find(name: str, home: Path = HOME) -> Path:
    """Find a run by ``latest``, its id, the beginning of its id, its name at a site, or the path of its directory.

    Raises NoSuchRunError.
    """
    if name == "latest":
        if (home / "latest" / journal.FILE_NAME).exists():
            return (home / "latest").resolve()
        raise NoSuchRunError(f"{home / 'latest'}: no run has finished here yet; start one with './run conformance'")
    if (Path(name) / journal.FILE_NAME).exists():
        return Path(name).resolve()
    return _by_beginning(name, every(home))


_AT_SITE = "conf-"


def short(run: str) -> str:
    """Return a run's identity for the names of what it makes in Palette: without the year, for names are short."""
    return f"{_AT_SITE}{run[4:]}"


def _by_beginning(name: str, runs: list[Path]) -> Path:
    called = short if name.startswith(_AT_SITE) else str
    matches = [run for run in runs if name and called(run.name).startswith(name)]
    exact = [run for run in matches if called(run.name) == name]
    if len(exact or matches) == 1:
        return (exact or matches)[0]
    found = "several runs begin so" if matches else "no such run"
    nearby = ", ".join(run.name for run in (matches or runs)[-5:]) or "none"
    raise NoSuchRunError(f"run '{name}': {found}; there are: {nearby}")


def is_finished(run: Path) -> bool:
    """Whether the run came to its end and its reports are all there."""
    if not all((run / name).is_file() for name in (journal.FILE_NAME, JUNIT, PAGE)):
        return False
    return any(isinstance(record, RunFinished) for record in journal.read(run / journal.FILE_NAME).records)


def write(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old one or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def point_latest_to(run: Path) -> Path:
    """Point ``reports/latest`` to this run; a reader sees the old run or the new one.

    Raises ValueError if the run is not finished: ``latest`` never names a half-written run.
    """
    if not is_finished(run):
        raise ValueError(f"{run}: not finished, 'latest' stays where it is")
    latest = run.parent.parent / "latest"
    beside = latest.with_name(f".latest.{secrets.token_hex(4)}")
    beside.symlink_to(Path("runs") / run.name, target_is_directory=True)
    try:
        beside.replace(latest)
    finally:
        beside.unlink(missing_ok=True)
    return latest
