"""Reach a Docker engine: the one that is there, or on Debian and Ubuntu one that is installed and started.

An engine that was reachable is used as it is (``DOCKER_HOST`` and contexts are docker's own rules). An engine that
had to be provided stays afterwards as a service of the machine, and the user is told so.
"""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import docker
from docker.context import ContextAPI
from docker.errors import DockerException

from engine.children import environment
from engine.nearness import trouble_with

Say = Callable[[str], object]

#: Seconds a freshly started engine has until it must answer.
ENGINE_START = 30.0
_OS_RELEASE = Path("/etc/os-release")
_LOG = Path("/var/log/docker.log")
#: Seconds that an installation, and a service manager, may take.
_INSTALL, _SERVICE = 1800.0, 120.0
#: apt-get's own patience: seconds that another installation on this machine may take.
_PATIENT = ("-o", "DPkg::Lock::Timeout=120")
_ADVICE = "run: apt-get install docker.io && service docker start"


class EngineUnavailable(Exception):  # noqa: N818 - it names a state of the machine
    """No Docker engine can be had; the message says what to run."""


def connect(say: Say, *, provision: bool = True) -> docker.DockerClient:
    """Return a client of a running engine; install and start one where that is allowed and possible.

    Raises:
        EngineUnavailable: there is none, and it could not or must not (``provision=False``) be provided; or it is one
            that cannot carry registry and lab.

    """
    client = _reach()
    if client is not None:
        return _usable(client)
    _refuse_unless_provisionable(provision=provision)
    if shutil.which("dockerd") is None:
        install_packages(["docker.io"], say)
    log = _start(say)
    deadline = time.monotonic() + ENGINE_START
    while (client := _reach()) is None:
        if time.monotonic() > deadline:
            raise EngineUnavailable(f"the Docker engine was started and does not answer; its log: {log}")
        time.sleep(0.1)
    return _usable(client)


def _usable(client: docker.DockerClient) -> docker.DockerClient:
    if trouble := trouble_with(client):
        client.close()
        raise EngineUnavailable(f"{chosen}: {trouble}" if (chosen := _chosen()) else trouble)
    return client


def _refuse_unless_provisionable(*, provision: bool) -> None:
    chosen = _chosen()
    if chosen:
        raise EngineUnavailable(f"no Docker engine answers at {chosen}; start it, or choose another")
    if _may_not_connect():
        raise EngineUnavailable(
            f"a Docker engine runs and {_SOCKET} is not yours to use; run: usermod -aG docker $USER, and log in again"
        )
    if not provision:
        raise EngineUnavailable(f"no Docker engine is running and none may be provided (--no-provision); {_ADVICE}")
    if not is_debian_family() or os.geteuid() != 0:
        who = "root" if os.geteuid() == 0 else "not root"
        raise EngineUnavailable(
            f"no Docker engine is running; it is provided only for root on Debian or Ubuntu (here: {who}); {_ADVICE}"
        )


_SOCKET = Path("/var/run/docker.sock")


def _may_not_connect() -> bool:
    return _SOCKET.is_socket() and not os.access(_SOCKET, os.W_OK)


def _chosen() -> str:
    """Name the engine that the user chose, empty when it is just this machine's: DOCKER_HOST first, then a context."""
    if host := os.environ.get("DOCKER_HOST"):
        return f"DOCKER_HOST={host}"
    try:
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    except Exception as error:  # noqa: BLE001 - docker-py raises plain Exception for a context it cannot read
        return f"the current docker context ({error})"
    return "" if context is None or context.Name == "default" else f"{context.Host} (docker context {context.Name})"


def is_debian_family() -> bool:
    """Return whether this machine installs packages with apt (Debian, Ubuntu and their derivatives)."""
    try:
        words = _OS_RELEASE.read_text().lower()
    except OSError:
        return False
    return "debian" in words and shutil.which("apt-get") is not None


def install_packages(packages: list[str], say: Say) -> None:
    """Install distribution packages, saying so first.

    Raises:
        EngineUnavailable: apt-get failed; the message holds its last lines.

    """
    say(f"installing {', '.join(packages)} from the distribution")
    quiet = environment(DEBIAN_FRONTEND="noninteractive")
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *_PATIENT, *packages],
    ):
        try:
            done = subprocess.run(command, check=False, env=quiet, capture_output=True, text=True, timeout=_INSTALL)
        except subprocess.TimeoutExpired as error:
            raise EngineUnavailable(f"'{' '.join(command)}' has not ended after {error.timeout:g} s") from None
        if done.returncode != 0:
            last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
            raise EngineUnavailable(f"'{' '.join(command)}' failed: {last}")


def _start(say: Say) -> str:
    """Start the engine as a service; where no service manager runs it, as a daemon of its own. Return where it logs."""
    say("starting the Docker engine; it stays as a service of this machine after the run")
    if Path("/run/systemd/system").is_dir():
        with suppress(subprocess.TimeoutExpired):  # whether the engine answers is asked afterwards
            start = ["systemctl", "start", "docker"]
            subprocess.run(start, check=False, capture_output=True, env=environment(), timeout=_SERVICE)
        where = "journalctl -u docker"
    else:
        with _LOG.open("ab") as log:
            detached = ["setsid", "--fork", "dockerd"]  # a service of the machine is no child of ours
            subprocess.run(detached, check=False, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment())
        where = str(_LOG)
    return where


def _reach() -> docker.DockerClient | None:
    client = _attempt()
    if client is None:
        # docker-py leaves the socket of a failed attempt to the garbage collector, which would complain somewhere else
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()
    return client


def _attempt() -> docker.DockerClient | None:
    """Connect as the docker command does: DOCKER_HOST first, then the current context, then the local socket."""
    try:
        client = docker.from_env(timeout=120)
    except Exception:  # noqa: BLE001 - beside its own, docker-py raises plain Exception for a context it cannot read
        return None
    try:
        client.ping()
    except (DockerException, OSError):
        client.close()
        return None
    return client
