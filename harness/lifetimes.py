"""What a run holds for as long as it lives: its ledger on the disk, and its leases of Edge hosts."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine import ownership
from harness import ledger as ledgers
from harness.interrupts import end_session
from harness.ledger import Ledger
from harness.removal import clear_verified
from harness.sites.leases import Leases

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.run import Run
    from harness.sites.site import Site
    from harness.sites.site_file import SiteFile


def open_ledger(run: Run, site: SiteFile) -> Ledger:
    """Return the ledger in the run's directory; one that is there already, of a run that is resumed, goes on."""
    path = run.folder / (f"{run.worker}-{ledgers.FILE_NAME}" if run.worker else ledgers.FILE_NAME)
    ledger = ledgers.read(path) if path.exists() else Ledger(path)
    process = ownership.process_identity(os.getpid())
    ledger.begin(run=run.short_id, palette=site.palette_url, project=site.project, process=process)
    return ledger


@contextmanager
def leased_hosts(site: Site, say: Callable[[str], None]) -> Iterator[Leases]:
    """Lease the site's hosts and leave it those that nobody else has; without any the session ends at once."""
    if site.ledger.names:
        for line in clear_verified(site.project, site.ledger):
            say(f"of what the run had left before it was resumed, this is still there: {line}")
    leases = Leases(site.project, site.run, say)
    for uid in site.hosts:
        site.ledger.meant("lease", uid)
    taken = leases.take(site.hosts)
    for uid in taken:
        site.ledger.add("lease", uid)
    if not taken:
        said = "bad set-up: every Edge host of the site is used by other runs, see above"
        end_session(f"{said}; './run doctor --site FILE' names them, './run clean' ends a dead one's lease")
    for uid in set(site.hosts) - set(taken):
        site.hosts.pop(uid).close()
    leases.keep()
    try:
        yield leases
    finally:
        leases.end()
        site.clear()
