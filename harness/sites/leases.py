"""Leases: a run that uses an Edge host says so on the host itself, so that no other run takes it.

Palette can only replace all labels of a host, and the last writer wins. So a run writes its name, lets
``Timeouts.lease_settle`` pass, in which every other run that saw the host free has written as well, and looks again:
whose name stands there has the host, everybody else leaves it. That needs no order among runs, which a lost write
could turn round. Writes are not repeated behind our back, and one that took longer than half that time does not count.
Times are Palette's, for machines that run the harness may differ.
"""

from __future__ import annotations

import getpass
import socket
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from palette.edge_hosts import EdgeHosts
from palette.errors import NotFoundError, PaletteError
from waiting.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from palette.client import ProjectView

OWNER, RUN, UNTIL = "conformance-owner", "conformance-run", "conformance-until"
_KEYS = (OWNER, RUN, UNTIL)
_FORM = "%Y%m%dT%H%M%SZ"
#: How long a lease stands without being renewed; a run renews three times as often.
LASTS = timedelta(minutes=30)
#: How often a run tries to write its name when Palette does not take it at once.
_TRIES = 8
_TOO_MANY = 429


@dataclass(frozen=True)
class Lease:
    """Who has a host, by which run, until when (UTC)."""

    owner: str
    run: str
    until: datetime

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Lease | None:
        """Read the lease that a host's labels tell of; a lease without a readable end has ended."""
        if not labels.get(RUN):
            return None
        try:
            until = datetime.strptime(labels.get(UNTIL, ""), _FORM).replace(tzinfo=UTC)
        except ValueError:
            until = datetime.min.replace(tzinfo=UTC)
        return cls(labels.get(OWNER, "somebody"), labels[RUN], until)

    def labels(self) -> dict[str, str]:
        """Return the labels that tell of it."""
        return {OWNER: self.owner, RUN: self.run, UNTIL: self.until.strftime(_FORM)}

    def __str__(self) -> str:
        return f"{self.owner}, run {self.run}, until {self.until:%Y-%m-%d %H:%M} UTC"


def owner() -> str:
    """Return who runs the harness where, as a label may hold it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a user without a name
        user = "unknown"
    return "".join(c if c.isalnum() or c in "-." else "-" for c in f"{user}.{socket.gethostname()}")[:63].strip("-.")


def is_of_another(labels: Mapping[str, str], run: str) -> bool:
    """Return whether a host's lease is of another run than this one, or than the one whose worker this is."""
    leased_by = labels.get(RUN) or run
    return not f"{run}-".startswith(f"{leased_by}-")


def release(edge_hosts: EdgeHosts, uid: str, run: str) -> None:
    """Remove this run's lease of a host; another run's stays. Raises PaletteError."""
    if run and edge_hosts.get(uid).labels.get(RUN) == run:
        edge_hosts.update_labels(uid, remove=_KEYS)


@dataclass
class Leases:
    """The leases of one run. Leaving it as a context manager ends the renewals and gives the hosts back.

    ``say`` hears of what a person should know: hosts that others have, and dead leases that were taken over.
    """

    project: ProjectView
    run: str
    say: Callable[[str], None]
    lasts: timedelta = LASTS
    held: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _renewer: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()

    def take(self, uids: Iterable[str]) -> list[str]:
        """Lease those of these hosts that nobody else has, and give them. Raises PaletteError."""
        wait = self.project.clusters.wait
        tried = [uid for uid in uids if self._write_our_name(uid)]
        if tried:
            wait.clock.sleep(wait.timeouts.lease_settle)
        self.held += [uid for uid in tried if self._is_ours(self.project.edge_hosts, uid)]
        return self.held

    def _write_our_name(self, uid: str) -> bool:
        """Write our name on a host that seems free; tells whether it stands there in time."""
        clock, at_once = self.project.clusters.wait.clock, self._without_repeats()
        for _ in range(_TRIES):
            try:
                if (told := self._try(at_once, uid)) is not None:
                    return told
            except NotFoundError:
                self.say(f"Edge host {uid} is not registered in the project")
                return False
            except PaletteError as error:
                if not (error.is_infrastructure or error.status == _TOO_MANY):
                    raise
            clock.sleep(self.project.clusters.wait.timeouts.first_look)
        self.say(f"Edge host {uid}: Palette did not take our name in {_TRIES} tries; the host is not used")
        return False

    def _without_repeats(self) -> EdgeHosts:
        """Return the hosts over a way that sends everything once: a write repeated late could overwrite a lease."""
        scope = self.project.scope
        transport = replace(scope.transport, retry=RetryPolicy(attempts=1))
        return EdgeHosts(replace(scope, transport=transport), self.project.clusters.wait)

    def _try(self, hosts: EdgeHosts, uid: str) -> bool | None:
        """Look and write once; None when that took so long that it does not count."""
        wait = self.project.clusters.wait
        began = wait.clock.now()
        host = hosts.get(uid)
        lease, now = Lease.read(host.labels), self._now()
        if lease and lease.run != self.run and lease.until > now:
            self.say(f"Edge host {uid} is leased: {lease}")
            return False
        if lease and lease.run != self.run:
            self.say(f"Edge host {uid}: taking over the lease of a dead run ({lease})")
        self._write(hosts, uid, host.labels, host.name)
        return True if wait.clock.now() - began <= wait.timeouts.lease_settle / 2 else None

    def _is_ours(self, hosts: EdgeHosts, uid: str) -> bool:
        lease = Lease.read(hosts.get(uid).labels)
        if lease and lease.run == self.run:
            return True
        self.say(f"Edge host {uid} went to another run at the same moment: {lease or 'nobody'}")
        return False

    def renew(self) -> list[str]:
        """Prolong every lease; return the hosts that are no longer ours. Raises PaletteError."""
        hosts, lost = self.project.edge_hosts, []
        for uid in list(self.held):
            host = hosts.get(uid)
            if self._stop.is_set():
                break  # what is given back must not be taken again
            if host.labels.get(RUN, self.run) == self.run:  # labels may have been replaced as a whole by anybody
                self._write(hosts, uid, host.labels, host.name)
            else:
                lost.append(uid)
                self.say(f"Edge host {uid} is no longer leased by this run: {Lease.read(host.labels) or 'by nobody'}")
        self.held = [uid for uid in self.held if uid not in lost]
        return lost

    def keep(self, every: float | None = None) -> None:
        """Renew in the background, ``every`` so many seconds, until the hosts are given back."""
        pause = self.lasts.total_seconds() / 3 if every is None else every
        self._renewer = threading.Thread(target=self._renew_for_ever, args=(pause,), name="leases", daemon=True)
        self._renewer.start()

    def _renew_for_ever(self, pause: float) -> None:
        while not self._stop.wait(pause):
            try:
                self.renew()
            except PaletteError as error:  # the next renewal comes well before the lease ends
                self.say(f"leases could not be renewed: {error}")

    def end(self) -> None:
        """End the renewals."""
        self._stop.set()
        if self._renewer is not None:
            self._renewer.join()

    def give_back(self) -> list[str]:
        """End the renewals and give every host back; return a line for each that could not be given back."""
        self.end()
        failed = []
        for uid in self.held:
            try:
                release(self.project.edge_hosts, uid, self.run)
            except PaletteError as error:
                failed.append(f"lease {uid}: {error}")
        self.held = []
        return failed

    def _write(self, hosts: EdgeHosts, uid: str, labels: Mapping[str, str], name: str) -> None:
        lease = Lease(owner(), self.run, self._now() + self.lasts)
        hosts.set_labels(uid, {**labels, **lease.labels()}, name=name)

    def _now(self) -> datetime:
        return self.project.time() or datetime.now(UTC)
