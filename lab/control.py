"""Start, find and steer labs from outside their process."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TYPE_CHECKING

from lab.site import LabSettings, labs_folder

if TYPE_CHECKING:
    from collections.abc import Callable

#: Seconds until a lab must be ready, building included: a fresh machine takes about two minutes.
READY = 600.0
#: Seconds a lab has to take itself down.
DOWN = 60.0


class LabFailed(Exception):
    """The lab did not come up; the message is the last thing it said."""


class RunningLab:
    """A lab in a process of its own, started here or found running."""

    def __init__(self, settings: LabSettings, process: subprocess.Popen[str] | None) -> None:
        self.settings = settings
        self._process = process

    @property
    def site_file(self) -> Path:
        """What everybody else needs to know about it."""
        return self.settings.site_file

    def ask(self, word: str, **more: Any) -> dict[str, Any]:
        """Say one word to the lab (``status``, ``faults``, ``power``, ``stop``). Raises OSError when it is gone."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DOWN)
            connection.connect(str(self.settings.socket))
            connection.sendall(json.dumps({"word": word, **more}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(connection.makefile().readline())
        return answer

    def stop(self) -> None:
        """Take the lab down and wait until it is."""
        try:
            self.ask("stop")
        except OSError:
            if self._process is not None:
                self._process.terminate()
        deadline = time.monotonic() + DOWN
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        shutil.rmtree(self.settings.folder, ignore_errors=True)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        try:
            self.ask("status")
        except (OSError, ValueError):
            return False
        return True


def start(settings: LabSettings, say: Callable[[str], None]) -> RunningLab:
    """Start a lab in a process of its own and wait until it is ready.

    Without ``settings.keep`` the lab ends with the process that started it, however that ends.

    Raises:
        LabFailed: it did not come up.

    """
    settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lab", "serve", "--folder", str(settings.folder), "--hosts", str(settings.hosts)]
    command += ["--faults", json.dumps(list(settings.faults))]
    command += ["--keep"] if settings.keep else []
    command += ["--strict", str(settings.strict_seed)] if settings.strict_seed is not None else []
    source = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONUNBUFFERED": "1"}
    log = (settings.folder / "log").open("w")
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE if not settings.keep else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment,
        cwd=source,
        start_new_session=True,  # Ctrl-C is for the starter, which then takes the lab down
    )
    log.close()
    try:
        _await_ready(settings, process, say)
    except BaseException:
        process.terminate()
        process.wait(DOWN)
        raise
    return RunningLab(settings, process)


def _await_ready(settings: LabSettings, process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        last = line.strip()
        if last == "ready":
            return
        say(last)
    process.wait(DOWN)
    errors = (settings.folder / "log").read_text().strip().splitlines()
    raise LabFailed(errors[-1] if errors else f"the lab ended while: {last}")


def kept() -> list[RunningLab]:
    """Find labs that were left running (``--keep-lab``, ``python -m lab up``) and answer; clear folders of dead ones."""
    found = []
    for folder in labs_folder().iterdir():
        lab = RunningLab(LabSettings(folder, keep=True), None)
        if not (folder / "kept").exists():
            continue
        try:
            lab.ask("status")
        except (OSError, ValueError):
            shutil.rmtree(folder, ignore_errors=True)
        else:
            found.append(lab)
    return found
