"""``python -m doctor --site FILE``: exit 0 when nothing stands in a run's way, else 4."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from doctor import network
from doctor.findings import Finding, Kind
from doctor.from_host import HostView, look_from_host
from doctor.image import ImageFacts, look_at_image
from doctor.in_palette import look_at_palette
from doctor.listener import Listener, listening
from engine.tempdirs import clear_abandoned, temporary_directory
from foreign.arguments import Parser
from harness.existing_registry import trouble_with
from harness.sites.site import edge_host
from harness.sites.site_file import BadSiteFileError, read_site_file
from reports.text import plural, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge import EdgeHost
    from harness.sites.site_file import SiteFile

GOOD, BAD = 0, 4
#: Hosts that are looked at side by side.
AT_ONCE = 8


def examine(file: SiteFile) -> list[Finding]:
    """Look at everything that a site file names and change nothing; return what stands in a run's way."""
    clear_abandoned()
    palette = look_at_palette(file)
    image = look_at_image(file.provider_image)
    found = [*palette.findings, *([image] if isinstance(image, Finding) else [])]
    facts = image if isinstance(image, ImageFacts) else None
    if palette.file.sought:
        said = "hosts that are named otherwise than by uid were not looked at, for Palette did not say who they are"
        found.append(Finding(Kind.NOT_CHECKED, "edge_hosts", said, "mend what stands above first"))
    found += _existing_registry(file)
    with ExitStack() as stack:
        names, listener = _way(file, stack, found)
        area = stack.enter_context(temporary_directory("ssh", sockets=True))
        hosts = [edge_host(palette.file, uid, area) for uid in palette.file.edge_hosts]
        views = [_view(palette.file, host, facts, listener, names, first=host is hosts[0]) for host in hosts]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found += [finding for findings in pool.map(look_from_host, views) for finding in findings]
        found += network.shared(views)
    return found


def _view(
    file: SiteFile, host: EdgeHost, facts: ImageFacts | None, listener: Listener | None, names: tuple[str, ...], *,
    first: bool,
) -> HostView:  # fmt: skip
    vips, given = file.cluster.vips, file.edge_hosts[host.uid].pull_addresses
    return HostView(host, facts, listener, names, vips=vips, asks_neighbours=first, pull_addresses=given)


def _existing_registry(file: SiteFile) -> list[Finding]:
    """Log in to an existing registry with every account that the file has for it."""
    if file.existing_registry is None:
        return []
    place, advice = f"registry.existing {file.existing_registry.address}", "correct the site file or the registry"
    return [Finding(Kind.EXISTING_REGISTRY, place, said, advice) for said in trouble_with(file.existing_registry)]


def _way(file: SiteFile, stack: ExitStack, found: list[Finding]) -> tuple[tuple[str, ...], Listener | None]:
    """Return the names under which hosts reach what they pull from, and what answers there while the doctor looks."""
    if file.own_address is not None:
        return (file.own_address, *file.registry_names), _listener(file, stack, found)
    existing = file.existing_registry
    assert existing is not None  # the site file is refused without either
    if existing.trusted is None:
        said = "whether the hosts trust it was not looked at, for a well-known authority vouches for it"
        found.append(Finding(Kind.NOT_CHECKED, f"registry.existing {existing.address}", said, "look at its first pull"))
        return (existing.address.host,), None
    # it answers whoever is not logged in with its error of that name (OCI distribution specification, error codes)
    return (existing.address.host,), Listener(existing.address.port, existing.trusted, "UNAUTHORIZED")


def _listener(file: SiteFile, stack: ExitStack, found: list[Finding]) -> Listener | None:
    """Listen where the registry would; what stands in its way is added to what was found."""
    try:
        return stack.enter_context(listening(file.registry_bind, file.registry_port, file.registry_names))
    except OSError as error:
        place = f"registry {file.registry_bind} port {file.registry_port}"
        advice = "give an address of this machine and a port that nobody uses; until then no host was asked to reach it"
        found.append(Finding(Kind.REGISTRY_ADDRESS, place, f"cannot listen: {error.strerror or error}", advice))
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each finding, and a last one with the verdict; return the exit code."""
    parser = Parser(
        prog="./run doctor",
        description="Look at a site without changing anything. Exit code 0: a run can begin; 4: something stands in "
        "its way, told in one line each with what to do.",
    )
    parser.add_argument("--site", metavar="FILE", required=True, type=Path, help="the site file to check")
    try:
        file = read_site_file(parser.parse_args(arguments).site)
    except BadSiteFileError as error:
        return _tell([Finding(Kind.SITE_FILE, "", mistake, "") for mistake in error.mistakes], "")
    except SystemExit as error:
        return BAD if error.code else GOOD
    good = "Palette, the Edge hosts, their way to the registry and the provider image are as a run needs them"
    return _tell(examine(file), f"{file.name}: {good}")


def _tell(found: list[Finding], good: str) -> int:
    for finding in found:
        sys.stdout.write(f"{finding}\n")
    stopping = [finding for finding in found if finding.stops_a_run]
    sys.stdout.write(f"{plural(len(stopping), 'problem')}\n" if stopping else visible(f"{good}\n"))
    return BAD if stopping else GOOD


if __name__ == "__main__":
    sys.exit(main())
