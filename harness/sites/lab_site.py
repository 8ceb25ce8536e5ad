"""Which site a run uses: the one named by ``--site``, or a lab, started here or found running.

This is the only place that knows there is a lab; what it gives is a site file.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from engine import ownership, tempdirs
from engine.debian import BuildFailed, ProgramMissing, has_image
from engine.reach import EngineUnavailable, connect, install_packages, is_debian_family
from harness.sites.site_file import SiteFile, read_site_file
from lab import control
from lab.images import build, engine_image
from lab.site import LabSettings, labs_folder

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
    try:
        client = connect(say, provision=options.provision)
        _programs(options, say)
        _room(client, ROOM_LATER if options.site or has_image(client, engine_image()) else ROOM)
    except (EngineUnavailable, ProgramMissing) as error:
        raise BadSetupError(str(error)) from error
    if options.site is None and (untested := untested_engine(client.info())):
        say(untested)
    for name in ownership.sweep(client):
        say(f"cleared what a dead run had left: {name}")
    tempdirs.clear_abandoned()
    if said := tempdirs.elsewhere():
        say(said)
    return client


def prepare(options: Options, client: docker.DockerClient, say: Say) -> None:
    """Build the images of a lab that will be needed, where everybody sees how far it is. Raises BadSetupError."""
    if options.site is not None:
        return
    try:
        build(client, say)
    except (BuildFailed, ProgramMissing) as error:
        raise BadSetupError(str(error)) from error


def untested_engine(facts: dict[str, Any]) -> str:
    """Return what about an engine the lab was written for and never run on; an empty text when there is nothing."""
    version = str(facts.get("CgroupVersion") or TESTED_CGROUPS)
    if version == TESTED_CGROUPS:
        return ""
    return f"the engine uses cgroup v{version}: the lab is written for it and has been tested on v{TESTED_CGROUPS} only"


def _programs(options: Options, say: Say) -> None:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not missing:
        return
    command = f"apt-get install {' '.join(missing)}"
    if not options.provision or not is_debian_family():
        raise BadSetupError(f"programs of {', '.join(missing)} are missing; run: {command}")
    try:
        install_packages(missing, say)
    except subprocess.SubprocessError as error:
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
    lab, ours = _lab(options, run, say)
    try:
        yield read_site_file(lab.site_file)
    finally:
        if options.keep_lab:
            say("the lab is left running; './run lab down' takes it down")
        elif ours:
            lab.stop()


def _lab(options: Options, run: str, say: Say) -> tuple[control.RunningLab, bool]:
    """Return a lab, and whether it is ours to take down: one that was found running stays."""
    for lab in control.kept():
        status = lab.ask("status")
        fits = status["hosts"] >= options.lab_hosts and status["version"] == options.lab_version
        if fits and not status["strict"] and _taken(lab):
            lab.ask("faults", faults=list(options.lab_faults))
            say(f"using the lab that was left running: {lab.settings.folder.name}")
            return lab, False
    folder = labs_folder() / f"lab-{run}"
    settings = LabSettings(
        folder, options.lab_hosts, options.lab_faults, keep=options.keep_lab, version=options.lab_version
    )
    try:
        lab = control.start(settings, say)
    except control.LabFailed as error:
        pytest.exit(f"the lab did not come up: {error}", returncode=4)
    if options.keep_lab:
        (folder / "kept").touch()
    return lab, True


_TAKEN: list[IO[str]] = []  # open for as long as this process lives: the lock goes with it


def _taken(lab: control.RunningLab) -> bool:
    """Take a lab for this run, unless another run has it."""
    lock = (lab.settings.folder / "in-use").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    _TAKEN.append(lock)
    return True
