"""What a boot of an Edge host is: its identity, its slot, its image, and the proof that there was another one."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

#: One command, one round trip: everything that tells one boot from another. A run takes this look most often, so the
#: shell reads by itself: on a Kairos host it starts no program.
READ = """\
said() { while IFS= read -r line || [ -n "$line" ]; do printf '%s\\n' "$line"; done < "$1"; }
said /proc/sys/kernel/random/boot_id; echo ---; said /proc/cmdline; echo ---
if [ -r /etc/kairos-release ]; then said /etc/kairos-release; else grep KAIROS_ /etc/os-release; fi; echo ---
for mode in /run/cos/*; do [ ! -e "$mode" ] || echo "${mode##*/}"; done; echo ---
{ read -r up _ < /proc/uptime; read -r one < /proc/1/stat; } 2> /dev/null; set -- ${one##*)}; echo "$up ${20}"
"""
_PARTS = 5
_TICKS = 100.0  # per second, in what Linux tells of processes
_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SLOTS = {"COS_ACTIVE": "active", "COS_PASSIVE": "passive", "COS_RECOVERY": "recovery"}


@dataclass(frozen=True)
class BootFacts:
    """One boot.

    ``slot`` is ``active``, ``passive``, ``recovery`` or ``unknown``; ``upgrade_failure`` tells of a fallback after a
    failed upgrade; ``release`` holds the ``KAIROS_*`` variables, which name the booted provider image; ``began`` is
    when the first process started, by this machine's clock, None if the host does not tell for how long it runs.
    """

    boot_id: str
    slot: str
    upgrade_failure: bool
    release: dict[str, str]
    began: datetime | None = field(default=None, compare=False)

    @property
    def names_image(self) -> bool:
        """Whether the host names the image that it has booted."""
        return "KAIROS_IMAGE_LABEL" in self.release

    @property
    def image(self) -> str:
        """The booted provider image as its release file names it: ``repository:label``."""
        return f"{self.release.get('KAIROS_IMAGE_REPO', '?')}:{self.release.get('KAIROS_IMAGE_LABEL', '?')}"


def read_facts(output: str) -> BootFacts:
    """Read what :data:`READ` printed. Raises ValueError when it is cut short, or has no boot id."""
    parts = [part.strip() for part in output.split("---\n")]
    if len(parts) != _PARTS or not all((parts[0], parts[1], parts[-1])):
        raise ValueError(f"the look at the boot was cut short: {output[-80:]!a}")
    boot_id, command_line, release, modes, up = parts
    if not _BOOT_ID.fullmatch(boot_id):
        raise ValueError(f"the look at the boot found no boot id but {boot_id[:80]!a}")
    failed = "upgrade_failure" in command_line.split()
    return BootFacts(boot_id, _slot(command_line, modes), failed, _variables(release), _began(up))


def _began(up: str) -> datetime | None:
    """Return when process 1 started: in a container the machine has been up for longer."""
    try:
        seconds, ticks = map(float, up.split())
        return datetime.now(UTC) - timedelta(seconds=seconds - ticks / _TICKS)
    except (ValueError, OverflowError):  # no numbers, or none that a time can have
        return None


def _slot(command_line: str, modes: str) -> str:
    """Return the slot by the root's label, or by the sentinel that its init leaves where there is no label."""
    labels = (name for label, name in _SLOTS.items() if f"LABEL={label}" in command_line)
    sentinels = (name for name in _SLOTS.values() if f"{name}_mode" in modes.split())
    return next(labels, None) or next(sentinels, "unknown")


def _variables(release: str) -> dict[str, str]:
    """Read a file of shell assignments; of a line that no shell would accept the value is kept as it stands."""
    found = {}
    for line in release.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            try:
                found[name] = " ".join(shlex.split(value))
            except ValueError:
                found[name] = value
    return found


@dataclass(frozen=True)
class RebootProof:
    """Whether a host really started another system: two facts that must agree, and what is missing."""

    new_boot: bool
    new_image: bool

    @property
    def holds(self) -> bool:
        """A new boot of another image."""
        return self.new_boot and self.new_image

    def __str__(self) -> str:
        boot = "a new boot id" if self.new_boot else "the same boot id"
        image = "another image" if self.new_image else "the same image"
        return f"{boot}, {image}"


def reboot_proof(before: BootFacts, after: BootFacts) -> RebootProof:
    """Compare two looks at a host."""
    return RebootProof(before.boot_id != after.boot_id, before.image != after.image)
