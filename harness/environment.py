"""The locked Python environment of ``./run``: made in ``.venv`` by any Python from 3.11 on, with the standard library.

``requirements.lock`` has what users' words need, ``requirements-dev.lock`` adds what own tests and lint need. A stamp
in the environment names the locks it was made from. It is written last: an interrupted installation is done again.
This process then becomes ``harness/__main__.py``, so that a signal to the pid of ``./run`` reaches what runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pwd
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":  # without the environment there is no path to the project yet
    sys.path.insert(0, str(ROOT))

from harness.words import WORDS, refusal, usage  # noqa: E402 - the path comes first

LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
SOCKET = Path("/var/run/docker.sock")
#: The variable in which a run finds the command that its user typed, for its reports.
COMMAND = "CONFORMANCE_COMMAND"
#: Signals that tell a run to end.
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: Arguments with which a word that needs an engine only prints something.
WITHOUT_A_RUN = frozenset({"-h", "--help", "--plan", "--collect-only"})
INTERRUPTED, BAD_SETUP = 2, 4
#: Seconds after which something is written of an installation into a file.
QUIET = 20.0


class CannotPrepareError(Exception):
    """The environment cannot be made; the message says what to do."""


def prepare(root: Path, kind: str) -> Path:
    """Make the environment of a kind (``run`` or ``dev``) unless it is there; return its Python.

    Raises:
        CannotPrepareError: the directory cannot be written, there is no venv module, or pip failed.

    """
    place = root / ".venv"
    try:
        with (root / ".venv.lock").open("w") as lock:  # two commands at once on a fresh clone
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not is_prepared(place, root, kind):
                _install(place, root, kind)
    except OSError as error:
        if is_prepared(place, root, kind):
            return place / "bin" / "python"
        raise CannotPrepareError(
            f"cannot write {root} ({error.strerror}); copy the repository to a place of yours"
        ) from error
    return place / "bin" / "python"


def is_prepared(place: Path, root: Path, kind: str) -> bool:
    """Return whether the environment was made whole from today's lock, by this Python."""
    stamp = _stamp(place)
    wanted = {"python": sys.version, kind: _digest(root / LOCKS[kind]), "run": _digest(root / LOCKS["run"])}
    return all(stamp.get(key) == value for key, value in wanted.items())


def _stamp(place: Path) -> dict[str, str]:
    try:
        found = json.loads((place / "stamp.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _install(place: Path, root: Path, kind: str) -> None:
    packages = (root / LOCKS[kind]).read_text().count("==")
    _say(f"installing {packages} packages into {place}, once; it takes about a minute")
    stamp = _stamp(place)
    usable = stamp.get("python") == sys.version and stamp.get("run") == _digest(root / LOCKS["run"])
    (place / "stamp.json").unlink(missing_ok=True)
    try:
        import venv  # noqa: PLC0415 - Debian's Python comes without it

        if not usable:
            venv.create(place, clear=True, with_pip=True, symlinks=True)
    except (ImportError, subprocess.CalledProcessError) as error:
        raise CannotPrepareError("this Python makes no environments; run: apt-get install python3-venv") from error
    pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    pip += ["install", "--progress-bar", "off", "--require-hashes", "-r", str(root / LOCKS[kind])]
    if _watched(pip, packages):
        raise CannotPrepareError(f"pip could not install {LOCKS[kind]} (its words are above); try again when it can")
    kinds = ("run", "dev") if kind == "dev" else ("run",)
    made = {"python": sys.version, **{each: _digest(root / LOCKS[each]) for each in kinds}}
    (place / "stamp.json").write_text(json.dumps(made))


def _watched(pip: list[str], packages: int) -> int:
    """Run pip, write how far it is, and return its exit code; its errors go to the terminal as they are."""
    fetched, told_at = 0, time.monotonic()
    with subprocess.Popen(pip, stdout=subprocess.PIPE, text=True, errors="replace") as running:
        try:
            for line in running.stdout or ():
                fetched += line.startswith("Collecting ")
                if line.startswith(("Collecting ", "Installing ")) and (sys.stderr.isatty() or _is_due(told_at)):
                    told_at = time.monotonic()
                    does = "fetched" if line.startswith("Collecting ") else "fetched; unpacking them"
                    sys.stderr.write(_status(f"run: {fetched} of {packages} packages {does}"))
        except BaseException:
            running.kill()
            raise
    sys.stderr.write("\n" if sys.stderr.isatty() and fetched else "")
    return running.returncode


def _is_due(told_at: float) -> bool:
    return time.monotonic() - told_at > QUIET


def _status(text: str) -> str:
    """Return a status that replaces the last one on a terminal, and is a line elsewhere."""
    return f"\r{text:<50}" if sys.stderr.isatty() else f"{text}\n"


def refusal_of_engine(word: str, *, socket: Path = SOCKET) -> str:
    """Return why a word that needs an engine will find none, before anything is installed; empty when it may."""
    chosen = os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT") or _has_context()
    if not WORDS[word].engine or chosen or os.geteuid() == 0 or os.access(socket, os.W_OK):
        return ""
    if socket.exists():
        return f"{socket} is not yours to use; ask root for: usermod -aG docker {_user()}; then log in again"
    return "no Docker engine is running; ask root for: apt-get install docker.io && service docker start"


def _has_context() -> bool:
    """Return whether the user chose an engine with ``docker context use``."""
    try:
        return "currentContext" in (Path.home() / ".docker" / "config.json").read_text()
    except (OSError, RuntimeError, ValueError):
        return False


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return "USER"


def _say(text: str) -> None:
    sys.stderr.write(f"run: {text}\n")


def main(arguments: list[str]) -> int:
    """Become ``harness/__main__.py`` in the environment of a word; return 4 after a line that says what to do."""
    word = arguments[0] if arguments else "help"
    if word in {"help", "-h", "--help"}:
        sys.stdout.write(usage())
        return 0
    runs = not WITHOUT_A_RUN & set(arguments)
    if said := refusal(word) or (refusal_of_engine(word) if runs else ""):
        _say(said)
        return BAD_SETUP
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an installation is ended as by Ctrl-C
    signal.signal(signal.SIGHUP, signal.default_int_handler)
    try:
        python = prepare(ROOT, "dev" if WORDS[word].developer else "run")
    except CannotPrepareError as error:
        _say(str(error))
        return BAD_SETUP
    except KeyboardInterrupt:
        _say("interrupted while installing; the next call installs anew")
        return INTERRUPTED
    return _become(python, arguments)


def _become(python: Path, arguments: list[str]) -> NoReturn:
    """Replace this process; signals are heard again when the word's own handlers are there.

    Bytecode is kept, in ``.venv`` alone, also where the user keeps none beside her own modules: every process of a run
    would compile 300 modules again, which takes seven seconds of processor time each.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    environ = {**os.environ, "PYTHONPYCACHEPREFIX": str(ROOT / ".venv" / "pycache")}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [str(python), "-P", str(ROOT / "harness" / "__main__.py"), *arguments]
    os.execve(python, command, environ)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
