"""``./run WORD``: the one command line. Each word is a call of pytest or of the part that the word is about.

Words that run pytest run it in this process, so that signals, exit codes and the last line are the run's own. ``--``
before further arguments may be left out. Wrong arguments end with 4, whatever the word.
"""

from __future__ import annotations

import io
import os
import select
import shlex
import signal
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    import pytest
    from typing_extensions import Buffer

if __name__ == "__main__":  # nothing is taken from the user's directory, nor left in the environment of what runs
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness.environment import BAD_SETUP as SETUP
from harness.environment import COMMAND, END_SIGNALS, INTERRUPTED, ROOT, WITHOUT_A_RUN
from harness.words import refusal, usage

ERROR = 3


@dataclass(frozen=True)
class Pytest:
    """A word that runs pytest: ``before`` the user's arguments, and what to collect where she names nothing."""

    before: tuple[str, ...] = ()
    collect: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    says: str = ""
    engine: bool = False  # the whole is run with an engine, which is provided as for the suites


#: Own tests that need neither an engine nor more than a moment each.
QUICK = (
    "tests/detection/test_catalogue.py", "tests/detection/test_judging.py", "tests/detection/test_matrix.py",
    "tests/doctor", "tests/faults", "tests/foreign", "tests/lab_palette", "tests/palette", "tests/registry_transforms",
    "tests/reports", "tests/vectors", "tests/waiting",
)  # fmt: skip
PYTEST: dict[str, Pytest] = {
    "conformance": Pytest(("-q",), ("suites",)),
    "nightly": Pytest(("-q", "--level", "nightly", "--lab-hosts", "3"), ("suites",)),
    "requirements": Pytest(("--collect-only", "-qqq", "--requirements"), ("suites",)),
    "tests": Pytest(  # with a worker more than cores, as runs on labs: a test with a lab waits for boots and answers
        (
            "--ignore", "tests/page", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder", "--durations", "20",
            "--durations-min", "10",
        ),
        ("tests",), (("PY_COLORS", "0"),),
        "own tests: about ten minutes on two cores; './run tests --quick' is a part of two minutes, without an engine",
        engine=True,
    ),
    "endurance": Pytest(
        (),
        (
            "tests/third_party/test_far_site.py", "tests/site/long_runs/test_killed_run.py",
            "tests/edge/test_hostile_host.py", "tests/registry/test_hostile_registry.py",
            "tests/palette/test_hostile_answers.py", "tests/endurance/check_kills.py",
            "tests/endurance/check_healthy.py",
        ),
        (("FAR_SITE", "whole"), ("KILLED_MOMENTS", "30"), ("HOSTILE_ANSWERS", "10000")), "own tests of over an hour",
        engine=True,
    ),
    "page": Pytest((), ("tests/page",), (("PAGE_TESTS", "required"),)),
}  # fmt: skip
#: Words that a function of another part does; it takes the arguments and returns the exit code.
PARTS = {
    "detection": "detection.__main__", "doctor": "doctor.__main__", "clean": "harness.sites.clean",
    "site-init": "harness.sites.site_init", "lab": "lab.__main__", "vectors": "fixtures.vectors.__main__",
    **dict.fromkeys(("report", "verify", "certify", "keygen", "trend"), "reports.__main__"),
}  # fmt: skip
SCRIPTS = {
    "lint": (
        ("-m", "ruff", "check", "."), ("-m", "ruff", "format", "--check", "."), ("-m", "mypy", "."),
        ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    ),
    "bench": tuple((f"tests/bench/bench_{name}.py",) for name in ("lab", "witness", "reports", "questions")),
}  # fmt: skip
#: What can be named for ``bench``; the last takes three quarters of an hour, so it is measured only then.
BENCH = ("lab", "witness", "reports", "questions", "workers")


class _Outlet(io.FileIO):
    """A way to write that never fails: what a full disk or a reader that is gone does not take is dropped."""

    def write(self, content: Buffer) -> int:
        """Write what can be written; wait where somebody made the pipe non-blocking."""
        with suppress(OSError):
            while (written := super().write(content)) is None:
                select.select([], [self.fileno()], [])
            return written
        return memoryview(content).nbytes


def guarded_main(arguments: list[str]) -> int:
    """Do what the command line says, whoever reads what it prints; what nobody foresaw is an error of the harness.

    Python's own exit code for both would be 1, which is for a product that does not do what it promises.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)  # heard once there are handlers for them
    while (last := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - what is closed would become another file's
        pass
    os.close(last)
    sys.stdout, sys.stderr = _outlet(sys.stdout, 1), _outlet(sys.stderr, 2)
    try:
        return main(arguments)
    except Exception:  # noqa: BLE001 - the last place where it can be told
        traceback.print_exc()
        return ERROR


def _outlet(stream: TextIO | None, file: int) -> TextIO:
    at_once = not isinstance(stream, io.TextIOWrapper) or stream.line_buffering or stream.write_through
    encoding, errors = (stream.encoding, stream.errors) if stream else ("utf-8", "replace")
    raw = io.BufferedWriter(_Outlet(file, "w", closefd=False))
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=at_once)


def main(arguments: list[str]) -> int:
    """Do what the command line says; return the exit code."""
    word, given = (arguments[0] if arguments else "help"), arguments[1:]
    given = given[1:] if given[:1] == ["--"] else given
    if word in {"help", "-h", "--help"}:
        sys.stdout.write(usage())
        return 0
    if word in PYTEST:
        return run_pytest(word, given)
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.default_int_handler)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, END_SIGNALS)
        return _done(word, given)
    except KeyboardInterrupt:
        sys.stderr.write("run: interrupted\n")
        return INTERRUPTED


def _done(word: str, given: list[str]) -> int:
    if word in PARTS:
        return _part(word, given)
    if word == "bench" and set(given) <= {*BENCH}:
        return _scripts([(f"tests/bench/bench_{name}.py",) for name in given] or SCRIPTS[word])
    if word in {*SCRIPTS, "update-lock"} and given:
        takes = f"one or more of {', '.join(BENCH)}" if word == "bench" else "no arguments"
        said = f"{word} takes {takes}; found {' '.join(given)}"
    elif word in SCRIPTS:
        return _scripts(SCRIPTS[word])
    elif word == "update-lock":
        return _update_lock()
    else:
        said = refusal(word)
    sys.stderr.write(f"run: {said}\n")
    return SETUP


def run_pytest(name: str, given: list[str]) -> int:
    """Run pytest; paths that the user names are hers, our own are the repository's."""
    word, typed = PYTEST[name], ["./run", name, *given]
    given = _quick(given) if name == "tests" else given
    named = any(_is_a_path(*pair) for pair in zip(("", *given), given, strict=False))
    if word.says and not WITHOUT_A_RUN & set(given):
        sys.stderr.write(f"{word.says}\n")
    collect = () if named else tuple(str(ROOT / name) for name in word.collect)
    before = [str(ROOT / each) if each.startswith("tests/") else each for each in word.before]
    own = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(ROOT), "-p", "harness.worker", "-p", "harness.startup"]
    os.environ.update({**dict(word.environment), COMMAND: shlex.join(typed)})
    sys.argv = ["pytest", *own, *before, *given, *collect]
    return int(import_module("pytest").main(sys.argv[1:], [_EngineFirst()] if word.engine and not named else []))


class _EngineFirst:
    """A pytest plugin: own tests have an engine as the suites have, once their arguments are known to be right."""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Provide it; say why there is none, and what needs it is skipped."""
        if session.config.getoption("collectonly"):
            return
        lab_site = import_module("harness.sites.lab_site")
        try:
            lab_site.provided(self.say, provision=not session.config.getoption("--no-provision")).close()
        except lab_site.BadSetupError as error:
            self.say(f"{error}; tests that need an engine are skipped")

    @staticmethod
    def say(text: str) -> None:
        """Write a line."""
        sys.stderr.write(f"run: {text}\n")


def _is_a_path(before: str, argument: str) -> bool:
    """Return whether an argument names cases or tests: the value of ``-k lab`` or of ``--site site.yaml`` does not."""
    place = Path(argument.partition("::")[0])
    if argument.startswith("-") or before in {"-k", "-m", "--ignore", "--deselect"} or not place.exists():
        return False
    return bool({ROOT / "suites", ROOT / "tests"} & {place.resolve(), *place.resolve().parents})


def _quick(given: list[str]) -> list[str]:
    if "--quick" not in given:
        return given
    return [each for each in given if each != "--quick"] + [str(ROOT / name) for name in QUICK]


def _part(word: str, given: list[str]) -> int:
    of_reports = PARTS[word] == "reports.__main__"
    try:
        code: int = import_module(PARTS[word]).main([word, *given] if of_reports else given)
    except SystemExit as ended:  # argparse: 0 after --help, 2 for wrong arguments
        return SETUP if ended.code else 0
    return code


def _scripts(scripts: Iterable[tuple[str, ...]]) -> int:
    """Run scripts one after the other, and return the first exit code that is not 0."""
    codes = [_script(script) for script in scripts]
    return next(filter(None, codes), 0)


def _script(script: tuple[str, ...]) -> int:
    """Run a script, and wait until it has cleared up when it is interrupted; a terminal's Ctrl-C reaches it once."""
    with subprocess.Popen([sys.executable, *script], cwd=ROOT, process_group=0) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise


def _update_lock() -> int:
    """Renew both locks to the newest versions that pyproject.toml allows, and run own tests with them."""
    compiled = [sys.executable, "-m", "uv", "--quiet", "pip", "compile", "pyproject.toml", "--universal", "--upgrade"]
    compiled += ["--python-version", "3.11", "--generate-hashes", "--no-annotate", "--no-header", "--no-emit-index-url"]
    groups = [word for name in ("tests", "page", "lint", "lock") for word in ("--group", name)]
    for lock, more in (("requirements.lock", []), ("requirements-dev.lock", [*groups, "-c", "requirements.lock"])):
        done = subprocess.run([*compiled, *more, "-o", lock], cwd=ROOT, check=False)
        if done.returncode:
            return SETUP
    sys.stdout.write("requirements.lock and requirements-dev.lock are renewed; running own tests on them\n")
    sys.stdout.flush()
    return os.execv(ROOT / "run", ["./run", "tests"])  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(guarded_main(sys.argv[1:]))
