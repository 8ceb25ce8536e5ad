"""Progress that a person can follow: which host is in which phase for how long, and what remains.

Nothing is said while cases are quick: a line comes when the running case has taken ``PATIENCE`` seconds, and again
after as many.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reports.text import duration

if TYPE_CHECKING:
    from harness.clusters import Cluster

PATIENCE = 20.0
Say = Callable[[str], None]


@dataclass
class Progress:
    """What happens now. ``expected`` has the seconds that each case is thought to take, in their order."""

    expected: dict[str, float]
    say: Say
    patience: float = PATIENCE
    now: Callable[[], float] = time.monotonic
    _case: str = ""
    _began: float = 0.0
    _phases: dict[str, tuple[str, float]] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _spent: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)
    _speaks: bool = False

    def begin(self, case: str) -> None:
        """Note that a case begins."""
        self._case, self._began, self._phases = case, self.now(), {}
        if not self._speaks:
            self._speaks = True
            threading.Thread(target=self._speak, name="progress", daemon=True).start()

    def end(self, case: str) -> None:
        """Note that a case is over."""
        self._done.add(case)
        self._spent += self.now() - self._began
        self._case = ""

    def elsewhere(self, case: str) -> None:
        """Note that a case is over in another lane."""
        self._done.add(case)

    def phase(self, cluster: Cluster, name: str) -> None:
        """Note a phase of a cluster, as a site's watcher; an empty name is the cluster's end."""
        for host in cluster.hosts:
            if name:
                self._phases[host.uid] = (name, self.now())
            else:
                self._phases.pop(host.uid, None)

    def line(self) -> str:
        """Return what happens now, empty while the running case is quick."""
        now, case = self.now(), self._case
        if not case or now - self._began < self.patience:
            return ""
        hosts = [f"{uid} {name} for {duration(now - since)}" for uid, (name, since) in list(self._phases.items())]
        where = ", ".join(hosts) or "no cluster"
        return f"{case.rpartition('::')[2]}, {duration(now - self._began)}: {where}; {self.count()}"

    def count(self) -> str:
        """Return how much is done and how long the rest may take."""
        done = f"{len(self._done)} of {len(self.expected)} cases done"
        return f"{done}, about {duration(self.remaining())} left"

    def remaining(self) -> float:
        """Return the seconds that are left: what was expected, corrected by how wrong it was so far."""
        known = sum(seconds for case, seconds in self.expected.items() if case in self._done)
        pace = self._spent / known if known and self._spent else 1.0
        left = sum(seconds for case, seconds in self.expected.items() if case not in self._done)
        running = self.now() - self._began if self._case else 0.0
        return max(0.0, left * pace - min(running, self.expected.get(self._case, 0.0) * pace))

    def stop(self) -> None:
        """Be silent from now on."""
        self._stop.set()

    def _speak(self) -> None:
        while not self._stop.wait(self.patience):
            if line := self.line():
                self.say(line)
