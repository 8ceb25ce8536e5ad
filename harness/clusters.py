"""Clusters as a case uses them: deploy, move to a new profile version, repave, look, clean up."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from harness.repaved import RepaveWatch
from palette.cluster_request import AttachedProfile
from palette.waiting import WaitTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edge import BootFacts, EdgeHost
    from harness.sites.site import Site
    from palette.cluster_facts import Overview, RepaveForecast
    from palette.events import Event
    from palette.os_layer import OsLayer

DEPLOY, REPAVE = "deploy", "repave"


class VacuousPhase(Exception):  # noqa: N818 - it names what happened: nothing
    """A phase that was asked for did not really happen, so nothing was proven about it."""


@dataclass(frozen=True)
class Phase:
    """A phase of a cluster's life: its name and when it began (UTC); it ends where the next one begins."""

    name: str
    began: datetime
    label: str


@dataclass(frozen=True)
class Sighting:
    """Something that the harness saw itself: what, when (UTC), and on which host; "" for what Palette says."""

    what: str
    at: datetime
    host: str = ""


@dataclass
class Cluster:
    """A cluster of this run. Leaving it as a context manager deletes it.

    ``hosts`` come control plane first. ``boots`` holds each host's boot as it was before the last change, ``sightings``
    the states that Palette told and the boots that were seen.
    """

    site: Site
    uid: str
    name: str
    profile: str
    layer: OsLayer
    hosts: tuple[EdgeHost, ...]
    versions: list[str]
    phases: list[Phase] = field(default_factory=list)
    boots: dict[str, BootFacts] = field(default_factory=dict)
    sightings: list[Sighting] = field(default_factory=list)
    deleted: bool = False
    _earlier: list[tuple[str, OsLayer]] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.delete(failed=error is not None)

    @property
    def host(self) -> EdgeHost:
        """The first control-plane host."""
        return self.hosts[0]

    # --- what happens to it ------------------------------------------------------------------------------------------

    def wait_until_running(self) -> Overview:
        """Wait until Palette calls the cluster Running and healthy. Raises WaitTimeoutError, WaitAbortedError."""
        overview = self.site.project.clusters.wait_until_running(self.uid)
        self.saw(str(overview))
        return overview

    def move_to(self, layer: OsLayer) -> None:
        """Put ``layer`` into a new, published profile version and move the cluster to it; approves nothing."""
        self._look_at_boots()
        new = self.site.new_version(self.profile, f"1.{len(self.versions)}.0", layer)
        self.versions.append(new)
        self._take(new, layer)

    def roll_back(self) -> None:
        """Move to the profile version before the present one, repave, and wait until it is done; raises as repave."""
        version, layer = self._earlier[-1]
        self.site.enter_phase(self, REPAVE, layer.image)
        self._look_at_boots()
        self._take(version, layer)
        self.approve()
        self._finish_repave()

    def _take(self, version: str, layer: OsLayer) -> None:
        self.site.project.clusters.replace_profile(self.uid, old=self.profile, new=version)
        self._earlier.append((self.profile, self.layer))
        self.profile, self.layer = version, layer

    def approve(self) -> None:
        """Wait for the repave to be planned, and let it begin."""
        self.site.project.clusters.wait_for_repave(self.uid)
        self.site.project.clusters.approve_repave(self.uid)

    def begin_repave(self, layer: OsLayer, *, phase: str = REPAVE) -> None:
        """Move to ``layer`` and let the repave begin, without waiting for its end.

        ``phase`` is for cases that tell one repave of a cluster from another.
        """
        self.site.enter_phase(self, phase, layer.image)
        self.move_to(layer)
        self.approve()

    def repave(self, layer: OsLayer, *, phase: str = REPAVE) -> None:
        """Repave to ``layer`` and wait until it is done on every host.

        Raises:
            VacuousPhase: Palette says it is done and a host never started another system.
            WaitTimeoutError: it is not done in time.

        """
        self.begin_repave(layer, phase=phase)
        self._finish_repave()

    def _finish_repave(self) -> None:
        self.wait_until_repaved()
        for host in self.hosts:
            if self.boot_of(host).boot_id == self.boots[host.uid].boot_id:
                raise VacuousPhase(f"Palette calls the repave of {self.name} done, and {host.uid} has not rebooted")

    def try_repave(self, layer: OsLayer, *, about: str = "") -> bool:
        """Begin a repave and wait until it is done or an event says what is wrong. Tells whether it is done.

        ``about`` is a text that the event must have, as for :meth:`wait_for_error`.
        """
        began = self.site.project.time()
        self.begin_repave(layer)
        clusters, watch = self.site.project.clusters, RepaveWatch(self)
        return clusters.wait.until(
            f"cluster {self.name} to be repaved, or to say why not",
            lambda: (watch.look().is_done, self._errors_since(began, about)),
            lambda seen: seen[0] or bool(seen[1]),
            within=clusters.wait.timeouts.repave,
        )[0]

    def runs_or_fails(self) -> bool:
        """Wait until the cluster is Running and healthy, or an event says what is wrong. Tells whether it runs."""
        clusters = self.site.project.clusters
        return clusters.wait.until(
            f"cluster {self.name} to run, or to say why not",
            lambda: (clusters.overview(self.uid).is_ready, self.errors()),
            lambda seen: seen[0] or bool(seen[1]),
            within=clusters.wait.timeouts.cluster_running,
        )[0]

    def forecast(self, layer: OsLayer) -> RepaveForecast:
        """Ask Palette whether moving to ``layer`` would repave the cluster; nothing is changed."""
        version = f"1.{len(self.versions)}.0"
        new = self.site.new_version(self.profile, version, layer)
        self.versions.append(new)
        return self.site.project.clusters.would_repave(self.uid, [AttachedProfile(new, replaces=self.profile)])

    def wait_until_repaved(self) -> Overview:
        """Wait until a repave is done, as ``harness.repaved`` says what done means. Raises WaitTimeoutError."""
        wait, watch = self.site.project.clusters.wait, RepaveWatch(self)
        what = f"cluster {self.name} to be repaved"
        return wait.until(what, watch.look, lambda seen: seen.is_done, within=wait.timeouts.repave).overview

    def delete(self, *, failed: bool = False) -> None:
        """Delete the cluster and its profile versions, once; after a failure with its hosts' diagnostics."""
        if self.deleted:
            return
        self.deleted = True
        self.site.remove_cluster(self, failed=failed)

    # --- what can be seen of it --------------------------------------------------------------------------------------

    def state(self) -> str:
        """Return the cluster's state as Palette tells it."""
        return self.site.project.clusters.state(self.uid)

    def events(self) -> list[Event]:
        """Return the cluster's events, oldest first."""
        return list(self.site.project.events.of_cluster(self.uid))[::-1]

    def errors(self) -> list[Event]:
        """Return the events that report something wrong, oldest first."""
        return [event for event in self.events() if event.severity == "Error" or event.reason.startswith("Failed")]

    def _errors_since(self, began: datetime | None, about: str) -> list[Event]:
        since = (event for event in self.errors() if began is None or event.at is None or event.at >= began)
        return [event for event in since if about in event.message]

    def wait_for_error(self, since: datetime | None = None, about: str = "") -> Event:
        """Wait for the first event that reports something wrong, and give it. Raises WaitTimeoutError.

        ``about`` is a text that the event must have, such as an image: it tells one failure from the one before.
        """
        wait = self.site.project.clusters.wait
        found = wait.until(
            f"an event of cluster {self.name} that says what is wrong{f' with {about}' if about else ''}",
            lambda: self._errors_since(since, about),
            bool,
            within=wait.timeouts.cluster_running,
            state=lambda events: f"{len(events)} events",
        )
        return found[0]

    def wrong_boot(self) -> str:
        """Return which host runs another image than the profile has; an empty text when none does."""
        tag = self.layer.image.rpartition(":")[2]
        booted = {host.uid: self.boot_of(host).image for host in self.hosts}
        wrong = (f"{uid} runs {image}" for uid, image in booted.items() if not image.endswith(tag))
        return next((f"{what}; the profile has {self.layer.image}" for what in wrong), "")

    def never_runs(self, seconds: float) -> bool:
        """Watch for a while: True when the cluster did not become Running and healthy."""
        try:
            self.site.project.clusters.wait_until_running(self.uid, within=seconds)
        except WaitTimeoutError:
            return True
        return False

    def boot_of(self, host: EdgeHost) -> BootFacts:
        """Look at a host's boot. Raises HostUnreachable, ValueError."""
        boot = host.boot()
        if boot.began is not None:
            self.saw(f"boots {boot.image}, {boot.slot}", at=boot.began, host=host.uid)
        return boot

    def saw(self, what: str, *, at: datetime | None = None, host: str = "") -> None:
        """Remember what was seen, once for as long as it is so."""
        last = next((seen.what for seen in reversed(self.sightings) if seen.host == host), "")
        if what != last:
            self.sightings.append(Sighting(what, at or datetime.now(UTC), host))

    def _look_at_boots(self) -> None:
        self.boots = {host.uid: self.boot_of(host) for host in self.hosts}


def settled(look: Callable[[], bool], within: float) -> bool:
    """Look until it is true or the time is up."""
    deadline = time.monotonic() + within
    while not look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
