"""Going on with a run that was killed, interrupted or lost its connection."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import ownership
from harness import ledger as ledgers
from reports import results, runs
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sites.site_file import SiteFile
    from reports.records import CaseFinished, RunStarted

#: The name of the site in the record of a run that had none.
LAB = "lab"


class CannotResumeError(Exception):
    """The run cannot be gone on with; the message says why."""


@dataclass(frozen=True)
class Earlier:
    """A run that ended too early: where it is, how it began, and the cases that need no repetition.

    ``owner`` is the descriptor that keeps every other process from going on with it.
    """

    folder: Path
    started: RunStarted
    cases: tuple[CaseFinished, ...]
    owner: int

    @property
    def done(self) -> frozenset[str]:
        """The cases that are done. One that ended on a lost host or API has said nothing and is repeated."""
        return frozenset(case.case for case in self.cases)


def earlier(name: str, home: Path, site: SiteFile | None) -> Earlier:
    """Take the run that is to be resumed on a site (None: the lab), and read it.

    Raises CannotResumeError, NoSuchRunError, RunTakenError, and OSError where its files cannot be read.
    """
    folder = runs.find(name, home)
    owner = runs.take(folder)  # first: what is read now stays so
    try:
        return _read(folder, owner, site)
    except (CannotResumeError, OSError):
        os.close(owner)
        raise


def _read(folder: Path, owner: int, site: SiteFile | None) -> Earlier:
    found = results.load(folder)
    if not found.started.started:
        raise CannotResumeError(
            f"{folder.name}: the run ended before its first case; start a new one, and "
            f"give its hosts back with: ./run clean --site FILE --run {folder.name}"
        )
    cases = tuple(case for case in found.cases if case.verdict is not Verdict.DEAD)
    if not found.interrupted and len(cases) == len(found.cases):
        raise CannotResumeError(f"{folder.name}: the run came to its end; there is nothing to resume")
    about = [ledgers.read(ledger).about for ledger in folder.glob(f"*{ledgers.FILE_NAME}")]
    if any(ownership.is_alive(made.get("process", "")) for made in about):
        raise CannotResumeError(f"{folder.name}: the run is still going on")
    if told := _another_site(found.started, about, site):
        raise CannotResumeError(f"{folder.name} {told}")
    return Earlier(folder, found.started, cases, owner)


def _another_site(started: RunStarted, about: list[dict[str, str]], site: SiteFile | None) -> str:
    """Return where the run was, when that is not ``site``: there nothing of what it made would be found."""
    if site is None:
        return "" if started.site == LAB else f"ran on site {started.site}; name its file with --site"
    elsewhere = {(made.get("palette"), made.get("project")) for made in about} - {(site.palette_url, site.project)}
    for palette, project in elsewhere:
        return f"ran on {palette}, project {project}; give that site's file, not {site.path.name}"
    if not about and started.site != site.name:
        return f"ran on site {started.site}; give that site's file, not {site.path.name}"
    return ""
