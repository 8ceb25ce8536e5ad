"""``./run clean --site FILE --run RUN``: finish what a dead run left in Palette, and touch nothing else.

What is removed stands in the ledger of the run: by uid, or by a name that the run meant to give together with the
run's label. Whatever else has a similar name stays. Afterwards Palette is looked at once more.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine import ownership
from engine.reach import EngineUnavailable
from engine.reach import connect as engine
from engine.trouble import TROUBLE
from foreign import visible
from foreign.arguments import Parser
from harness import ledger as ledgers
from harness.provider_images import ProviderImages, repository_of
from harness.removal import clear_verified, traces
from harness.sites.chosen_hosts import untouched_uids
from harness.sites.site import connect
from harness.sites.site_file import BadSiteFileError, SiteFile, read_site_file
from palette import RetryPolicy
from palette.errors import PaletteError
from registry.manifests import RegistryError
from reports import runs
from reports.text import plural
from reports.verdicts import ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from harness.ledger import Ledger
    from palette.client import ProjectView


class CannotCleanError(Exception):
    """This run cannot be cleaned up here; nothing was touched."""


_REFUSED = (
    CannotCleanError, BadSiteFileError, runs.NoSuchRunError, runs.RunTakenError, LookupError, OSError, ValueError,
    PaletteError, RegistryError,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Clean up; return 0 when nothing is left, 11 when something could not be removed, 4 when nothing was tried."""
    options = _parser().parse_args(arguments)
    try:
        site = read_site_file(options.site)
        folder = runs.find(options.run, options.runs_in)
        with runs.taken(folder):
            ledgers_of = _ledgers(folder, site)
            left = [line for made in ledgers_of for line in (*clean(site, made), *_clean_registry(site, made))]
    except _REFUSED as error:
        sys.stderr.write(visible(f"clean: {error}\n"))
        return ExitCode.SETUP
    for line in left:
        _say(f"still there: {line}")
    _clear_engine()
    _say(f"{plural(len(left), 'thing')} left of {options.run}" if left else f"nothing is left of {options.run}")
    return ExitCode.DEAD if left else ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    about = "Remove what a dead run left in Palette (clusters, profiles, macros, leases), and nothing else."
    parser = Parser(prog="./run clean", description=about)
    parser.add_argument("--site", metavar="FILE", type=Path, required=True, help="the site file of that run")
    parser.add_argument("--run", metavar="RUN", required=True, help="its id, the beginning of it, or its directory")
    parser.add_argument("--runs-in", metavar="DIR", type=Path, default=runs.HOME, help="where runs are kept")
    return parser


def _say(text: str) -> None:
    sys.stdout.write(visible(f"{text}\n"))


def _ledgers(folder: Path, site: SiteFile) -> list[Ledger]:
    """Return the ledgers of a run, those of its workers first: its leases go last."""
    paths = [*sorted(folder.glob(f"*-{ledgers.FILE_NAME}")), *folder.glob(ledgers.FILE_NAME)]
    if not paths:
        raise CannotCleanError(f"{folder.name}: the run never reached its site, so it made nothing there")
    return [_ledger(path, site) for path in paths]


def _ledger(path: Path, site: SiteFile) -> Ledger:
    ledger = ledgers.read(path)
    about = ledger.about
    if (about.get("palette"), about.get("project")) != (site.palette_url, site.project):
        there = f"{about.get('palette')}, project {about.get('project')}"
        raise CannotCleanError(f"{path.parent.name} ran on {there}; give that site's file, not {site.path.name}")
    if ownership.is_alive(about.get("process", "")):
        raise CannotCleanError(f"{path.parent.name} is still running; end it (Ctrl-C) and it cleans up by itself")
    return ledger


def clean(site: SiteFile, ledger: Ledger) -> list[str]:
    """Remove what a ledger says a run made; return a line for each thing that is still there. Raises PaletteError."""
    with connect(site, RetryPolicy()) as palette:
        project = palette.in_project(site.project)
        palette.scope.transport.never_change = untouched_uids(site, project)
        _find_what_was_not_noted(project, ledger)
        for kind, uid in ledger.entries:
            _say(f"removing {kind} {uid}")
        return clear_verified(project, ledger)


def _clean_registry(site: SiteFile, ledger: Ledger) -> list[str]:
    """Delete the run's images from an existing registry; their repository has the run's identity in its name."""
    if site.existing_registry is None or not ledger.about.get("run"):
        return []
    with site.existing_registry.client() as client:
        repository = repository_of(ledger.about["run"], site)
        _say(f"removing images in {client.address}/{repository}")
        return ProviderImages(client, site.provider_image, _say, client.address, repository).remove()


def _find_what_was_not_noted(project: ProjectView, ledger: Ledger) -> None:
    """Note what was asked for when the run was killed, and made after all."""
    for kind, uid, _ in list(traces(project, ledger)):
        if (kind, uid) not in ledger.entries:
            ledger.add(kind, uid)


def _clear_engine() -> None:
    """Remove what dead runs left on this machine's engine, if there is one."""
    try:
        for name in ownership.sweep(engine(lambda _message: None, provision=False), _say):
            _say(f"cleared on this machine: {name}")
    except EngineUnavailable:
        return
    except TROUBLE as error:
        _say(f"nothing was cleared on this machine: the Docker engine does not do what it is asked: {error}")


if __name__ == "__main__":
    sys.exit(main())
