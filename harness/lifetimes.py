"""What a run holds for as long as it lives: its ledger on the disk, and its leases of Edge hosts."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine import ownership
from harness import ledger as ledgers
from harness.interrupts import end_session
from harness.ledger import Ledger
from harness.removal import clear_verified
from harness.sites.leases import Leases
from harness.sites.site import Site
from palette.errors import PaletteError
from palette.waiting import WaitError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.run import Run
    from harness.sites.site_file import SiteFile


def open_ledger(run: Run, site: SiteFile) -> Ledger:
    """Return the ledger in the run's directory; one that is there already, of a run that is resumed, goes on."""
    path = run.folder / (f"{run.worker}-{ledgers.FILE_NAME}" if run.worker else ledgers.FILE_NAME)
    ledger = ledgers.read(path) if path.exists() else Ledger(path)
    process = ownership.process_identity(os.getpid())
    ledger.begin(run=run.site_id, palette=site.palette_url, project=site.project, process=process)
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


@dataclass
class SharedHosts:
    """The Edge hosts of a site that the workers of a run share, leased by the run's first process."""

    site: Site
    run: Run

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that the run has."""
        return tuple(self.site.hosts)

    def given(self, slot: int) -> dict[str, Any]:
        """Return what a worker must know of the site: the run's hosts, its own registry's port and its own VIP."""
        ports, vips = self.site.file.registry_ports, self.site.file.cluster.vips
        own = [vips[slot]] if slot < len(vips) < len(self.hosts) else list(vips)
        return {"hosts": list(self.hosts), "port": ports[slot] if ports else 0, "vips": own}

    def clear(self, worker: str, hosts: list[str]) -> list[str]:
        """Remove what a lost worker left, and return those of its hosts that are free again."""
        for line in self._clear(self.run.folder / f"{worker}-{ledgers.FILE_NAME}"):
            self.run.left_behind.append(line)
        return [uid for uid in hosts if self._is_free(uid)]

    def clear_all(self) -> list[str]:
        """Remove what lost workers left; return a line for each thing that could not be removed."""
        return [line for path in sorted(self.run.folder.glob(f"*-{ledgers.FILE_NAME}")) for line in self._clear(path)]

    def _clear(self, path: Path) -> list[str]:
        return clear_verified(self.site.project, ledgers.read(path)) if path.exists() else []

    def _is_free(self, uid: str) -> bool:
        try:
            return self.site.project.edge_hosts.wait_until_free(uid).is_free
        except (PaletteError, WaitError):
            return False


@contextmanager
def hosts_of_a_site(run: Run, say: Callable[[str], None]) -> Iterator[SharedHosts]:
    """Lease the hosts of a run's site for its workers; without any, or without Palette, the session ends at once."""
    file = run.options.site
    if file is None:
        raise ValueError("a run on labs has no site file")
    try:
        opened = Site.open(file, run.site_id, open_ledger(run, file), run.evidence)
    except PaletteError as error:
        end_session(f"bad set-up: {file.path.name}: {error}")
    with opened:
        shared = SharedHosts(opened, run)
        for line in shared.clear_all() if run.options.resume else ():
            say(f"of what the run had left before it was resumed, this is still there: {line}")
        with ExitStack() as leased:
            try:
                leased.enter_context(leased_hosts(opened, say))
            except PaletteError as error:
                end_session(f"bad set-up: {file.path.name}: {error}")
            try:
                yield shared
            finally:
                run.left_behind += shared.clear_all()
        run.left_behind += opened.clear()
