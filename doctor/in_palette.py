"""What Palette says: is it there, is it ours, and are the Edge hosts as a run needs them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from doctor import network
from doctor.findings import Finding, Kind
from harness.sites.base_profile import UnusableProfileError, find_base
from harness.sites.chosen_hosts import chosen
from harness.sites.leases import Lease
from harness.sites.packs import find_packs
from harness.sites.provider_kubernetes import QUICK, held_kubernetes
from harness.sites.site import connect
from harness.sites.site_file import BadSiteFileError
from palette import RetryPolicy
from palette.edge_hosts import HEALTHY, IN_USE, READY
from palette.errors import ForbiddenError, NotPaletteError, PaletteError, UnauthorizedError, UnreachableError

if TYPE_CHECKING:
    from harness.sites.site_file import SiteFile
    from palette import Palette
    from palette.client import ProjectView
    from palette.edge_hosts import RegisteredHost

#: Seconds between two clocks that spoil certificates and the order of events.
CLOCK_TOLERANCE = 60.0
#: Twice, quickly: a doctor is asked by somebody who waits.
PATIENCE = RetryPolicy(attempts=2, first_pause=0.5, give_up_after=5.0)
PROXY_VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@dataclass
class PaletteView:
    """What was found in Palette; ``file`` has every host by uid as far as Palette could be asked."""

    file: SiteFile
    findings: list[Finding] = field(default_factory=list)
    clock_difference: float | None = None


def refusal(file: SiteFile, patience: RetryPolicy) -> Finding | None:
    """Return why no run can begin: wrong URL, key, project or host; None also when Palette is merely in trouble."""
    try:
        with connect(file, patience) as palette:
            project = palette.in_project(file.project)
            chosen(file, project.edge_hosts.search())
            check_layers(file, project)
    except UnusableProfileError as error:
        return _of_profile(error)
    except PaletteError as error:
        found = _of_error(file, error)
        return found if found.kind is not Kind.PALETTE else None
    except LookupError as error:
        return _of_project(error)
    except BadSiteFileError as error:
        return _of_hosts(error)
    except ValueError as error:
        return _of_url(error)
    return None


def _of_hosts(error: BadSiteFileError) -> Finding:
    return Finding(Kind.NOT_REGISTERED, "edge_hosts", str(error), "register the hosts or correct the site file")


def check_layers(file: SiteFile, project: ProjectView) -> None:
    """Find the layers that a site's clusters are made of. Raises UnusableProfileError."""
    if file.profile is not None:
        find_base(project, file.profile).check_fit(held_kubernetes(file.provider_image, QUICK))
    else:
        find_packs(project, file.packs, held_kubernetes(file.provider_image))


def _of_profile(error: UnusableProfileError) -> Finding:
    return Finding(Kind.PROFILE, error.key, str(error), "correct the profile or the site file")


def _of_url(error: ValueError) -> Finding:
    return Finding(Kind.WRONG_URL, "palette.url", str(error), "correct the site file")


def _of_project(error: LookupError) -> Finding:
    return Finding(Kind.WRONG_PROJECT, "palette.project", str(error.args[0]), "name one of these, or ask for a role")


def look_at_palette(file: SiteFile) -> PaletteView:
    """Ask Palette for project, hosts and time; nothing is changed."""
    try:
        with connect(file, PATIENCE) as palette:
            return _ask(file, palette)
    except ValueError as error:
        return PaletteView(file, [_of_url(error)])


def _ask(file: SiteFile, palette: Palette) -> PaletteView:
    view = PaletteView(file)
    try:
        devices = list(palette.in_project(file.project).edge_hosts.search())
    except PaletteError as error:
        view.findings.append(_of_error(file, error))
    except LookupError as error:
        view.findings.append(_of_project(error))
    else:
        view.file, view.findings = _hosts(file, devices, palette.time() or datetime.now(UTC))
        view.findings += [*_of_layers(file, palette), *_of_network(view.file, palette, devices)]
    view.clock_difference = palette.scope.transport.clock_difference
    if view.clock_difference is not None and abs(view.clock_difference) > CLOCK_TOLERANCE:
        view.findings.append(_clock(view.clock_difference))
    return view


def _of_layers(file: SiteFile, palette: Palette) -> list[Finding]:
    try:
        check_layers(file, palette.in_project(file.project))
    except UnusableProfileError as error:
        return [_of_profile(error)]
    except PaletteError as error:
        return [_of_error(file, error)]
    return []


def _of_network(file: SiteFile, palette: Palette, devices: list[RegisteredHost]) -> list[Finding]:
    try:
        endpoints = palette.in_project(file.project).clusters.endpoints() if file.cluster.vips else frozenset()
    except PaletteError as error:
        return [_of_error(file, error)]
    return list(network.in_palette(file, devices, endpoints))


def _of_error(file: SiteFile, error: PaletteError) -> Finding:
    if isinstance(error, UnauthorizedError):
        return Finding(Kind.WRONG_KEY, "palette.api_key", f"{file.palette_url} refuses the key", error.advice)
    if isinstance(error, ForbiddenError):
        return Finding(Kind.WRONG_KEY, "palette.api_key", error.message, error.advice)
    if isinstance(error, UnreachableError | NotPaletteError) or error.status == 404:  # noqa: PLR2004 - no such API
        proxies = [name for name in PROXY_VARIABLES if os.environ.get(name)]
        hint = f" ({proxies[0]} is set on this machine; the harness goes directly, past it)" if proxies else ""
        return Finding(Kind.WRONG_URL, f"palette.url {file.palette_url}", error.message + hint, error.advice)
    return Finding(Kind.PALETTE, f"palette.url {file.palette_url}", error.message, error.advice)


def _clock(difference: float) -> Finding:
    found = f"Palette's clock is {off_by(difference)} of this machine's"
    return Finding(Kind.CLOCK, "this machine", found, "set the clock (timedatectl set-ntp true)")


def off_by(difference: float) -> str:
    """Return a difference of clocks in words: ``3600 s ahead``."""
    return f"{abs(difference):.0f} s {'ahead' if difference > 0 else 'behind'}"


def _hosts(file: SiteFile, devices: list[RegisteredHost], now: datetime) -> tuple[SiteFile, list[Finding]]:
    try:
        file = chosen(file, devices)
    except BadSiteFileError as error:
        return file, [_of_hosts(error)]
    known = {device.uid: device for device in devices}
    return file, [finding for uid in file.edge_hosts for finding in _of_host(uid, known, now)]


def _of_host(uid: str, known: dict[str, RegisteredHost], now: datetime) -> list[Finding]:
    if uid not in known:
        there = ", ".join(sorted(known)) or "none"
        found = f"the project has no such Edge host; it has: {there}"
        return [Finding(Kind.NOT_REGISTERED, f"host {uid}", found, "register the host or correct its uid")]
    device, findings = known[uid], []
    lease = Lease.read(device.labels)
    if lease is not None and lease.until > now:
        advice = f"wait for that run, or if it is dead: ./run clean --site FILE --run {lease.run}"
        findings.append(Finding(Kind.IN_USE, f"host {uid}", f"it is leased by {lease}", advice))
    if device.clusters or device.state == IN_USE:
        found = f"it belongs to cluster {', '.join(device.clusters) or '(unnamed)'}"
        findings.append(Finding(Kind.IN_USE, f"host {uid}", found, "delete that cluster, or list another host"))
    elif device.state != READY:
        found = f"its state is {device.state or 'unknown'}"
        findings.append(Finding(Kind.UNHEALTHY, f"host {uid}", found, f"wait until Palette calls it {READY}"))
    if device.health != HEALTHY:
        found = f"Palette calls it {device.health or 'of no known health'} {device.health_message}"
        advice = "see that the host has power and network, and that its agent runs"
        findings.append(Finding(Kind.UNHEALTHY, f"host {uid}", found, advice))
    return findings
