"""What a lab host in agent mode shows: a Linux of its owner's, with Palette's agent beside what was there.

Units, directories and user data are where docs/palette.md §5.1 has them for agent mode; there is no sentinel, slot or
release file of Kairos. Where the content of a provider image goes no page says. The lab's choice: each boot lays it
over the system, as in appliance mode, and nothing on the host tells which image that was. The container runtime keeps
its images where it does on any lab host.

Standard library only: this runs inside the host, before its systemd.
"""

from __future__ import annotations

import shutil
from pathlib import Path

#: In the mount that the host was given: there in agent mode only.
USER_DATA = Path("/user-data/userdata")
ROOT = "/persistent/spectro"
#: Directories that outlive a boot, beside those of every lab host.
PERSISTENT = ("persistent/spectro", "var/lib/spectro")
COMMAND_LINE = "BOOT_IMAGE=/boot/vmlinuz root=/dev/sda1 ro quiet"
_UNITS = "etc/systemd/system"
_OFF = "/dev/null"
_RUNTIME = """\
[Unit]
Description=The container runtime of Palette's agent
After=network.target local-fs.target

[Service]
Type=notify
ExecStart=/usr/bin/containerd --state /run/spectro/containerd/state --address /run/spectro/containerd/containerd.sock
Delegate=yes
KillMode=process
Restart=always
RestartSec=1
"""


def is_wanted() -> bool:
    """Return whether this host is one in agent mode."""
    return USER_DATA.exists()


def lay_out(root: Path) -> None:
    """Change a system that is about to boot into one of a host in agent mode."""
    for name in ("etc/spectro", "persistent/spectro/opt/spectrocloud/state"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/spectro/environment").write_text(f"STYLUS_ROOT={ROOT}\n")
    for sentinel in ("agent-mode", "setup_done"):
        (root / "persistent/spectro/opt/spectrocloud/state" / sentinel).touch()
    shutil.move(root / "etc/kairos-release", root / "run/initramfs/provider-release")
    _rename_agent(root / _UNITS)
    _rename_runtime(root / _UNITS)


def _rename_agent(units: Path) -> None:
    text = (units / "stylus-agent.service").read_text().replace("containerd.service", "spectro-containerd.service")
    (units / "spectro-stylus-agent.service").write_text(text)
    if (units / "stylus-agent.service.d").exists():
        shutil.copytree(units / "stylus-agent.service.d", units / "spectro-stylus-agent.service.d")
        shutil.rmtree(units / "stylus-agent.service.d")
    _start(units, "stylus-agent", "spectro-stylus-agent")


def _rename_runtime(units: Path) -> None:
    if (units / "containerd.service").is_symlink():  # masked: K3s or RKE2 has its own
        return
    (units / "spectro-containerd.service").write_text(_RUNTIME)
    _start(units, "containerd", "spectro-containerd")


def _start(units: Path, before: str, unit: str) -> None:
    """Have a unit started in place of another, which is there no more."""
    wants = units / "multi-user.target.wants"
    (wants / f"{before}.service").unlink(missing_ok=True)
    (wants / f"{unit}.service").symlink_to(f"/{_UNITS}/{unit}.service")
    (units / f"{before}.service").unlink(missing_ok=True)
    (units / f"{before}.service").symlink_to(_OFF)
