"""Command-line options, checked before anything is started."""

from __future__ import annotations

import errno
import os
import random
import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest

from bounded import file_content
from harness.levels import CERTIFICATION, DEFAULT, LEVELS, NIGHTLY, seed_of
from harness.requirements import load as load_requirements
from harness.resuming import CannotResumeError, Earlier, earlier
from harness.run import HARNESS
from harness.sites.site_file import BadSiteFileError, SiteFile, read_site_file
from lab.faults import UnknownFault, specify
from lab.hosts import HostMode
from lab.kinds import DEFAULT as DEFAULT_KIND
from lab.kinds import KINDS
from lab.settings import LabSettings
from reports import keys, waivers
from reports.history import file_at
from reports.runs import HOME, NoSuchRunError, RunTakenError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from lab.kinds import KindName
    from reports.waivers import Waiver

#: What a lab may be asked for; each host takes about 100 MiB of memory.
MOST_LAB_HOSTS = 16
#: The waivers that a run knows when no others are named.
KNOWN_ISSUES = Path(__file__).parent.parent / "suites" / "known_issues.yaml"

_FOR_THE_LAB = ("--lab-kubernetes", "--lab-current-openssh", "--keep-lab")


@dataclass(frozen=True)
class Options:
    """The checked options of a conformance run."""

    site: SiteFile | None
    lab_hosts: int
    lab_faults: tuple[dict[str, object], ...]
    keep_lab: bool
    lab_version: str
    lab_kind: KindName
    lab_mode: HostMode
    lab_kubernetes: bool
    lab_current_openssh: bool
    provision: bool
    registry_image: str
    registry_port: int | None
    level: str
    signer: Ed25519PrivateKey | None = field(repr=False)
    resume: Earlier | None
    guide: str | None
    known_issues: tuple[Waiver, ...]
    home: Path
    history: Path | None
    seed: int


def add_options(parser: pytest.Parser) -> None:
    """Declare the options."""
    group = parser.getgroup("conformance", "Palette Edge conformance")
    group.addoption("--site", metavar="FILE", help="a real site, described in a YAML file (default: the built-in lab)")
    group.addoption(
        "--lab-hosts", metavar="N", default=str(LabSettings.hosts), help="Edge hosts of the lab (default 2)"
    )
    group.addoption(
        "--lab-fault",
        metavar="NAME",
        action="append",
        default=[],
        help="seed a fault: NAME or FILE.py:NAME; repeatable",
    )
    group.addoption(
        "--lab-version", metavar="X.Y.Z", default=LabSettings.version, help="the version the lab's Palette says it has"
    )
    group.addoption("--lab-mode", choices=get_args(HostMode), default="appliance", help="the mode of the lab's hosts")
    group.addoption("--lab-kind", choices=KINDS, default=DEFAULT_KIND, help="the lab's Kubernetes distribution")
    group.addoption("--lab-kubernetes", action="store_true", help="the lab's clusters run a real Kubernetes")
    group.addoption(
        "--lab-current-openssh", action="store_true", help="the lab's hosts punish logins that fail (OpenSSH 10)"
    )
    group.addoption("--keep-lab", action="store_true", help="leave the lab running; the next run picks it up")
    group.addoption("--no-provision", action="store_true", help="never install packages or start a Docker engine")
    group.addoption(
        "--level",
        choices=LEVELS,
        default=DEFAULT,
        help="smoke: a case of each kind; nightly: more examples, every vector; certification: all, with a fixed seed",
    )
    group.addoption("--key", metavar="FILE", help="sign the certificate of --level certification with this private key")
    group.addoption("--plan", action="store_true", help="print cases, clusters, repaves and minutes; do nothing")
    group.addoption("--budget", metavar="TIME", help="choose the cases that settle most in this time, such as 45m")
    group.addoption("--resume", metavar="RUN", help="go on with a run that was killed or interrupted")
    group.addoption(
        "--requirements", action="store_true", help="with --collect-only: the guide's statements as a table"
    )
    group.addoption("--registry-image", metavar="IMAGE", default="registry:2", help="another image of the registry")
    group.addoption("--guide", metavar="FILE", help="a copy of the vendor's guide, whose snippets are looked at, too")
    group.addoption(
        "--known-issues", metavar="FILE", default=str(KNOWN_ISSUES), help="waivers (default: suites/known_issues.yaml)"
    )
    group.addoption("--runs-in", metavar="DIR", default=str(HOME), help="where runs are kept (default: reports)")
    group.addoption("--history", metavar="DIR|FILE", help="compare with the runs kept there, and add this one")
    group.addoption("--registry-port", metavar="PORT", help="the port of the private registry (default: a free one)")


def checked(config: pytest.Config) -> Options:
    """Check every option. Raises pytest.UsageError, which names the option, what was found and what would be right."""
    option = config.getoption
    faults = _faults(option("--lab-fault"))
    site = _site(option("--site"))
    keeps_a_run = not (option("--plan") or option("--collect-only"))
    home = _home(option("--runs-in")) if keeps_a_run else Path(option("--runs-in")).resolve()
    resumed = _resumed(option("--resume"), home, site)
    if option("--lab-kubernetes") and option("--lab-mode") != LabSettings.mode:
        raise pytest.UsageError("--lab-kubernetes runs on hosts in appliance mode only; leave out --lab-mode")
    if site is not None and (faults or any(map(option, _FOR_THE_LAB))):
        raise pytest.UsageError(
            f"--lab-fault, {', '.join(_FOR_THE_LAB[:-1])} and {_FOR_THE_LAB[-1]} are for the lab; "
            "a site given with --site has none of them"
        )
    level = option("--level") if resumed is None else resumed.started.level
    return Options(
        site=site,
        lab_hosts=_whole("--lab-hosts", option("--lab-hosts"), 1, MOST_LAB_HOSTS),
        lab_faults=faults,
        lab_version=_version(option("--lab-version")),
        lab_kind=option("--lab-kind"),
        lab_mode=option("--lab-mode"),
        lab_kubernetes=option("--lab-kubernetes"),
        lab_current_openssh=option("--lab-current-openssh"),
        keep_lab=bool(option("--keep-lab")),
        provision=not option("--no-provision"),
        registry_image=option("--registry-image"),
        registry_port=_port(option("--registry-port"), site),
        level=level,
        signer=_signer(option("--key"), level),
        resume=resumed,
        guide=_guide(option("--guide")),
        known_issues=_known_issues(option("--known-issues")),
        home=home,
        history=_history(option("--history")),
        seed=_seed(config, resumed),
    )


def _home(path: str) -> Path:
    """Return the directory of the runs, which need not be there: whether it can be made is looked at, not tried."""
    home = Path(path).resolve()
    place = next(each for each in (home / "runs", home, *home.parents) if os.path.lexists(each))
    why = "Not a directory" if not place.is_dir() else "you may not write there"
    if not (place.is_dir() and os.access(place, os.W_OK | os.X_OK)) or (place.is_dir() and _is_read_only(place)):
        raise pytest.UsageError(f"--runs-in {path}: no run can be kept there ({why}); give a directory of your own")
    return home


def _is_read_only(place: Path) -> bool:
    """Return whether a directory is on a read-only file system, or one that takes no files, such as ``/proc``."""
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY) or os.statvfs(place).f_blocks == 0


def _history(path: str | None) -> Path | None:
    """Return the file of earlier runs, made if it is not there."""
    if path is None:
        return None
    try:
        file = file_at(Path(path))
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab"):
            return file.resolve()
    except OSError as error:
        raise pytest.UsageError(f"--history {path}: cannot be added to: {error.strerror}; give a file") from error


def _signer(path: str | None, level: str) -> Ed25519PrivateKey | None:
    """Read the key before anything is started: a night's run is not to be lost to a wrong passphrase."""
    if path is None:
        return None
    if level != CERTIFICATION:
        raise pytest.UsageError(
            f"--key {path}: only --level {CERTIFICATION} is signed; './run certify' signs other runs"
        )
    try:
        return keys.signer(Path(path))
    except keys.KeyUnusableError as error:
        raise pytest.UsageError(f"--key {error}") from error


def _faults(names: list[str]) -> tuple[dict[str, object], ...]:
    try:
        return tuple(dict(specify(name)) for name in names)
    except UnknownFault as error:
        raise pytest.UsageError(str(error)) from error


def _guide(path: str | None) -> str | None:
    try:
        return None if path is None else file_content(Path(path)).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise pytest.UsageError(f"--guide {path}: cannot be read: {error}; give the guide's Markdown file") from error


def _known_issues(path: str) -> tuple[Waiver, ...]:
    try:
        return tuple(waivers.load(Path(path), load_requirements(), today=datetime.now(UTC).date()))
    except waivers.WaiverError as error:
        raise pytest.UsageError(f"--known-issues {error}") from error


def _site(path: str | None) -> SiteFile | None:
    try:
        return None if path is None else read_site_file(Path(path))
    except BadSiteFileError as error:
        raise pytest.UsageError(str(error)) from error


def _port(text: str | None, site: SiteFile | None) -> int | None:
    """Check that the private registry will get its port, before anything is started.

    The lab's own network does not exist yet: only somebody who listens on every address can take the port there, and
    such a one is met on any address of this machine.
    """
    port = None if text is None else _whole("--registry-port", text, 1, 65535)
    wanted = port or (site.registry_port if site else 0)
    address = site.own_address if site else "127.103.7.19"
    place = f"--registry-port {port}" if port else f"{site.path.name}: registry" if site else ""
    if address is not None and (wanted or site):
        _refuse_taken(place, address, wanted)
    return port


def _refuse_taken(place: str, address: str, port: int) -> None:
    try:
        family, kind, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise pytest.UsageError(
                f"{place}: port {port} is taken by another program; give a free port, or none to have one chosen"
            ) from error
        raise pytest.UsageError(
            f"{place}: the registry cannot listen on {address}, port {port}: {error.strerror}; "
            "give an address of this machine on which the hosts reach it"
        ) from error


def _whole(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch("-?[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise pytest.UsageError(f"{name} {text}: found {text!r}; give a whole number from {least} to {most}")
    return int(text)


def _version(text: str) -> str:
    if not re.fullmatch(r"\d+\.\d+\.\d+", text):
        raise pytest.UsageError(f"--lab-version {text}: found {text!r}; give a version such as 4.2.8")
    return text


def _resumed(name: str | None, home: Path, site: SiteFile | None) -> Earlier | None:
    try:
        return None if name is None else earlier(name, home, site)
    except (CannotResumeError, NoSuchRunError, RunTakenError, OSError) as error:
        raise pytest.UsageError(f"--resume: {error}") from error


def _seed(config: pytest.Config, resumed: Earlier | None) -> int:
    """Return the seed: the one on the command line, that of the run or level, else a new one; reports name it."""
    given, level = config.getoption("--hypothesis-seed", default=None), config.getoption("--level")
    if given is None and resumed is not None and resumed.started.seed.isdecimal():
        return int(resumed.started.seed)
    if given is None and level == CERTIFICATION:
        return seed_of(HARNESS)
    if given is None and level == NIGHTLY:
        return int(datetime.now(UTC).strftime("%Y%m%d"))
    if given is None:
        return random.SystemRandom().randrange(10**8)
    if not re.fullmatch("[0-9]{1,99}", str(given)):
        raise pytest.UsageError(f"--hypothesis-seed {given}: found {given!r}; give a whole number")
    return int(given)
