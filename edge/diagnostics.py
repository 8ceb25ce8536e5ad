"""What is collected from an Edge host when a case failed.

Files that hold secrets in clear (``/oem/85_cluster_config.yaml``, the cluster's Secret, user data: docs/palette.md
§5.3) are listed with owner and mode and never copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.access import HostUnreachable
from edge.layouts import DISTRIBUTIONS, MODES

if TYPE_CHECKING:
    from pathlib import Path

    from edge.host import EdgeHost

SOCKETS = sorted(
    {mode.containerd_socket for mode in MODES.values()}
    | {each.runtime_socket for each in DISTRIBUTIONS.values() if each.runtime_socket}
)
COMMANDS = {
    "boot.txt": "cat /proc/cmdline /proc/sys/kernel/random/boot_id /etc/kairos-release; uptime; date -u",
    "units.txt": "systemctl --no-pager --failed; systemctl --no-pager list-units --type=service",
    "agent.log": "journalctl --no-pager --quiet -u stylus-agent -u spectro-stylus-agent -n 400",
    "journal.log": "journalctl --no-pager --quiet --boot -p warning -n 200",
    "upgrade.log": "tail -n 200 /var/log/stylus-upgrade.log",
    # the runtimes of either mode and of each distribution, as far as they are there
    "images.txt": f"for at in {' '.join(SOCKETS)}; do [ -S $at ] && echo $at && ctr -a $at -n k8s.io images ls; done",
    "storage.txt": "df -h; ls -la /oem /usr/local/spectrocloud /run/initramfs/cos-state/cOS /persistent/spectro",
    "network.txt": "ip -brief address; ip route; cat /etc/hosts",
}


def collect(host: EdgeHost, folder: Path) -> list[Path]:
    """Run each command and keep what it printed; a host that is lost leaves one file that says so."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, command in COMMANDS.items():
        path = folder / name
        try:
            done = host.run(f"{{ {command}; }} 2>&1")
        except HostUnreachable as error:
            lost = folder / "unreachable.txt"
            lost.write_text(f"{error}\n", encoding="utf-8")
            return [*written, lost]
        path.write_bytes(done.stdout_bytes)  # logs need not be UTF-8
        written.append(path)
    return written
