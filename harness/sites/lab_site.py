"""Which site a run uses: the one named by ``--site``, or a lab, started here or found running.

This is the only place that knows there is a lab; what it gives is a site file.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import ownership, tempdirs
from engine.debian import BuildFailed, ProgramMissing, has_image
from engine.machine import shortages
from engine.reach import EngineUnavailable, connect, install_packages, is_debian_family
from engine.trouble import TROUBLE
from foreign import one_line
from harness.interrupts import end_session
from harness.sites.site_file import SiteFile, read_site_file
from lab import control
from lab.images import build, engine_image
from lab.kubernetes import programs
from lab.settings import LabSettings, Message, labs_folder

if TYPE_CHECKING:
    import docker

    from harness.options import Options

Say = Callable[[str], None]

#: What the harness needs beside the engine, and in which Debian package it is.
PROGRAMS = {"mmdebstrap": "mmdebstrap", "ssh": "openssh-client"}
#: The version of the kernel's control groups on which the lab's hosts have been seen to boot.
TESTED_CGROUPS = "1"
#: Bytes that must be free before the lab's images are built (the root three times over, and room to work), and later.
ROOM, ROOM_LATER = 4 << 30, 1 << 30


class BadSetupError(Exception):
    """The machine lacks something; the message has the command that mends it."""


def engine(options: Options, say: Say) -> docker.DockerClient:
    """Return a client of the engine, after the machine was checked and what dead runs left was cleared.

    Raises BadSetupError; nothing has been started by us then.
    """
    client = provided(say, provision=options.provision)
    with _refusing_broken_engines():
        _check(client, options, say)
        for name in ownership.sweep(client, say):
            say(f"cleared what a dead run had left: {name}")
    tempdirs.clear_abandoned()
    if said := tempdirs.elsewhere():
        say(said)
    return client


@contextmanager
def _refusing_broken_engines() -> Iterator[None]:
    """Refuse, in its own words, an engine that answers and does not do what it is asked. Raises BadSetupError."""
    try:
        yield
    except TROUBLE as error:
        raise BadSetupError(f"the Docker engine does not do what it is asked: {one_line(str(error))}") from error


def _check(client: docker.DockerClient, options: Options, say: Say) -> None:
    """Look whether the machine has all that a run needs. Raises BadSetupError."""
    try:
        image = engine_image(current_openssh=options.lab_current_openssh)
        _room(client, ROOM_LATER if options.site or has_image(client, image) else ROOM)
    except ProgramMissing as error:
        raise BadSetupError(str(error)) from error
    if options.site is None and not control.kept() and (short := shortages(options.lab_hosts)):
        raise BadSetupError("this machine has too little left: " + " | ".join(short))
    if options.site is None and (untested := untested_engine(client.info())):
        say(untested)


def provided(say: Say, *, provision: bool) -> docker.DockerClient:
    """Return a client of an engine; install and start what is missing where that is allowed. Raises BadSetupError."""
    try:
        client = connect(say, provision=provision)
    except EngineUnavailable as error:
        raise BadSetupError(str(error)) from error
    _programs(say, provision=provision)
    _user()
    return client


def prepare(options: Options, client: docker.DockerClient, say: Say) -> None:
    """Build the images of a lab that will be needed, where everybody sees how far it is. Raises BadSetupError."""
    if options.site is not None:
        return
    try:
        with _refusing_broken_engines():
            build(client, say, options.lab_kind, current_openssh=options.lab_current_openssh)
        if options.lab_kubernetes:
            programs.provide(say)
    except (BuildFailed, ProgramMissing) as error:
        raise BadSetupError(str(error)) from error


def untested_engine(facts: dict[str, Any]) -> str:
    """Return what about an engine the lab was written for and never run on; an empty text when there is nothing."""
    version = str(facts.get("CgroupVersion") or TESTED_CGROUPS)
    if version == TESTED_CGROUPS:
        return ""
    return f"the engine uses cgroup v{version}: the lab is written for it and has been tested on v{TESTED_CGROUPS} only"


def _user() -> None:
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise BadSetupError(
            f"user id {os.geteuid()} has no line in /etc/passwd, without which ssh does not start; add one (useradd)"
        ) from None


def _programs(say: Say, *, provision: bool) -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not missing:
        return
    command = f"apt-get install {' '.join(missing)}"
    if not provision or not is_debian_family():
        raise BadSetupError(f"programs of {', '.join(missing)} are missing; run: {command}")
    try:
        install_packages(missing, say)
    except (EngineUnavailable, subprocess.SubprocessError) as error:
        raise BadSetupError(f"{error}; run: {command}") from error


def _room(client: docker.DockerClient, needed: int) -> None:
    root = Path(str(client.info().get("DockerRootDir", "/var/lib/docker")))
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise BadSetupError(
            f"{place} has {free >> 20} MiB free and {needed >> 20} are needed for images; make room, or move the "
            "engine's data with data-root in /etc/docker/daemon.json"
        )


@contextmanager
def site_file(options: Options, run: str, say: Say) -> Iterator[SiteFile]:
    """Yield the site's file for the time of the run."""
    if options.site is not None:
        yield options.site
        return
    with ExitStack() as stack:
        lab = _running(options, run, say, stack) or _new(options, run, say, stack)
        yield read_site_file(lab.site_file)


def _running(options: Options, run: str, say: Say, stack: ExitStack) -> control.RunningLab | None:
    """Take a lab of this checkout that was left running; say of each that is not taken why."""
    for lab in control.kept():
        why = _unfit(lab, options)
        if not why:
            try:
                stack.enter_context(lab.taken(run, options.lab_faults))
            except (control.LabFailed, OSError) as error:
                why = str(error)
            else:
                say(f"using the lab that was left running: {lab.name}")
                return lab
        say(f"the lab {lab.name} that was left running is not used: {why}")
    return None


def _unfit(lab: control.RunningLab, options: Options) -> str:
    """Return why a lab cannot be this run's; an empty text when it can."""
    if lab.origin != control.origin():
        return "it was started from another version of the code; './run lab down' takes it down"
    try:
        return _unlike(lab.ask("status"), options)
    except (control.LabFailed, OSError) as error:
        return str(error)


def _unlike(status: Message, options: Options) -> str:
    if status["own_faults"]:
        return f"it keeps the faults it was started with ({', '.join(status['own_faults'])}); name it with --site"
    if status["strict"]:
        return "its Palette is strict; name it with --site"
    if status["hosts"] < options.lab_hosts:
        return f"it has {status['hosts']} Edge hosts and this run wants {options.lab_hosts}"
    for said, is_so, is_wanted in (
        ("its clusters run {} real Kubernetes", status["kubernetes"], options.lab_kubernetes),
        ("its hosts have {} current OpenSSH", status["current_openssh"], options.lab_current_openssh),
    ):
        if is_so != is_wanted:
            return said.format("a" if is_so else "no")
    for what, has, wanted in (
        ("its Palette is version", status["version"], options.lab_version),
        ("it is of kind", status["kind"], options.lab_kind),
        ("its hosts are of mode", status["mode"], options.lab_mode),
    ):
        if has != wanted:
            return f"{what} {has} and this run wants {wanted}"
    return ""


def _new(options: Options, run: str, say: Say, stack: ExitStack) -> control.RunningLab:
    """Start a lab, which goes with the run unless it is to be kept; the faults go in any case."""
    folder = labs_folder() / f"lab-{run}"
    settings = LabSettings(
        folder,
        options.lab_hosts,
        version=options.lab_version,
        kind=options.lab_kind,
        mode=options.lab_mode,
        kubernetes=programs.find() if options.lab_kubernetes else None,
        current_openssh=options.lab_current_openssh,
    )
    try:
        lab = control.start(settings, say)
        stack.callback(_leave if options.keep_lab else control.RunningLab.stop, lab)
        stack.enter_context(lab.taken(run, options.lab_faults))
    except control.LabFailed as error:
        end_session(f"the lab did not come up: {error}")
    if options.keep_lab:
        stack.callback(say, f"the lab {lab.name} is left running; './run lab down' takes it down")
    return lab


def _leave(lab: control.RunningLab) -> None:
    with suppress(OSError):  # it is gone: there is nothing to leave
        lab.keep()
