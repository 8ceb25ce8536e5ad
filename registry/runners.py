"""The container in which the registry program runs."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from docker import DockerClient
    from docker.models.containers import Container

REMOVAL_SECONDS = 10.0
"""How long a removed container may still be seen before its removal counts as failed; it takes about 0.1 s."""

_LOG_LINES = 20
_PRIVILEGED_PORTS = 1024


class RegistryFailed(RuntimeError):  # noqa: N818 - it says what happened
    """The registry did not start, died, or could not be removed; the message has the last lines of its log."""


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
