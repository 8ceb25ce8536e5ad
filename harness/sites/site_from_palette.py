"""``./run site-init --from URL``: what a Palette project says of itself, written into a site file; only read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from foreign import UnsafeTextError, host_address, one_line, uid
from harness.sites.base_profile import UnusableProfileError, WantedProfile, find_base
from harness.sites.leases import OWNER
from palette.versions import version_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from palette.client import ProjectView
    from palette.edge_hosts import RegisteredHost
    from palette.profiles import ProfileName

_HOST = "  - uid: EDGE-HOST-UID"
_URL, _PROJECT, _KEY, _AUTHORITY = "  url: ", "  project: PROJECT", "  api_key: ", "  # authority: palette-ca.pem"
_PROXY = "  # proxy: "
_PROFILE = "# profile: edge-base"


def filled_in(
    template: str, project: ProjectView, url: str, variable: str, authority: str | None, proxy: str | None = None
) -> str:
    """Return the template with what the project says: its free Edge hosts and the profiles that can be cloned.

    ``variable`` and ``proxy`` name the variables with the key and the URL of a proxy. What cannot be known from Palette
    stays a word in capitals. Texts of Palette's are quoted.
    """
    kept: list[str] = []
    of_hosts = _hosts(project.edge_hosts.search())
    which = ["# Of one profile the newest version is taken; or name which one:\n", "# profile:\n"]
    known = {
        _URL: [f"  url: {_quoted(url)}\n"],
        _PROJECT: [f"  project: {_quoted(project.name)}\n"],
        _KEY: [f"  api_key: {{env: {variable}}}\n"],
        **({_PROXY: [f"  proxy: {{env: {proxy}}}\n"]} if proxy else {}),
        **({_AUTHORITY: [f"  authority: {_quoted(authority)}\n"]} if authority else {}),
        _HOST: of_hosts,
        _PROFILE: [*_profiles(project), *which],
    }
    skip = False
    for line in template.splitlines(keepends=True):
        begins = next((start for start in known if line.startswith(start)), None)
        if begins is not None:
            kept += known.pop(begins)
            skip = begins == _HOST and bool(of_hosts)
        elif not (skip and line.startswith("    ssh: ")):
            skip = False
            kept.append(line)
    return "".join(kept)


def _hosts(devices: Iterable[RegisteredHost]) -> list[str]:
    """Return an entry for each host that is free and leased by nobody; hosts in use are named in a comment."""
    free, others = [], []
    for device in sorted(devices, key=lambda each: each.uid):
        try:
            known, address = uid(device.uid), host_address(device.address or "ADDRESS")
        except UnsafeTextError as error:
            others.append(f"  # left out: {one_line(str(error))}\n")
            continue
        if device.is_free and OWNER not in device.labels:
            described = one_line(", ".join(filter(None, (device.name, device.architecture, device.host_type))))
            free += [f"  - uid: {_quoted(known)} # {described}\n", f"    ssh: USER@{address}\n"]
        else:
            others.append(f"  # left out: {known} is in use or unhealthy ({device})\n")
    return [*(free or [f"{_HOST}\n", "    ssh: USER@ADDRESS\n"]), *others]


def _profiles(project: ProjectView) -> Iterator[str]:
    """Yield the profile to be cloned, if there is one only, else those among which to choose."""
    usable, others = [], []
    for name in _newest(project.profiles.list()):
        try:
            find_base(project, WantedProfile(uid=name.uid))
        except UnusableProfileError as error:
            others.append(one_line(str(error)))
        else:
            usable.append(name)
    for name in usable:
        yield f"# can be cloned: {one_line(name.name)} {one_line(name.version)}\n"
    yield from (f"# cannot be cloned: {said}\n" for said in others)
    if len(usable) == 1:
        yield f"profile: {_quoted(usable[0].name)}\n"
    elif usable:
        yield "profile: PROFILE\n"


def _newest(listed: Iterable[ProfileName]) -> list[ProfileName]:
    newest: dict[str, ProfileName] = {}
    for each in sorted(listed, key=lambda one: version_key(one.version)):
        newest[each.name] = each
    return sorted(newest.values(), key=lambda one: one.name)


def _quoted(text: str) -> str:
    """Write a text as YAML between double quotes: JSON is such YAML, and escapes whatever has no shape."""
    return json.dumps(text)
