"""What carries the registry program: a container of an engine, or a process of this machine where there is none."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any, Protocol

from docker.errors import APIError, NotFound

from engine.debian import ProgramMissing
from engine.ownership import process_identity
from registry.room import PID_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

REMOVAL_SECONDS = 10.0
"""How long a removed container may still be seen before its removal counts as failed; it takes about 0.1 s."""

_LOG_LINES = 20
_PRIVILEGED_PORTS = 1024
_PROGRAMS = ("docker-registry", "registry")  # Debian's name and upstream's


class RegistryFailed(RuntimeError):  # noqa: N818 - it says what happened
    """The registry did not start, died, or could not be removed; the message has the last lines of its log."""


class Runner(Protocol):
    """A registry program that can be started and stopped several times, and removed once."""

    def start(self) -> None:
        """Start it; it need not answer yet."""

    def stop(self) -> None:
        """Stop it at once, without a goodbye to connected clients."""

    def is_running(self) -> bool:
        """Return whether the program runs."""

    def last_words(self) -> str:
        """Return the last lines of its log."""

    def remove(self) -> None:
        """Remove it and look whether it is gone; fine at any time, also twice."""


class ContainerRunner:
    """The registry in a container with no capabilities, an unchangeable root, and one directory of the machine."""

    def __init__(
        self, client: DockerClient, image: str, *, directory: Path, config: Path, port: int, labels: Mapping[str, str]
    ) -> None:
        self._client = client
        self.name = f"palette-edge-registry-{secrets.token_hex(4)}"
        self._container: Container | None = None
        self._options: dict[str, Any] = {
            "image": image,
            "command": [str(config)],
            "name": self.name,
            "labels": dict(labels),
            "network_mode": "host",
            "user": f"{os.getuid()}:{os.getgid()}",  # the directory is ours and closed to everybody else
            "volumes": {str(directory): {"bind": str(directory), "mode": "rw"}},
            "cap_drop": ["ALL"],
            "cap_add": ["NET_BIND_SERVICE"] if port < _PRIVILEGED_PORTS else [],
            "security_opt": ["no-new-privileges"],
            "read_only": True,
            "pids_limit": 512,
            # registry:3 would send traces to somebody; registry:2 does not know the name
            "environment": {"OTEL_TRACES_EXPORTER": "none"},
            "log_config": {"Type": "json-file", "Config": {"max-size": "10m"}},
        }

    def start(self) -> None:
        """Create the container at the first start; raises what docker-py raises."""
        if self._container is None:
            self._container = self._client.containers.create(**self._options)
        self._container.start()

    def stop(self) -> None:
        """Kill it: an outage does not say goodbye."""
        if self._container is not None:
            with contextlib.suppress(APIError):  # it does not run
                self._container.kill()
            self._container.wait(timeout=REMOVAL_SECONDS)

    def is_running(self) -> bool:
        """Ask the engine."""
        if self._container is None:
            return False
        self._container.reload()
        return bool(self._container.status == "running")

    def last_words(self) -> str:
        """Return the last lines of the container's log."""
        return "" if self._container is None else self._container.logs(tail=_LOG_LINES).decode(errors="replace")

    def remove(self) -> None:
        """Remove by name: an interrupt may have come between the creation and our knowing of it."""
        deadline = time.monotonic() + REMOVAL_SECONDS
        while time.monotonic() < deadline:
            try:
                self._client.containers.get(self.name).remove(force=True, v=True)
            except NotFound:
                return
            except APIError:  # another removal of it is on its way
                time.sleep(0.05)
        raise RegistryFailed(
            f"container {self.name} could not be removed within {REMOVAL_SECONDS:.0f} s; docker rm -f it"
        )


class ProcessRunner:
    """The registry as a child process, for machines without an engine."""

    def __init__(self, directory: Path, config: Path) -> None:
        program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
        if program is None:
            raise ProgramMissing(
                "there is no engine and no registry program; install one of them: apt-get install docker-registry"
            )
        self._command = [program, "serve", str(config)]
        self._log = directory / "registry.log"
        self._pid_file = directory / PID_FILE
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process in a session of its own, so that Ctrl-C reaches us and not it."""
        # any REGISTRY_… variable of the caller would change the configuration
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment | {"OTEL_TRACES_EXPORTER": "none"},
                start_new_session=True,
            )
        self._pid_file.write_text(process_identity(self._process.pid))  # so that the next run can clear it

    def stop(self) -> None:
        """Kill it: an outage does not say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=REMOVAL_SECONDS)

    def is_running(self) -> bool:
        """Look at the child."""
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        """Return the last lines of its log."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return ""

    def remove(self) -> None:
        """Stop; its files go with the directory."""
        self.stop()
