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
``/state/oem``                        ``/oem``: user data, boot environment, the agent's state
``/state/persistent``                 ``/usr/local``; what must outlive a boot is bound from its ``.state``
``/seed``                             the installation medium, shared by all hosts, read-only
====================================  =================================================================

Standard library only, with :mod:`engine.machine`: this runs inside the host.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from engine.machine import shortages
from lab import agent_mode

if TYPE_CHECKING:
    from types import FrameType

STATE = Path("/state")
SEED = Path("/seed")
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
        self._boot: subprocess.Popen[bytes] | None = None
        self._power_cut = False

    def run(self) -> int:
        """Boot until the system powers off; the container's exit status."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGUSR1, self._cut_power)
        install()
        while not _too_little():
            self._power_cut = False
            self._boot = subprocess.Popen(
                ["unshare", "--pid", "--fork", "--mount", "--ipc", "--cgroup", "--kill-child=KILL",
                 sys.executable, "-m", "lab.firmware", "boot"]
            )  # fmt: skip
            status = self._wait(self._boot.pid)
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
        if self._boot is None:
            return
        children = Path(f"/proc/{self._boot.pid}/task/{self._boot.pid}/children")
        with contextlib.suppress(OSError):
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGKILL)
                return
        self._boot.kill()

    def _end(self, _signal: int, _frame: FrameType | None) -> None:
        self._kill()
        sys.exit(0)

    def _cut_power(self, _signal: int, _frame: FrameType | None) -> None:
        """Lose power for a moment: no shutdown, no syncing units, a fresh boot at once."""
        self._power_cut = True
        self._kill()


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


def boot() -> None:
    """Mount the slot's root and hand over to its init. Falls back to the passive slot if the active one is broken."""
    mount("--make-rprivate", "/")
    BOOT.mkdir(exist_ok=True)
    mount("-t", "tmpfs", "tmpfs", str(BOOT))
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
    mount("--move", ".", "/")
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
        mount("--bind", str(SEED / "containerd" / snapshot), str(target))
        mount("-o", "remount,bind,ro", str(target))


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
    mount("-t", "overlay", "overlay", "-o", "ro,lowerdir=" + ":".join([*lower, str(BOOT / "points")]), str(root))


def mount_kernel_views(root: Path, slot: str) -> None:
    """Mount /proc for the boot, with its boot id and command line, /sys, /dev and a writable cgroup tree."""
    mount("-t", "proc", "proc", str(root / "proc"))
    mount("--rbind", "/sys", str(root / "sys"))
    mount("--rbind", "/dev", str(root / "dev"))
    mount_cgroups(root / "sys/fs/cgroup")
    words = agent_mode.COMMAND_LINE if agent_mode.is_wanted() else command_line(slot)
    views = (("sys/kernel/random/boot_id", str(uuid.uuid4())), ("cmdline", words))
    for name, text in views:
        view = BOOT / Path(name).name
        view.write_text(text + "\n")
        mount("--bind", str(view), str(root / "proc" / name))
        mount("-o", "remount,bind,ro", str(root / "proc" / name))


def command_line(slot: str) -> str:
    """Return the kernel's command line as the boot loader of a Kairos host writes it; a fallback says why it is one."""
    words = ["BOOT_IMAGE=(loop0)/boot/vmlinuz", f"root=LABEL=COS_{slot.upper()}", f"cos-img/filename=/cOS/{slot}.img"]
    return " ".join([*words, *(["upgrade_failure"] if slot == "passive" else [])])


def mount_cgroups(target: Path) -> None:
    """Mount what systemd needs of the control groups: the unified tree, or on version 1 its own named hierarchy."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    subprocess.run(["umount", "-l", str(target)], check=False, stderr=subprocess.DEVNULL)
    if unified:
        mount("-t", "cgroup2", "cgroup2", str(target))
        return
    mount("-t", "tmpfs", "tmpfs", str(target))
    (target / "systemd").mkdir()
    mount("-t", "cgroup", "-o", "none,name=systemd,xattr", "cgroup", str(target / "systemd"))


def mount_ephemeral(root: Path) -> None:
    """Lay a writable, forgetful layer over /etc and /var, and empty /run and /tmp."""
    for name in ("run", "tmp"):
        mount("-t", "tmpfs", "-o", "mode=1777" if name == "tmp" else "mode=755", "tmpfs", str(root / name))
    for name in ("etc", "var"):
        upper, work = BOOT / f"{name}-upper", BOOT / f"{name}-work"
        upper.mkdir()
        work.mkdir()
        target = str(root / name)
        mount("-t", "overlay", "overlay", "-o", f"lowerdir={target},upperdir={upper},workdir={work}", target)


def mount_persistent(root: Path) -> None:
    """Bind what outlives the boot: /oem, /usr/local, the slots, the medium, and Kairos' persistent directories."""
    mount("--bind", str(STATE / "oem"), str(root / "oem"))
    mount("--bind", str(PERSISTENT), str(root / "usr/local"))
    for name in (*PERSISTENT_BINDS, *(agent_mode.PERSISTENT if agent_mode.is_wanted() else ())):
        kept = PERSISTENT / ".state" / (name.replace("/", "-") + ".bind")
        target = root / name
        target.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            _keep(target, kept)
        mount("--rbind", str(kept), str(target))
    for source, place in ((STATE / "cos-state", "run/initramfs/cos-state"), (SEED, "run/initramfs/live")):
        (root / place).mkdir(parents=True, exist_ok=True)
        mount("--rbind", str(source), str(root / place))
    source_tree = root / "run" / "lab"
    source_tree.mkdir()
    mount("--rbind", "/opt/lab", str(source_tree))


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
    mount("--bind", str(other), str(uname))


def _authorize(root: Path, keys: str) -> None:
    directory = root / "home/kairos/.ssh"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "authorized_keys").write_text(keys)
    owner = (root / "home/kairos").stat()
    for path, mode in ((directory, 0o700), (directory / "authorized_keys", 0o600)):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(mode)


def mount(*arguments: str) -> None:
    """Mount like the command; a failure ends the boot with mount's own words on the console."""
    subprocess.run(["mount", *arguments], check=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["boot"]:
        boot()
    sys.exit(Machine().run())
