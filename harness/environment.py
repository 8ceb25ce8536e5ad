"""The locked Python environment of ``./run``: made in ``.venv`` by any Python from 3.11 on, with the standard library.

``requirements.lock`` has what users' words need, ``requirements-dev.lock`` adds what own tests and lint need. A stamp
in the environment names the locks it was made from. It is written last: an interrupted installation is done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"run": "requirements.lock", "dev": "requirements-dev.lock"}
#: Words for people who work on the harness itself.
DEVELOPERS = frozenset({"tests", "endurance", "lint", "page", "update-lock"})
#: Words that are done without a Docker engine.
WITHOUT_ENGINE = frozenset(
    {"help", "-h", "--help", "lint", "update-lock", "report", "verify", "certify", "keygen", "trend"}
)
SOCKET = Path("/var/run/docker.sock")
BAD_SETUP = 4


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
        venv.create(place, clear=not usable, with_pip=True)
    except subprocess.CalledProcessError as error:
        raise CannotPrepareError("this Python has no ensurepip; run: apt-get install python3-venv") from error
    pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run([*pip, "install", "--quiet", "--require-hashes", "-r", str(root / LOCKS[kind])], check=False)
    if done.returncode:
        raise CannotPrepareError(f"pip could not install {LOCKS[kind]} (its words are above); try again when it can")
    kinds = ("run", "dev") if kind == "dev" else ("run",)
    made = {"python": sys.version, **{each: _digest(root / LOCKS[each]) for each in kinds}}
    (place / "stamp.json").write_text(json.dumps(made))


def refusal_of_engine(word: str, *, socket: Path = SOCKET) -> str:
    """Return why a word that needs an engine will find none, before anything is installed; empty when it may."""
    chosen = os.environ.get("DOCKER_HOST") or os.environ.get("DOCKER_CONTEXT")
    if word in WITHOUT_ENGINE or chosen or os.geteuid() == 0:
        return ""
    if socket.exists() and not os.access(socket, os.W_OK):
        return (
            f"{socket} is not yours to use; as root: usermod -aG docker {os.environ.get('USER', 'USER')}; log in again"
        )
    return ""


def _say(text: str) -> None:
    sys.stderr.write(f"run: {text}\n")


def main(arguments: list[str]) -> int:
    """Prepare what a word needs; return 0, or 4 after a line that says what to do."""
    word = arguments[0] if arguments else "help"
    if said := refusal_of_engine(word):
        _say(said)
        return BAD_SETUP
    try:
        prepare(ROOT, "dev" if word in DEVELOPERS else "run")
    except CannotPrepareError as error:
        _say(str(error))
        return BAD_SETUP
    except KeyboardInterrupt:
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
