"""When a repave is done: what Palette says, and what the hosts say themselves.

A cluster that is about to be repaved goes on being called Running and healthy for a while, for that is what it was. So
done means four things: state, health, the profile version in force, and another boot on every host. A Palette that
keeps saying "done" while a host never rebooted is believed after ``Timeouts.stale_state`` seconds, so that the case
can judge what happened instead of waiting for ever. A host that does not answer yet has ``Timeouts.edge_host_ready``,
or half of ``Timeouts.repave`` where that is less; then it counts as gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge import HostUnreachable

if TYPE_CHECKING:
    from edge import EdgeHost
    from harness.clusters import Cluster
    from palette.cluster_facts import Overview


@dataclass(frozen=True)
class RepaveProgress:
    """One look at a repave. ``waiting`` says what is still missing, empty when the repave is done."""

    overview: Overview
    waiting: str

    @property
    def is_done(self) -> bool:
        """Return whether nothing is missing."""
        return not self.waiting

    def __str__(self) -> str:
        return f"{self.overview}{f', {self.waiting}' if self.waiting else ''}"


class RepaveWatch:
    """Looks at the repave of one cluster until it is done; what was seen on a host once is not asked again."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._clusters = cluster.site.project.clusters
        self._left = list(cluster.hosts)
        self._said_done: float | None = None
        self._is_away = False

    def look(self) -> RepaveProgress:
        """Look at Palette, and at the hosts once Palette says that it is done. Raises PaletteError."""
        overview = self._clusters.overview(self._cluster.uid)
        self._cluster.saw(str(overview))
        return RepaveProgress(overview, self._missing(overview))

    def _missing(self, overview: Overview) -> str:
        if not overview.is_ready:
            self._said_done = None
            return "not ready"
        if self._cluster.profile not in self._clusters.profiles(self._cluster.uid):
            return "another profile version is attached"
        self._is_away = False
        self._left = [host for host in self._left if not self._started_anew(host)]
        if not self._left or self._believed():
            return ""
        return f"no new boot of {', '.join(host.uid for host in self._left)}"

    def _believed(self) -> bool:
        wait = self._clusters.wait
        now = wait.clock.now()
        self._said_done = self._said_done or now
        timeouts = wait.timeouts
        silence = min(timeouts.edge_host_ready, timeouts.repave / 2)  # it ends while the repave may still take time
        return now - self._said_done >= (silence if self._is_away else timeouts.stale_state)

    def _started_anew(self, host: EdgeHost) -> bool:
        before = self._cluster.boots.get(host.uid)
        try:
            return before is None or self._cluster.boot_of(host).boot_id != before.boot_id
        except (HostUnreachable, ValueError):
            self._is_away = True  # it may be going down right now, or log nobody in yet
            return False
