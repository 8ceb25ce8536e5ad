"""Clusters as a case uses them: deploy, move to a new profile version, repave, look, clean up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

import pytest

from edge import HostUnreachable, Mode
from harness.errors import ErrorWatch, causes_of
from harness.repaved import RepaveWatch
from palette.cluster_request import AttachedProfile
from palette.errors import PaletteError
from palette.os_layer import PACK
from palette.waiting import WaitError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from edge import BootFacts, EdgeHost
    from harness.errors import ErrorCause
    from harness.sites.site import Site
    from palette.cluster_facts import Overview, RepaveForecast
    from palette.events import Event
    from palette.os_layer import OsLayer

DEPLOY, REPAVE = "deploy", "repave"
_NEVER = datetime.max.replace(tzinfo=UTC)


class NotCleanedUpError(Exception):
    """Palette did not remove a cluster or profile in time; the run's end tries it again."""


#: What cleaning up may fail with while a case is none the worse for it.
NOT_CLEANED_UP = (NotCleanedUpError, PaletteError, WaitError, HostUnreachable)


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


def new_version(site: Site, profile: str, version: str, layer: OsLayer) -> str:
    """Create and publish the next version of a profile with another OS layer; return its uid."""
    values = layer.values() if site.base is None else site.base.values.with_layer(layer)
    uid = site.project.profiles.new_version(profile, version, {PACK: values})
    site.ledger.add("profile", uid)
    return uid


@dataclass
class Cluster:
    """A cluster of this run. Leaving it as a context manager deletes it.

    ``hosts`` come control plane first. ``boots`` holds each host's boot as it was before the last change, ``sightings``
    the states that Palette told and the boots that were seen. ``refused`` says that a failure was waited for, and seen.
    Pulls before ``since`` are another case's.
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
    refused: bool = False
    since: datetime | None = None
    _earlier: list[tuple[str, OsLayer]] = field(default_factory=list)
    _phase_began: datetime | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None) -> None:
        """Delete the cluster after its case, which ended with ``error``; that it cannot be deleted is noted only."""
        try:
            self.delete(failed=isinstance(error, (Exception, pytest.fail.Exception)))  # the latter is no Exception
        except Exception as trouble:
            if error is None and not isinstance(trouble, NOT_CLEANED_UP):
                raise
            self.site.evidence.note(f"clean-up of cluster {self.name}: {trouble}")

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
        new = new_version(self.site, self.profile, f"1.{len(self.versions)}.0", layer)
        self.versions.append(new)
        self._take(new, layer)

    def roll_back(self, *, phase: str = REPAVE) -> None:
        """Move to the profile version before the present one, repave, and wait until it is done; raises as repave."""
        self.begin_roll_back(phase=phase)
        self.confirm_repave()

    def begin_roll_back(self, *, phase: str = REPAVE) -> None:
        """Move to the profile version before the present one and let the repave begin, without waiting for its end."""
        version, layer = self._earlier[-1]
        self.site.evidence.repaved += 1
        self.site.enter_phase(self, phase, layer.image)
        self._phase_began = self.site.project.time()
        self._look_at_boots()
        self._take(version, layer)
        self.approve()

    def _take(self, version: str, layer: OsLayer) -> None:
        clusters, variables = self.site.project.clusters, self.site.variables
        clusters.replace_profile(self.uid, old=self.profile, new=version, variables=variables)
        self._earlier.append((self.profile, self.layer))
        self.profile, self.layer = version, layer

    def approve(self) -> None:
        """Wait for the repave to be planned, and let it begin."""
        self.site.project.clusters.wait_for_repave(self.uid)
        self.site.project.clusters.approve_repave(self.uid)

    def begin_repave(
        self, layer: OsLayer, *, phase: str = REPAVE, planned: Callable[[], object] = lambda: None
    ) -> None:
        """Move to ``layer`` and let the repave begin, without waiting for its end.

        ``phase`` is for cases that tell one repave of a cluster from another; ``planned`` is called before approval.
        """
        self.site.evidence.repaved += 1
        self.begin_pull(layer, phase=phase, planned=planned)

    def begin_pull(self, layer: OsLayer, *, phase: str = REPAVE, planned: Callable[[], object] = lambda: None) -> None:
        """Do the same with a layer whose image is not there: its pull is tried, and no host boots."""
        self.site.enter_phase(self, phase, layer.image)
        self._phase_began = self.site.project.time()
        self.move_to(layer)
        planned()
        self.approve()

    def repave(self, layer: OsLayer, *, phase: str = REPAVE) -> None:
        """Repave to ``layer`` and wait until it is done on every host.

        Raises:
            VacuousPhase: Palette says it is done and a host never started another system.
            WaitTimeoutError: it is not done in time.

        """
        self.begin_repave(layer, phase=phase)
        self.confirm_repave()

    def confirm_repave(self) -> None:
        """Wait until a repave that has begun is done on every host; raises as :meth:`repave`."""
        self.wait_until_repaved()
        for host in self.hosts:
            if self.boot_of(host).boot_id == self.boots[host.uid].boot_id:
                raise VacuousPhase(f"Palette calls the repave of {self.name} done, and {host.uid} has not rebooted")

    def try_repave(self, layer: OsLayer, *, about: str = "") -> bool:
        """Begin a repave and wait until it is done, or until an error stays. Return whether it is done.

        ``about`` is a text that the event must have, as for :meth:`fails`.
        """
        self.begin_repave(layer)
        return self.repaves_or_fails(about or layer.image)

    def repaves_or_fails(self, about: str = "") -> bool:
        """Wait until the repave is done, or until an error stays. Return whether it is done."""
        watch = RepaveWatch(self)
        return not self._ends_in(
            f"cluster {self.name} to be repaved, or to say why not",
            lambda: watch.look().is_done,
            about,
            self._repave_time,
        )

    def runs_or_fails(self) -> bool:
        """Wait until the cluster is Running and healthy, or until an error stays. Return whether it runs."""
        clusters = self.site.project.clusters
        return not self._ends_in(
            f"cluster {self.name} to run, or to say why not",
            lambda: clusters.overview(self.uid).is_ready,
            "",
            clusters.wait.timeouts.cluster_running,
        )

    def first_host_boots_or_fails(self) -> bool:
        """Wait until the first host has pulled and left its old system, or an error stays. Return whether it left."""

        def has_left() -> bool:
            if not any(pull.is_served for pull in self.site.evidence.pulls_of(self)):
                return False
            try:
                return self.boot_of(self.host).boot_id != self.boots[self.host.uid].boot_id
            except (HostUnreachable, ValueError):  # it is down
                return True

        what = f"host {self.host.uid} to leave its old system, or cluster {self.name} to say why not"
        return not self._ends_in(what, has_left, "", self._repave_time)

    @property
    def _repave_time(self) -> float:
        return self.site.project.clusters.wait.timeouts.repave

    def _ends_in(self, what: str, is_done: Callable[[], bool], about: str, within: float) -> list[Event]:
        """Return the errors that stayed; none when it came right.

        An error event is a hint: what a controller tries again may come right a moment later. So the state decides that
        remains, see :class:`harness.errors.ErrorWatch`.
        """
        wait, watch = self.site.project.clusters.wait, ErrorWatch(self, is_done, about, within)
        seen = wait.until(what, watch.look, lambda seen: seen.is_settled, within=within)
        if seen.is_done:
            if seen.errors:
                self.site.evidence.note(f"an error event, then all was well: {seen.errors[0].message}")
            return []
        self.site.evidence.refusals += 1
        self.refused = True
        return seen.errors

    def forecast(self, layer: OsLayer) -> RepaveForecast:
        """Ask Palette whether moving to ``layer`` would repave the cluster; nothing is changed."""
        version = f"1.{len(self.versions)}.0"
        new = new_version(self.site, self.profile, version, layer)
        self.versions.append(new)
        moved = AttachedProfile(new, replaces=self.profile, variables=self.site.variables)
        return self.site.project.clusters.would_repave(self.uid, [moved])

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

    def events(self, since: datetime | None = None) -> list[Event]:
        """Return the cluster's events, oldest first; those without a time stand where Palette has them."""
        found = list(self.site.project.events.of_cluster(self.uid, since=since))[::-1]
        timed = iter(sorted((event for event in found if event.at is not None), key=lambda event: event.at or _NEVER))
        return [event if event.at is None else next(timed) for event in found]

    def errors(self) -> list[Event]:
        """Return the events of the present phase that report something wrong, oldest first."""
        seen = self.events(self._phase_began)
        return [event for event in seen if event.is_error]

    def errors_about(self, about: str) -> list[Event]:
        """Return those of them that have the text ``about``, or that name no image of this cluster at all.

        Palette before 4.10 keeps the first line of a message only, and the image stands in a later one.
        """
        ours = {self.layer.image, *(layer.image for _version, layer in self._earlier)}
        told = re.compile(rf"{re.escape(about)}(?![\w.-]*\w)")  # no longer tag that begins with it
        return [e for e in self.errors() if told.search(e.message) or not any(image in e.message for image in ours)]

    def wait_for_error(self, *causes: ErrorCause, about: str = "") -> Event:
        """Wait for the first event that reports something wrong, for one of these causes if any is given.

        It may still come right afterwards; :meth:`fails` is for what must not. Raises WaitTimeoutError, AssertionError.
        """
        wait = self.site.project.clusters.wait
        found = wait.until(
            f"an event of cluster {self.name} that says what is wrong{f' with {about}' if about else ''}",
            lambda: self.errors_about(about),
            bool,
            within=wait.timeouts.cluster_running,
            state=lambda events: f"{len(events)} events",
        )
        self.refused = True
        self.site.evidence.refusals += 1
        return self._because(causes, found)

    def errors_after(self, act: Callable[[], object]) -> list[Event]:
        """Do something and wait for a pull that fails after it; return the errors, none if it runs."""
        act()
        before, clusters = len(self.errors()), self.site.project.clusters
        clusters.wait.until(
            f"cluster {self.name} to try its pull again",
            lambda: len(self.errors()) > before or clusters.overview(self.uid).is_ready,
            bool,
            within=clusters.wait.timeouts.cluster_running,
        )
        if found := self.errors()[before:]:
            self.refused = True
            self.site.evidence.refusals += 1
        return found

    def fails(self, *causes: ErrorCause, about: str = "") -> Event:
        """Wait for the cluster, or its repave, to fail for one of these causes and to stay so; return the event.

        ``about`` is a text that the event must have, such as an image. Raises WaitTimeoutError; AssertionError when it
        comes right after all, or fails for another cause.
        """
        repaves = self.phases[-1].name != DEPLOY
        came_right = self.repaves_or_fails(about) if repaves else self.runs_or_fails()
        expected = causes[0].expectation
        assert not came_right, f"the cluster runs {self.layer.image}, although {expected}"
        served = [pull for pull in self.site.evidence.pulls_of(self) if pull.is_served]
        assert not served, f"host {served[0].host} was given {served[0].what}, although {expected}"
        return self._because(causes, self.errors_about(about))

    def _because(self, causes: tuple[ErrorCause, ...], errors: list[Event]) -> Event:
        """Return the event that tells of one of these causes; one that was cut may tell of none."""
        if not causes:
            return errors[0]
        said = " or ".join(cause.value for cause in causes)
        fitting = [event for event in errors if not set(causes).isdisjoint(causes_of(event.message))]
        others = [event for event in errors if causes_of(event.message)]
        assert fitting or not others, f"the event gives another reason than {said}: {others[0].message}"
        statuses = {pull.status for pull in self.site.evidence.pulls_of(self)}
        assert not statuses or any(cause.shows_in(statuses) for cause in causes), (
            f"the events tell of {said}, and the registry answered {', '.join(map(str, sorted(statuses)))}"
        )
        return (fitting or errors)[0]

    def wrong_boot(self, image: str = "") -> str:
        """Return which host runs another image than ``image`` (the profile's), or not from its active slot; else ""."""
        right = image or self.layer.image
        for host in self.hosts:
            booted = self.boot_told_by(host)
            if booted and not booted.image.endswith(right.rpartition(":")[2]):
                return f"{host.uid} runs {booted.image}; the profile has {right}"
            if booted and (booted.slot, booted.upgrade_failure) != ("active", False):
                return f"{host.uid} booted slot {booted.slot}"
        return ""

    def boot_told_by(self, host: EdgeHost) -> BootFacts | None:
        """Look at which image a host has booted; None in agent mode, where no page says how that is to be seen."""
        boot = self.boot_of(host)
        if boot.names_image or host.layout().mode is not Mode.AGENT:
            return boot
        said = f"host {host.uid} is in {Mode.AGENT}: no page says how such a host tells which provider image it runs"
        self.site.evidence.undocumented.append(said)
        return None

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
