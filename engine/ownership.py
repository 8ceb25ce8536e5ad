"""Who owns what on the engine, so that a run leaves nothing behind and the next one clears what a killed run left.

Every container, network and volume of a run carries labels that name the run and the process that answers for it:
its id, its start time, and the boot of the machine. A process id alone is not enough, since ids are used again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from docker.errors import APIError, NotFound
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker
    from collections.abc import Callable, Mapping

PREFIX = "palette-edge-conformance"
_RUN, _KEEPER = f"{PREFIX}.run", f"{PREFIX}.keeper"
#: Volumes with this label hold caches (installation media); they belong to no run and stay.
CACHE = f"{PREFIX}.cache"


@dataclass(frozen=True)
class Owner:
    """A run and the process that keeps it alive; ``labels`` go on everything the run creates."""

    run: str
    keeper: str

    @classmethod
    def this_process(cls, run: str) -> Owner:
        """Own things for as long as this very process lives."""
        return cls(run, process_identity(os.getpid()))

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which :func:`sweep` knows the owner."""
        return {_RUN: self.run, _KEEPER: self.keeper}


def process_identity(pid: int) -> str:
    """Name a process for good: ``<pid>@<start tick>@<boot of the machine>``; ``<pid>@gone`` when it does not run."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@gone"
    return f"{pid}@{fields[19]}@{boot}"


def is_alive(keeper: str) -> bool:
    """Tell whether the process that ``keeper`` names still runs (and is not another one with its number)."""
    pid = keeper.partition("@")[0]
    return pid.isdigit() and process_identity(int(pid)) == keeper


def sweep(client: docker.DockerClient) -> list[str]:
    """Remove what dead runs left: containers, networks, volumes. Gives their names; things of living runs stay."""
    return _remove(client, lambda labels: _KEEPER in labels and not is_alive(labels[_KEEPER]))


def remove_run(client: docker.DockerClient, run: str) -> list[str]:
    """Remove everything that carries the labels of ``run``. Gives the names of what was there."""
    return _remove(client, lambda labels: labels.get(_RUN) == run)


def left_of(client: docker.DockerClient, run: str) -> list[str]:
    """Name what is still there of ``run``: the second look after a clean-up."""
    filters = {"label": f"{_RUN}={run}"}
    return [
        *(str(c.name) for c in client.containers.list(all=True, filters=filters, ignore_removed=True)),
        *(str(n.name) for n in client.networks.list(filters=filters)),
        *(str(v.name) for v in client.volumes.list(filters=filters)),
    ]


def _remove(client: docker.DockerClient, chosen: Callable[[Mapping[str, str]], bool]) -> list[str]:
    filters = {"label": _RUN}
    removed: list[str] = []
    for container in client.containers.list(all=True, filters=filters, ignore_removed=True):
        if chosen(container.labels):
            _gone(lambda c=container: c.remove(force=True, v=True))
            removed.append(str(container.name))
    for network in client.networks.list(filters=filters):
        if chosen(network.attrs.get("Labels") or {}):
            _gone(network.remove)
            removed.append(str(network.name))
    for volume in client.volumes.list(filters=filters):
        if chosen(volume.attrs.get("Labels") or {}):
            _gone(lambda v=volume: v.remove(force=True))
            removed.append(str(volume.name))
    return removed


def _gone(remove: Callable[[], object]) -> None:
    """Remove, and be content if somebody else (another run's sweep) was faster."""
    try:
        remove()
    except NotFound:
        return
    except APIError as error:
        if error.status_code != HTTPStatus.CONFLICT:  # 409: its removal is already in progress
            raise
