"""Reach a Docker engine: the one that is there, or on Debian and Ubuntu one that is installed and started.

An engine that was reachable is used as it is (``DOCKER_HOST`` and contexts are docker's own rules). An engine that
had to be provided stays afterwards as a service of the machine, and the user is told so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

Say = Callable[[str], None]

#: Seconds a freshly started engine has until it must answer.
ENGINE_START = 30.0
_OS_RELEASE = Path("/etc/os-release")
_LOG = Path("/var/log/docker.log")


class EngineUnavailable(Exception):
    """No Docker engine can be had; the message says what to run."""


def connect(say: Say, *, provision: bool = True) -> docker.DockerClient:
    """Give a client of a running engine; install and start one where that is allowed and possible.

    Raises:
        EngineUnavailable: there is none, and it could not or must not (``provision=False``) be provided.

    """
    client = _reach()
    if client is not None:
        return client
    _refuse_unless_provisionable(provision=provision)
    if shutil.which("dockerd") is None:
        install_packages(["docker.io"], say)
    _start(say)
    client = _reach()
    if client is None:
        raise EngineUnavailable(f"the Docker engine was started and does not answer; its log is {_LOG}")
    return client


def _refuse_unless_provisionable(*, provision: bool) -> None:
    advice = "run: apt-get install docker.io && service docker start"
    if os.environ.get("DOCKER_HOST"):
        raise EngineUnavailable(
            f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}; start it, or unset DOCKER_HOST"
        )
    if not provision:
        raise EngineUnavailable(f"no Docker engine is running and --no-provision forbids to provide one; {advice}")
    if not is_debian_family() or os.geteuid() != 0:
        who = "root" if os.geteuid() == 0 else "not root"
        raise EngineUnavailable(
            f"no Docker engine is running, and it is provided only for root on Debian or Ubuntu (here: {who}); {advice}"
        )


def is_debian_family() -> bool:
    """Tell whether this machine installs packages with apt (Debian, Ubuntu and their derivatives)."""
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
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-3:])
            raise EngineUnavailable(f"'{' '.join(command)}' failed: {last}")


def _start(say: Say) -> None:
    """Start the engine as a service; where no service manager runs it, as a daemon of its own."""
    say("starting the Docker engine; it stays as a service of this machine after the run")
    if Path("/run/systemd/system").is_dir():
        subprocess.run(["systemctl", "start", "docker"], check=False, capture_output=True)
    else:
        with _LOG.open("ab") as log:
            subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + ENGINE_START
    while _reach() is None and time.monotonic() < deadline:
        time.sleep(0.1)


def _reach() -> docker.DockerClient | None:
    """Connect as the docker command does: DOCKER_HOST first, then the current context, then the local socket."""
    host = os.environ.get("DOCKER_HOST") or _context_host()
    try:
        client = docker.DockerClient(base_url=host, timeout=120) if host else docker.from_env(timeout=120)
        client.ping()
    except (DockerException, OSError):
        return None
    return client


def _context_host() -> str | None:
    """Read the endpoint of the current docker context, if one other than the default is chosen."""
    folder = Path(os.environ.get("DOCKER_CONFIG", Path.home() / ".docker"))
    try:
        name = os.environ.get("DOCKER_CONTEXT") or json.loads((folder / "config.json").read_text()).get(
            "currentContext"
        )
        if not name or name == "default":
            return None
        for meta in (folder / "contexts" / "meta").glob("*/meta.json"):
            context = json.loads(meta.read_text())
            if context["Name"] == name:
                return str(context["Endpoints"]["docker"]["Host"])
    except (OSError, ValueError, KeyError):
        pass
    return None
