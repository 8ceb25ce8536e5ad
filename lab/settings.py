"""What kind of lab is asked for, and where its folder is: all that others know of a lab before it runs.

It loads nothing of what a lab is made of, so that a run begins without that: its lab is another process.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.tempdirs import of_user
from lab.kinds import DEFAULT

if TYPE_CHECKING:
    from lab.hosts import HostMode
    from lab.kinds import KindName
    from lab.palette.settings import Masks

Message = dict[str, Any]
_FILE = "settings.json"


@dataclass(frozen=True)
class LabSettings:
    """What kind of lab: how many Edge hosts, which faults, how strict a Palette, which Kubernetes distribution."""

    folder: Path
    hosts: int = 2
    faults: tuple[Message, ...] = ()
    strict_seed: int | None = None
    version: str = "4.9.0"
    masks: Masks = "refuse"
    kind: KindName = DEFAULT
    takes: tuple[float, float] = (0.0, 0.0)
    mode: HostMode = "appliance"
    machines: tuple[str, ...] = ()
    """What ``uname -m`` says on the first host, the second …; those after the last are of this machine's name."""
    kubernetes: Path | None = None
    """The directory with the programs of a Kubernetes that clusters are to run; None for clusters without one."""
    current_openssh: bool = False
    """Whether the hosts have an OpenSSH that punishes logins that fail (9.8 and later), or Debian 12's."""

    def write(self) -> None:
        """Write the settings for the lab's process, with the sources of faults that come from outside."""
        (self.folder / _FILE).write_text(json.dumps(vars(self), default=str))

    @classmethod
    def read(cls, folder: Path) -> LabSettings:
        """Read the settings of the lab in a folder."""
        told = json.loads((folder / _FILE).read_text())
        told |= {name: tuple(told[name]) for name in ("faults", "takes", "machines")}
        return cls(**{**told, "folder": folder, "kubernetes": told["kubernetes"] and Path(told["kubernetes"])})

    @property
    def site_file(self) -> Path:
        """The site file that appears when the lab is ready."""
        return self.folder / "site.yaml"

    @property
    def keeper(self) -> Path:
        """Which process answers for the lab; a folder whose process is dead can go."""
        return self.folder / "keeper"

    def discard(self) -> None:
        """Remove the folder, and last who answers for it: a process killed on the way leaves the rest to the next."""
        for entry in self.folder.glob("*"):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry != self.keeper:
                entry.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def kept(self) -> Path:
        """A mark on a lab that was left running on purpose: its starter may end, and later runs may take it."""
        return self.folder / "kept"

    @property
    def socket(self) -> Path:
        """Where the lab takes requests."""
        return self.folder / "control.sock"

    @property
    def origin(self) -> Path:
        """Of which checkout the lab is, and of which version of its code."""
        return self.folder / "origin.json"


def labs_folder() -> Path:
    """Return the folder of this user's labs, one folder each, readable by nobody else."""
    return of_user("labs", sockets=True)
