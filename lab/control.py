"""Start, find and steer labs from outside their process.

A lab that was left running belongs to the checkout that started it, and to the version of the code it was started from.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from engine.children import environment
from engine.ownership import is_alive, sign
from lab.settings import LabSettings, Message, labs_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

#: Seconds until a lab must be ready, building included: a fresh machine takes about two minutes.
READY = 600.0
#: Seconds a lab has to take itself down.
DOWN = 60.0
#: Seconds in which whoever makes a lab's folder has written down who answers for it.
YOUNG = 60.0


class LabFailed(Exception):  # noqa: N818 - it says what happened
    """The lab did not come up, or cannot do what it was asked; the message is what it said."""


class RunningLab:
    """A lab in a process of its own, started here or found running."""

    def __init__(self, settings: LabSettings, process: subprocess.Popen[str] | None) -> None:
        self.settings = settings
        self._process = process

    @property
    def site_file(self) -> Path:
        """What everybody else needs to know about it."""
        return self.settings.site_file

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.settings.folder.name

    @property
    def origin(self) -> dict[str, str]:
        """Where it comes from: see :func:`origin`."""
        try:
            found: dict[str, str] = json.loads(self.settings.origin.read_text())
        except (OSError, ValueError):
            return {}
        return found

    def ask(self, word: str, **more: object) -> Message:
        """Send one request (:mod:`lab.serving`) and return the answer.

        Raises:
            OSError: it is gone.
            LabFailed: it cannot do that; the message says why.

        """
        with socket.socket(socket.AF_UNIX) as connection:
            return self._exchange(connection, {"word": word, **more})

    @contextlib.contextmanager
    def taken(self, run: str, faults: Sequence[Mapping[str, object]] = ()) -> Iterator[None]:
        """Have the lab for a run, with these seeded faults. They end with the context, or with this process.

        Raises as :meth:`ask`; LabFailed also when another run has it.
        """
        with socket.socket(socket.AF_UNIX) as connection:
            self._exchange(connection, {"word": "take", "run": run, "faults": list(faults)})
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # it may have gone before
                    connection.shutdown(socket.SHUT_WR)
                    connection.recv(1)  # the lab closes the connection when it is as it was

    def keep(self) -> None:
        """Leave the lab running when this process ends. Raises as :meth:`ask`."""
        self.ask("keep")
        if self._process is not None:
            _close_pipes(self._process)
            self._process.returncode = 0  # from now on its end is not ours to wait for
            self._process = None

    def _exchange(self, connection: socket.socket, request: dict[str, object]) -> Message:
        connection.settimeout(DOWN)
        connection.connect(str(self.settings.socket))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile() as lines:
            line = lines.readline()
        if not line:
            raise ConnectionResetError(f"the lab {self.name} went away while it was asked")
        answer: Message = json.loads(line)
        if "error" in answer:
            raise LabFailed(f"lab {self.name}: {answer['error']}")
        return answer

    def stop(self) -> None:
        """Take the lab down and wait until it is, also when that is interrupted: nobody else removes its folder."""
        try:
            self._end_politely()
        except BaseException:
            self._end_politely()
            raise
        finally:
            if self._process is not None:
                _end(self._process)
            self.settings.discard()

    def _end_politely(self) -> None:
        try:
            self.ask("stop")
        except OSError:
            if self._process is not None:
                self._process.terminate()
        deadline = time.monotonic() + DOWN
        while self._alive() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return is_running(self.settings)


def is_running(settings: LabSettings) -> bool:
    """Return whether the process that answers for a lab's folder is alive."""
    try:
        return is_alive(settings.keeper.read_text())
    except OSError:
        return False


def _end(process: subprocess.Popen[str]) -> None:
    """See to it that the lab's process and the pipes to it are gone."""
    if process.poll() is None:
        process.kill()
    _close_pipes(process)
    process.wait()


def _close_pipes(process: subprocess.Popen[str]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def start(settings: LabSettings, say: Callable[[str], None]) -> RunningLab:
    """Start a lab in a process of its own and wait until it is ready.

    The lab ends with the process that started it, however that ends, unless :meth:`RunningLab.keep` is called.

    Raises:
        LabFailed: it did not come up.

    """
    with contextlib.ExitStack() as undoing:
        undoing.callback(settings.discard)
        settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sign(settings.keeper)  # until the lab's process answers for the folder
        settings.origin.write_text(json.dumps(origin()))
        settings.write()
        process = _begin(settings)
        undoing.callback(_give_up, process)
        _await_ready(settings, process, say)
        undoing.pop_all()
    return RunningLab(settings, process)


def _begin(settings: LabSettings) -> subprocess.Popen[str]:
    source = Path(__file__).resolve().parent.parent
    with (settings.folder / "log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "lab", "serve", str(settings.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env=environment(PYTHONPATH=str(source), PYTHONUNBUFFERED="1"),
            cwd=source,
            start_new_session=True,  # Ctrl-C is for the starter, which then takes the lab down
        )


def _give_up(process: subprocess.Popen[str]) -> None:
    """End a lab that did not come up: politely, so that it removes what it has."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(DOWN)
    _end(process)


def _await_ready(settings: LabSettings, process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    last, late = "", threading.Timer(READY, process.terminate)
    late.daemon = True
    late.start()
    try:
        for line in process.stdout:
            last = line.strip()
            if last == "ready":
                return
            say(last)
    finally:
        expired = late.finished.is_set()
        late.cancel()
    if expired:
        raise LabFailed(f"the lab was not ready within {READY:g} s; it was at: {last or 'nothing yet'}")
    with contextlib.suppress(subprocess.TimeoutExpired):  # what it wrote tells more than that it lingers
        process.wait(DOWN)
    errors = (settings.folder / "log").read_text().strip().splitlines()
    raise LabFailed(errors[-1] if errors else f"the lab ended while: {last}")


def origin() -> dict[str, str]:
    """Return what tells this checkout from others, and this version of what labs are made of from others."""
    root = Path(__file__).resolve().parent.parent
    code = hashlib.sha256()
    parts = [*(root / "lab").rglob("*"), *(root / "registry" / "transforms").rglob("*"), root / "engine" / "machine.py"]
    for file in sorted(parts):
        if file.is_file() and "__pycache__" not in file.parts:
            code.update(str(file.relative_to(root)).encode() + hashlib.sha256(file.read_bytes()).digest())
    return {"checkout": f"{root} ({root.stat().st_ino})", "code": code.hexdigest()[:12]}


def kept() -> list[RunningLab]:
    """Find this checkout's labs that were left running (``--keep-lab``, ``./run lab up``)."""
    checkout = origin()["checkout"]
    return [lab for lab in _all_kept() if lab.origin.get("checkout") == checkout]


def kept_elsewhere() -> int:
    """Return how many labs of other checkouts this user has left running."""
    return len(_all_kept()) - len(kept())


def _all_kept() -> list[RunningLab]:
    """Find labs that were left running; clear the folders of dead ones."""
    found = []
    for folder in labs_folder().iterdir():
        settings = LabSettings(folder)
        if not settings.keeper.exists():
            if not _is_young(folder):
                settings.discard()
            continue
        if not is_running(settings):
            settings.discard()
        elif settings.kept.exists():
            found.append(RunningLab(settings, None))
    return found


def _is_young(folder: Path) -> bool:
    """Return whether a folder may be one that is just being made, by a process that lives."""
    with contextlib.suppress(OSError):
        drafts = [draft.read_text() for draft in folder.glob(f"{LabSettings(folder).keeper.name}.*")]
        if any(draft and not is_alive(draft) for draft in drafts):  # an empty one is just being written
            return False
        return time.time() - folder.stat().st_mtime < YOUNG
    return False
