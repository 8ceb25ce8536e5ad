"""Process 1 of a lab Edge host: what firmware, boot loader and initramfs do on a real one.

The container of a host runs this module for as long as the host has power. Each boot is a set of namespaces of its
own (processes, mounts, cgroups) in which the chosen slot's systemd is process 1. When that systemd reboots, the kernel
ends it with SIGHUP, and the next boot begins; when it powers off, the container ends. So a reboot is the real one of
systemd, costs no restart of the container, and leaves not one mount or process of the boot before.

Layout (the documented one of a Kairos host: immutable root, persistent ``/oem`` and ``/usr/local``):

====================================  =================================================================
``/state/cos-state/cOS/active.img``   the slot that boots: a JSON record of an image and its layers
``/state/cos-state/cOS/passive.img``  the slot that boots when the active one cannot
``/state/cos-state/layers/<diff id>`` unpacked layers; the installation medium's base layer is bound here
``/state/code``                       the agent's sources; beside them Python keeps what it compiled at the first boot
``/state/oem``                        ``/oem``: user data, boot environment, the agent's state
``/state/persistent``                 ``/usr/local``; what must outlive a boot is bound from its ``.state``
``/seed``                             the installation medium, shared by all hosts, read-only
====================================  =================================================================

Standard library only, with :mod:`engine.machine`: this runs inside the host. A boot is mounted by the kernel's own
calls, for the thirty mounts of a boot as programs took a tenth of its processor time.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from engine.machine import shortages
from lab import agent_mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_LIBC = ctypes.CDLL(None, use_errno=True)


class Flags(enum.IntFlag):
    """Flags of mount(2), from ``linux/mount.h``."""

    NONE = 0
    READ_ONLY = 1
    REMOUNT = 1 << 5
    BIND = 1 << 12
    MOVE = 1 << 13
    RECURSIVE = 1 << 14
    PRIVATE = 1 << 18


#: New mounts, control groups, System V objects and processes: CLONE_NEW* of ``linux/sched.h``.
NAMESPACES = 0x00020000 | 0x02000000 | 0x08000000 | 0x20000000
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of ``linux/prctl.h``
_DETACH = 2  # MNT_DETACH of umount(2)

STATE = Path("/state")
SEED = Path("/seed")
SOURCES = Path("/opt/lab")
CODE = STATE / "code"
PROGRAMS = "programs"  # of a Kubernetes, where the lab has one
SLOTS = STATE / "cos-state" / "cOS"
LAYERS = STATE / "cos-state" / "layers"
PERSISTENT = STATE / "persistent"
CONTAINERD = PERSISTENT / ".state" / "var-lib-containerd.bind"
MEDIUM = Path("/run/initramfs/live")  # where a booted host sees /seed
LARGE = 1 << 20  # bytes
BOOT = Path("/boot-area")  # a mount of this boot only; gone with its namespace

#: Directories of an immutable host that outlive a boot: bound from ``/usr/local/.state`` (Kairos' list, shortened).
PERSISTENT_BINDS = ("etc/ssh", "etc/kubernetes", "var/lib/containerd", "var/lib/kubelet", "var/log", "home")

REBOOT = -signal.SIGHUP
POWER_OFF = -signal.SIGINT


# --- the power supply: process 1 of the container -------------------------------------------------------------------


class Machine:
    """The machine a host's systemd runs on: boots, reboots, loses power."""

    def __init__(self) -> None:
        self._boot = 0
        self._power_cut = False

    def run(self) -> int:
        """Boot until the system powers off; the container's exit status."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGUSR1, self._cut_power)
        install()
        while not _too_little():
            self._power_cut = False
            self._boot = _in_background(_boot_in_namespaces)
            status = self._wait(self._boot)
            _log(f"boot ended with {status}")
            if status == POWER_OFF and not self._power_cut:
                return 0
            if status != REBOOT and not self._power_cut:
                _too_little()  # systemd seldom says why it cannot start
                return 1
        return 1

    @staticmethod
    def _wait(pid: int) -> int:
        """Wait for ``pid`` and reap, as process 1 must, whatever else ends meanwhile."""
        while True:
            ended, status = os.wait()
            if ended == pid:
                return os.waitstatus_to_exitcode(status)

    def _kill(self) -> None:
        """End the boot's process 1, and so all of it before anything else begins; two boots would share the disk."""
        if not self._boot:
            return
        children = Path(f"/proc/{self._boot}/task/{self._boot}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
                return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._boot, signal.SIGKILL)

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._kill()
        sys.exit(0)

    def _cut_power(self, _signal: int, _frame: FrameType | None) -> None:
        """Lose power for a moment: no shutdown, no syncing units, a fresh boot at once."""
        self._power_cut = True
        self._kill()


def _in_background(work: Callable[[], NoReturn]) -> int:
    """Fork a process that does ``work`` and ends with it; return the number of that process."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        work()
    return child


def _boot_in_namespaces() -> NoReturn:
    """Boot in new namespaces, and end as that boot's process 1 does: by the same signal, or with its status."""
    _call("unshare", NAMESPACES)
    status = os.waitstatus_to_exitcode(os.waitpid(_in_background(boot), 0)[1])
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)


def _too_little() -> bool:
    """Return whether the machine has too little left for a boot, which would end without a container runtime."""
    found = shortages(1)
    for line in found:
        _log(line)
    return bool(found)


def _log(message: str) -> None:
    sys.stdout.write(f"firmware: {message}\n")
    sys.stdout.flush()


# --- installation: once in the life of a host -----------------------------------------------------------------------


def install() -> None:
    """Install the host from its medium: slots, layers, containerd's store, user data. Does nothing the second time."""
    if (SLOTS / "active.img").exists():
        return
    medium = json.loads((SEED / "medium.json").read_text())
    for directory in (SLOTS, LAYERS, PERSISTENT / ".state", STATE / "oem"):
        directory.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(CODE, ignore_errors=True)  # of an installation that was interrupted
    shutil.copytree(SOURCES, CODE, ignore=shutil.ignore_patterns(PROGRAMS, "__pycache__"))
    (LAYERS / medium["diff_id"]).mkdir(exist_ok=True)
    shutil.rmtree(CONTAINERD, ignore_errors=True)  # of an installation that was interrupted
    shutil.copytree(SEED / "containerd", CONTAINERD, symlinks=True, ignore=_base_layer, copy_function=_copy_or_link)
    if agent_mode.is_wanted():
        (PERSISTENT / ".state/var-lib-spectro.bind").mkdir()
        shutil.copy(agent_mode.USER_DATA, PERSISTENT / ".state/var-lib-spectro.bind/userdata")
    for source in Path("/user-data").glob("*.yaml"):
        shutil.copy(source, STATE / "oem" / source.name)
        (STATE / "oem" / source.name).chmod(0o600)
    slot = {"image": medium["image"], "digest": medium["digest"], "layers": [medium["diff_id"]]}
    temporary = SLOTS / "active.img.new"
    temporary.write_text(json.dumps(slot))
    shutil.copy(temporary, SLOTS / "passive.img")
    temporary.rename(SLOTS / "active.img")


def _base_layer(directory: str, names: list[str]) -> list[str]:
    """Leave out the unpacked base layer: it is bound from the medium at every boot instead."""
    return [name for name in names if name == "fs" and directory.endswith("/snapshots/1")]


def _copy_or_link(source: str, target: str) -> None:
    """Copy what is small or changes; a large blob stays on the medium and is found there through a link."""
    if "/blobs/" in source and Path(source).stat().st_size > LARGE:
        Path(target).symlink_to(MEDIUM / Path(source).relative_to(SEED))
    else:
        shutil.copy2(source, target)


# --- one boot: process 1 of the boot's own namespaces ----------------------------------------------------------------


def boot() -> NoReturn:
    """Mount the slot's root and hand over to its init. Falls back to the passive slot if the active one is broken."""
    _call("prctl", _PARENT_DEATH_SIGNAL, signal.SIGKILL)
    mount("none", Path("/"), Flags.PRIVATE | Flags.RECURSIVE)
    BOOT.mkdir(exist_ok=True)
    mount("tmpfs", BOOT, kind="tmpfs")
    bind_medium()
    name, slot = choose_slot()
    root = BOOT / "root"
    mount_root(root, slot)
    mount_kernel_views(root, name)
    mount_ephemeral(root)
    mount_persistent(root)
    identify(root, name, slot)
    if agent_mode.is_wanted():
        agent_mode.lay_out(root)
    os.chdir(root)
    mount(".", Path("/"), Flags.MOVE)
    os.chroot(".")
    os.chdir("/")
    environment = {"container": "docker", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    os.execve("/sbin/init", ["/sbin/init"], environment)  # noqa: S606 - it becomes process 1 of the slot


def bind_medium() -> None:
    """Bind the base layer from the shared medium to where this host's slots and containerd look for it."""
    medium = json.loads((SEED / "medium.json").read_text())
    snapshot = "io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs"
    (CONTAINERD / snapshot).mkdir(parents=True, exist_ok=True)
    for target in (CONTAINERD / snapshot, LAYERS / medium["diff_id"]):
        bind(SEED / "containerd" / snapshot, target, read_only=True)


def choose_slot() -> tuple[str, dict[str, object]]:
    """Take the active slot, or the passive one if a layer of the active is missing or holds no init."""
    for name in ("active", "passive"):
        try:
            slot: dict[str, object] = json.loads((SLOTS / f"{name}.img").read_text())
        except (OSError, ValueError):
            continue
        if all((LAYERS / str(layer)).is_dir() for layer in _layers(slot)) and _has_init(slot):
            return name, slot
    sys.exit("firmware: no bootable slot")


def _layers(slot: dict[str, object]) -> list[str]:
    layers = slot.get("layers")
    return [str(layer) for layer in layers] if isinstance(layers, list) else []


def _has_init(slot: dict[str, object]) -> bool:
    return any((LAYERS / layer / "usr/sbin/init").is_symlink() or (LAYERS / layer / "sbin/init").exists()
               for layer in _layers(slot))  # fmt: skip


def mount_root(root: Path, slot: dict[str, object]) -> None:
    """Mount the slot's layers, top first, read-only: the root of an Edge host is immutable."""
    root.mkdir()
    (BOOT / "points").mkdir()  # mount points that an image need not have
    own = agent_mode.PERSISTENT if agent_mode.is_wanted() else ()
    for point in ("oem", "usr/local", "run", "tmp", "proc", "sys", "dev", "state", "seed", "home", *own):
        (BOOT / "points" / point).mkdir(parents=True, exist_ok=True)
    lower = [str(LAYERS / layer) for layer in reversed(_layers(slot))]
    mount("overlay", root, Flags.READ_ONLY, kind="overlay", data="lowerdir=" + ":".join([*lower, f"{BOOT}/points"]))


def mount_kernel_views(root: Path, slot: str) -> None:
    """Mount /proc for the boot, with its boot id and command line, /sys, /dev and a writable cgroup tree."""
    mount("proc", root / "proc", kind="proc")
    bind(Path("/sys"), root / "sys", deep=True)
    bind(Path("/dev"), root / "dev", deep=True)
    mount_cgroups(root / "sys/fs/cgroup")
    words = agent_mode.COMMAND_LINE if agent_mode.is_wanted() else command_line(slot)
    views = (("sys/kernel/random/boot_id", str(uuid.uuid4())), ("cmdline", words))
    for name, text in views:
        view = BOOT / Path(name).name
        view.write_text(text + "\n")
        bind(view, root / "proc" / name, read_only=True)


def command_line(slot: str) -> str:
    """Return the kernel's command line as the boot loader of a Kairos host writes it; a fallback says why it is one."""
    words = ["BOOT_IMAGE=(loop0)/boot/vmlinuz", f"root=LABEL=COS_{slot.upper()}", f"cos-img/filename=/cOS/{slot}.img"]
    return " ".join([*words, *(["upgrade_failure"] if slot == "passive" else [])])


def mount_cgroups(target: Path) -> None:
    """Mount what systemd needs of the control groups: the unified tree, or on version 1 its own named hierarchy."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    _LIBC.umount2(os.fsencode(target), _DETACH)  # nothing may be mounted there
    if unified:
        mount("cgroup2", target, kind="cgroup2")
        return
    mount("tmpfs", target, kind="tmpfs")
    (target / "systemd").mkdir()
    mount("cgroup", target / "systemd", kind="cgroup", data="none,name=systemd,xattr")


def mount_ephemeral(root: Path) -> None:
    """Lay a writable, forgetful layer over /etc and /var, and empty /run and /tmp."""
    for name in ("run", "tmp"):
        mount("tmpfs", root / name, kind="tmpfs", data="mode=1777" if name == "tmp" else "mode=755")
    for name in ("etc", "var"):
        upper, work = BOOT / f"{name}-upper", BOOT / f"{name}-work"
        upper.mkdir()
        work.mkdir()
        lower = root / name
        mount("overlay", lower, kind="overlay", data=f"lowerdir={lower},upperdir={upper},workdir={work}")


def mount_persistent(root: Path) -> None:
    """Bind what outlives the boot: /oem, /usr/local, the slots, the medium, and Kairos' persistent directories."""
    bind(STATE / "oem", root / "oem")
    bind(PERSISTENT, root / "usr/local")
    for name in (*PERSISTENT_BINDS, *(agent_mode.PERSISTENT if agent_mode.is_wanted() else ())):
        kept = PERSISTENT / ".state" / (name.replace("/", "-") + ".bind")
        target = root / name
        target.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            _keep(target, kept)
        bind(kept, target, deep=True)
    for source, place in ((STATE / "cos-state", "run/initramfs/cos-state"), (SEED, "run/initramfs/live")):
        (root / place).mkdir(parents=True, exist_ok=True)
        bind(source, root / place, deep=True)
    (root / "run/lab").mkdir()
    bind(CODE, root / "run/lab")
    if (SOURCES / PROGRAMS).exists():
        (CODE / PROGRAMS).mkdir(exist_ok=True)
        bind(SOURCES / PROGRAMS, root / "run/lab" / PROGRAMS)


def _keep(image: Path, kept: Path) -> None:
    """Begin a persistent directory with what the image has there; a host's SSH keys are its own, never the image's."""
    partial = kept.with_name(kept.name + ".new")
    shutil.rmtree(partial, ignore_errors=True)
    subprocess.run(["cp", "--archive", str(image), str(partial)], check=True)  # owners too, unlike copytree
    if image.name == "ssh":
        for key in partial.glob("ssh_host_*"):
            key.unlink()
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(partial / "ssh_host_ed25519_key")]
        subprocess.run(command, check=True)
    partial.rename(kept)


def identify(root: Path, name: str, slot: dict[str, object]) -> None:
    """Write what a network and a cloud-config give a booting host: name, resolver, machine id, users' keys."""
    (root / "run/initramfs/slot").write_text(json.dumps({**slot, "name": name}))
    for file in ("hosts", "resolv.conf", "hostname"):
        shutil.copy(Path("/etc") / file, root / "etc" / file)
    machine_id = STATE / "cos-state" / "machine-id"
    if not machine_id.exists():
        machine_id.write_text(uuid.uuid4().hex + "\n")
    shutil.copy(machine_id, root / "etc/machine-id")
    if not agent_mode.is_wanted():
        (root / "run/cos").mkdir()
        (root / f"run/cos/{name}_mode").touch()
    if (machine := Path("/user-data/machine")).exists():
        _rename_machine(root, machine.read_text())
    keys = Path("/user-data/authorized_keys")
    if keys.exists():
        _authorize(root, keys.read_text())


def _rename_machine(root: Path, machine: str) -> None:
    """Make ``uname -m`` print another machine's name. Images for that machine are pulled; they run as before."""
    uname, other = root / "usr/bin/uname", BOOT / "uname"
    shutil.copy(uname, root / "run/uname")
    other.write_text(f'#!/bin/sh\n[ "$*" = -m ] && echo {machine} && exit\nexec /run/uname "$@"\n')
    other.chmod(0o755)
    bind(other, uname)


def _authorize(root: Path, keys: str) -> None:
    directory = root / "home/kairos/.ssh"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "authorized_keys").write_text(keys)
    owner = (root / "home/kairos").stat()
    for path, mode in ((directory, 0o700), (directory / "authorized_keys", 0o600)):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(mode)


def bind(source: Path, target: Path, *, deep: bool = False, read_only: bool = False) -> None:
    """Show ``source`` at ``target`` as well, if ``deep`` with what is mounted below it. Raises OSError."""
    mount(str(source), target, Flags.BIND | (Flags.RECURSIVE if deep else Flags.NONE))
    if read_only:
        mount("none", target, Flags.REMOUNT | Flags.BIND | Flags.READ_ONLY)


def mount(source: str, target: Path, flags: Flags = Flags.NONE, *, kind: str = "", data: str = "") -> None:
    """Mount a file system of this ``kind``, with its options ``data``, or do what ``flags`` say.

    All of it is mount(2)'s. Raises OSError, which ends the boot with its words on the console.
    """
    _call("mount", os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode())


def _call(name: str, *arguments: object) -> None:
    """Call a function of the C library that returns 0 unless it fails. Raises OSError."""
    if _LIBC[name](*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), " ".join(map(str, (name, *arguments))))


if __name__ == "__main__":
    sys.exit(Machine().run())
