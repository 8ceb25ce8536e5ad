"""A copy of the project in which a test can run the harness as its user does; reports and temporary files are apart."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from engine.children import tied
from tests.packages import copy_to


@dataclass(frozen=True)
class Checkout:
    """Where the copy is, and where its processes put temporary files."""

    folder: Path
    temporary: Path

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        """Start Python with ``arguments`` in a process group of its own, as a terminal does; it ends with us."""
        return subprocess.Popen(
            tied([sys.executable, *arguments]),
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self.temporary), "PYTHONPATH": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @property
    def runs(self) -> list[Path]:
        """The runs that left a directory."""
        return sorted((self.folder / "reports" / "runs").glob("*"))

    @property
    def leftovers(self) -> list[str]:
        """What is left of temporary files, but for a user's (empty) folder of labs and the locks of builds."""
        found = {path.relative_to(self.temporary) for path in self.temporary.rglob("*")}
        stays = {f"palette-edge-labs-{os.getuid()}", f"palette-edge-builds-{os.getuid()}"}
        return sorted(str(path) for path in found if str(path) not in stays and path.suffix != ".lock")


def copy_project(folder: Path, temporary: Path) -> Checkout:
    """Copy what a conformance run needs."""
    copy_to(folder)
    return Checkout(folder, temporary)
