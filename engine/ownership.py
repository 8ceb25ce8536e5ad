"""Who owns what on the engine, so that a run leaves nothing behind and the next one clears what a killed one left.

Every container, network and volume of a run carries labels that name the run and the process that answers for it:
its id, its start time, the boot of the machine, and the machine. A process id alone is not enough, since ids are used
again; and on an engine that several machines share, only the owner's machine can tell whether the owner still lives.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from docker.errors import APIError, NotFound

from engine.trouble import TROUBLE
from foreign import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import docker
    from docker.models.containers import Container
    from docker.models.volumes import Volume

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
    """Name a process for good: ``<pid>@<start tick>@<boot>@<where pids count>``; ``<pid>@gone`` if it does not run."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@gone"
    if fields[0] in _ENDED:
        return f"{pid}@gone"
    return f"{pid}@{fields[19]}@{boot}@{_place()}"


def sign(keeper: Path) -> None:
    """Write this process' name into a file that says who answers for a folder; nobody ever finds it half written."""
    draft = keeper.with_name(f"{keeper.name}.{os.getpid()}")
    draft.write_text(process_identity(os.getpid()))
    draft.replace(keeper)


_ENDED = "ZX"  # states of a process that has ended and whose parent has not looked yet


def _place() -> str:
    """Name where a process id means something: this machine, and on it this namespace of process ids."""
    return f"{socket.gethostname()}-{Path('/proc/self/ns/pid').stat().st_ino}"


def is_alive(keeper: str) -> bool:
    """Return whether the process that ``keeper`` names still runs (and is not another one with its number).

    A process of another machine, or of a container, cannot be seen from here and counts as alive.
    """
    pid, _, rest = keeper.partition("@")
    tick_and_boot, _, place = rest.rpartition("@")
    if not pid.isdecimal() or not tick_and_boot:
        return False
    return place != _place() or process_identity(int(pid)) == keeper


def sweep(client: docker.DockerClient, say: Callable[[str], None]) -> list[str]:
    """Remove what dead runs left: containers, networks, volumes. Return their names; things of living runs stay.

    What the engine cannot remove, such as a container whose processes it cannot end, stays too, and ``say`` is told.
    """
    return _remove(client, lambda labels: _KEEPER in labels and not is_alive(labels[_KEEPER]), say)


def remove_run(client: docker.DockerClient, run: str) -> list[str]:
    """Remove everything that carries the labels of ``run``. Return the names of what went; see :func:`left_of`."""
    return _remove(client, lambda labels: labels.get(_RUN) == run, lambda _what_stays: None)


def label_of(run: str) -> str:
    """Return the label, as a filter, by which the engine finds what belongs to ``run`` and to no other."""
    return f"{_RUN}={run}"


def left_of(client: docker.DockerClient, run: str) -> list[str]:
    """Name what is still there of ``run``: the second look after a clean-up."""
    label = label_of(run)
    return [
        *(str(c.name) for c in _containers(client, label)),
        *(str(n.name) for n in client.networks.list(filters={"label": label})),
        *(str(v.name) for v in _volumes(client, label)),
    ]


def _remove(
    client: docker.DockerClient, chosen: Callable[[Mapping[str, str]], bool], say: Callable[[str], None]
) -> list[str]:
    removals: list[tuple[str | None, Mapping[str, str] | None, Callable[[], object]]] = [
        *((c.name, c.labels, partial(c.remove, force=True, v=True)) for c in _containers(client, _RUN)),
        *((n.name, n.attrs.get("Labels"), n.remove) for n in client.networks.list(filters={"label": _RUN})),
        *((v.name, v.attrs.get("Labels"), partial(v.remove, force=True)) for v in _volumes(client, _RUN)),
    ]
    removed = []
    for name, labels, remove in removals:
        if chosen(labels or {}):
            try:
                removed += [str(name)] if _gone(remove) else []
            except TROUBLE as error:
                say(f"cannot clear {name}, which a dead run had left; the engine: {one_line(str(error))}")
    return removed


def _containers(client: docker.DockerClient, label: str) -> list[Container]:
    return client.containers.list(all=True, filters={"label": label}, ignore_removed=True)


def _volumes(client: docker.DockerClient, label: str) -> list[Volume]:
    return client.volumes.list(filters={"label": label})


#: 409: its removal is already in progress, or it is in use; 403: a network that somebody else's container is on.
_SOMEBODY_ELSE = (HTTPStatus.CONFLICT, HTTPStatus.FORBIDDEN)


def _gone(remove: Callable[[], object]) -> bool:
    """Remove; be content if somebody else was faster or still uses it. Tells whether it was removed here."""
    try:
        remove()
    except NotFound:
        return False
    except APIError as error:
        if error.status_code not in _SOMEBODY_ELSE:
            raise
        return False
    return True
