"""What a machine must have left for a lab: looked at before anything starts, told with the command that helps.

The kernel counts some of it for all containers of the engine together, so two runs at once may exhaust it, and then
the hosts of both boot half: their container runtime is absent, which looks like a fault of the product.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

#: What one Edge host of a lab takes, measured: systemd has 5 inotify instances, containerd and dbus one each.
INOTIFY_PER_HOST = 7
MEMORY_PER_HOST = 128 << 20
TASKS_PER_HOST = 150
#: What the lab's Palette, the registry and the harness take beside them.
MEMORY_BESIDE = 256 << 20
#: Programs that want a processor, for each that there is, with which a run takes as long as usual.
USUAL_LOAD = 2.0
SLOWEST = 5.0
INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")


@dataclass(frozen=True)
class Left:
    """What is left of each; ``None`` where this process cannot tell."""

    inotify: int | None
    memory: int | None
    tasks: int | None

    @classmethod
    def now(cls, hosts: int) -> Left:
        """Look at this machine, as closely as ``hosts`` Edge hosts need."""
        return cls(spare_inotify(hosts * INOTIFY_PER_HOST), _memory(), _tasks())


def shortages(hosts: int, left: Left | None = None) -> list[str]:
    """Return a line for each thing of which there is too little left for so many Edge hosts."""
    left = left or Left.now(hosts)
    wanted = f"{hosts} Edge host{' of a lab needs' if hosts == 1 else 's of a lab need'}"
    found = []
    if left.inotify is not None and left.inotify < (needed := hosts * INOTIFY_PER_HOST):
        raised = max(1024, 2 * _number(INSTANCES, 0))
        found.append(
            f"{left.inotify} inotify instances are free and {wanted} {needed}; "
            f"run as root: sysctl -w fs.inotify.max_user_instances={raised}"
        )
    if left.memory is not None and left.memory < (needed := hosts * MEMORY_PER_HOST + MEMORY_BESIDE):
        found.append(
            f"{left.memory >> 20} MiB of memory are free and {wanted} {needed >> 20}; "
            "end other programs, or take fewer hosts with --lab-hosts"
        )
    if left.tasks is not None and left.tasks < (needed := hosts * TASKS_PER_HOST):
        found.append(
            f"{left.tasks} more processes can be started and {wanted} {needed}; "
            "run as root: sysctl -w kernel.pid_max=4194304 kernel.threads-max=1000000"
        )
    return found


def slowness() -> float:
    """Return how many times as long as usual things take here, from 1 to 5, by the load of the last minute."""
    return min(SLOWEST, max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)) / USUAL_LOAD))


def spare_inotify(wanted: int) -> int | None:
    """Return how many inotify instances of ``wanted`` can be had: made, counted, and given back at once.

    The kernel counts them for each user. The hosts' are root's, so that another user can only read the limit.
    """
    if os.geteuid() != 0:
        limit = _number(INSTANCES, wanted)
        return limit if limit < wanted else None
    libc, made = ctypes.CDLL(None), list[int]()
    try:
        while len(made) < wanted and (descriptor := libc.inotify_init1(os.O_CLOEXEC)) >= 0:
            made.append(descriptor)
    finally:
        for descriptor in made:
            os.close(descriptor)
    return len(made)


def _memory() -> int | None:
    for line in _text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return None


def _tasks() -> int | None:
    running = _text(Path("/proc/loadavg")).partition("/")[2].split()
    limits = [_number(Path("/proc/sys/kernel") / name, 0) for name in ("pid_max", "threads-max")]
    return min(limits) - int(running[0]) if running and all(limits) else None


def _number(file: Path, otherwise: int) -> int:
    text = _text(file).strip()
    return int(text) if text.isdecimal() else otherwise


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
