"""``./run WORD``: one command line, whose words, exit codes and environment are as the README says."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.reach import EngineUnavailable
from harness import __main__ as command
from harness import environment
from harness.environment import CannotPrepareError
from harness.run import command_line
from harness.words import WORDS

ROOT = Path(__file__).parents[2]
EVERY_WORD = [*WORDS]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with locks of no package, and the environment that was made from them."""
    place = tmp_path_factory.mktemp("project")
    for name in environment.LOCKS.values():
        (place / name).write_text("")
    environment.prepare(place, "dev")
    return place


@pytest.fixture
def project(prepared: Path) -> Iterator[Path]:
    """Yield that directory; locks and stamp are put back afterwards."""
    files = {path: path.read_text() for path in (*prepared.glob("*.lock"), prepared / ".venv" / "stamp.json")}
    yield prepared
    for path, text in files.items():
        path.write_text(text)


def environ() -> dict[str, str]:
    """Return an environment in which Python finds the project."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def called(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call the command line as ``./run`` does, with the Python of these tests."""
    words = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(words, cwd=cwd, env=environ(), capture_output=True, text=True, check=False)


def told(number: signal.Signals, *words: str, cwd: Path = ROOT) -> tuple[int, str]:
    """Run Python until it prints that it waits, send it a signal, and return how it ended and what else it said."""
    with subprocess.Popen(
        [sys.executable, *words], env=environ(), cwd=cwd, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        next(line for line in process.stdout if "waiting" in line)
        process.send_signal(number)
        said = process.stdout.read()
    return process.returncode, said


def ran(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Call ``./run`` itself, which needs no environment for what it refuses."""
    return subprocess.run(
        [str(ROOT / "run"), *arguments], env={**os.environ, **more}, capture_output=True, text=True, check=False
    )


def test_every_word_is_done_by_something() -> None:
    """What ``./run help`` lists and what can be called are the same words."""
    assert {*command.PYTEST, *command.PARTS, *command.SCRIPTS, "update-lock", "help"} == {*WORDS}


def test_a_warning_of_a_dependency_ends_no_run(tmp_path: Path) -> None:
    """What a library calls deprecated from its next release on is no error for users; in own tests it is."""
    (case := tmp_path / "test_case.py").write_text("import warnings\nwarnings.warn('old', DeprecationWarning)\n")
    done = called("conformance", "--collect-only", "--runs-in", str(tmp_path), str(case), cwd=tmp_path)

    assert done.returncode in {0, 5}, done.stdout + done.stderr  # 5: there is no test in it


def test_a_user_sees_no_warning_of_python_or_pytest(tmp_path: Path) -> None:
    """What a run of the suites prints is about the site, not about how pytest was loaded."""
    done = called("conformance", "--plan", "--runs-in", str(tmp_path), cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()


@pytest.mark.parametrize("word", sorted({*WORDS} - {*command.PYTEST, "help"}))
def test_wrong_arguments_exit_4_with_one_line(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the word, an argument that is none ends with 4, says so in one line and does nothing."""
    assert command.main([word, "--no-such-argument", "x", "y"]) == 4
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["lab"], ["lab", "foo"], ["clean"], ["verify", "x"], ["vectors"], ["doctor"]])
def test_missing_arguments_exit_4_with_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that is missing is a wrong one; words that are not for users are not listed."""
    assert command.main(arguments) == 4
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1
    assert "serve" not in told


@pytest.mark.parametrize("arguments", [("conformance", "--no-such-argument"), ("tests", "no-such-path", "-n", "2")])
def test_wrong_arguments_of_what_pytest_runs_exit_4(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Pytest's own refusal has the same code; what is no path is refused before workers look for it."""
    done = called(*arguments, cwd=tmp_path)

    assert done.returncode == 4
    assert arguments[1] in done.stderr


def test_help_and_unknown_words_need_no_environment(tmp_path: Path) -> None:
    """``./run help`` and a mistyped word are answered before anything is installed, with the machine's Python alone."""
    there = (ROOT / ".venv").exists()
    bare = {"PYTHON": str(Path(sys.base_prefix) / "bin" / "python3"), "HOME": str(tmp_path / "none")}
    asked, mistyped = ran("help", **bare), ran("nigthly", **bare)

    assert (asked.returncode, asked.stderr) == (0, "")
    assert "\n  conformance" in asked.stdout
    assert (mistyped.returncode, mistyped.stdout) == (4, "")
    assert mistyped.stderr == "run: unknown word 'nigthly'; did you mean 'nightly'?\n"
    assert (ROOT / ".venv").exists() == there


def test_every_word_is_in_the_usage() -> None:
    """``./run help`` and ``./run`` list every word."""
    told = called("help").stdout

    assert called().stdout == told
    assert [word for word in EVERY_WORD if f"{word} " not in told and f"{word}\n" not in told] == []


def test_every_word_of_the_readme_is_one() -> None:
    """The README names no word that does not exist."""
    text = "".join((ROOT / name).read_text() for name in ("README.md", "CONTRIBUTING.md"))
    named = {line.partition("./run ")[2].split()[0].strip("`;:,.)") for line in text.splitlines() if "./run " in line}

    assert named - {*EVERY_WORD, "help", "update-lock", "WORD"} == set()


def test_paths_begin_where_the_user_stands(tmp_path: Path) -> None:
    """A relative path on the command line is relative to the user's directory, not to the repository."""
    (tmp_path / "mine.yaml").write_text("palette: 1\n")
    found = called("conformance", "--site", "mine.yaml", cwd=tmp_path)

    assert "mine.yaml:1: palette: found 1" in found.stderr
    assert found.returncode == 4


@pytest.fixture
def called_with(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], list[object]]]:
    """Have pytest run nothing; return the arguments and plugins that it is called with."""
    calls: list[tuple[list[str], list[object]]] = []

    def main(arguments: list[str], plugins: list[object]) -> int:
        calls.append((arguments, plugins))
        return 0

    monkeypatch.setattr("pytest.main", main)
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(os, "environ", {**os.environ})
    return calls


def test_two_dashes_may_be_left_out(called_with: list[tuple[list[str], list[object]]]) -> None:
    """``./run conformance -k X`` means what ``./run conformance -- -k X`` means."""
    for dashes in ([], ["--"]):
        assert command.main(["conformance", *dashes, "-k", "DEPLOY-01"]) == 0

    assert called_with[0] == called_with[1]
    assert called_with[0][0][-3:] == ["-k", "DEPLOY-01", str(ROOT / "suites")]


@pytest.mark.parametrize(
    ("arguments", "provides"),
    [
        (["tests"], True), (["tests", "-k", "lab"], True), (["endurance"], True), (["page"], False),
        (["tests", "--quick"], False), (["tests", str(ROOT / "tests" / "waiting")], False),
    ],
)  # fmt: skip
def test_whole_own_tests_provide_an_engine(
    arguments: list[str], called_with: list[tuple[list[str], list[object]]], *, provides: bool
) -> None:
    """What needs an engine is not skipped where a run of the suites would start one."""
    assert command.main(arguments) == 0
    assert bool(called_with[0][1]) == provides


@pytest.mark.parametrize("options", [{}, {"--no-provision": True}, {"collectonly": True}])
def test_an_engine_is_provided_for_own_tests_as_for_a_run(
    options: dict[str, bool], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be forbidden, is not needed to list tests, and where there can be none a line says what follows."""
    asked: list[bool] = []

    def connect(_say: object, *, provision: bool) -> None:
        asked.append(provision)
        raise EngineUnavailable("no Docker engine is running")

    monkeypatch.setattr("harness.sites.lab_site.connect", connect)
    session: Any = SimpleNamespace(config=SimpleNamespace(getoption=options.get))
    command._EngineFirst().pytest_sessionstart(session)

    assert asked == ([] if "collectonly" in options else ["--no-provision" not in options])
    skipped = "run: no Docker engine is running; tests that need an engine are skipped\n"
    assert capsys.readouterr().err == skipped * len(asked)


@pytest.mark.parametrize(
    ("arguments", "collects"),
    [
        (["-k", "registry"], "suites"), (["-k", "suites"], "suites"), (["--site", "site.yaml"], "suites"),
        (["--keep-lab", "suites/lifecycle"], ""), (["suites/tls/test_tls.py::test_it"], ""), (["suites"], ""),
    ],
)  # fmt: skip
def test_a_run_from_within_the_repository_is_of_the_suites(
    arguments: list[str],
    collects: str,
    called_with: list[tuple[list[str], list[object]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """What has the name of a directory, or a site file beside ./run, is no path of cases: own tests are not run."""
    for name in ("registry", "suites/lifecycle", "suites/tls"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("site.yaml", "suites/tls/test_tls.py"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    wanted = [*arguments, *([str(tmp_path / collects)] if collects else [])]

    assert command.main(["conformance", *arguments]) == 0
    assert called_with[0][0][-len(wanted) - 1 :] == ["-q", *wanted]


def test_a_report_names_the_command_that_a_user_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ./run adds for pytest is left out, and what a shell would divide is quoted."""
    monkeypatch.setenv("CONFORMANCE_COMMAND", "./run conformance -k 'REPAVE-03 or MASK-01'")
    assert command_line(["-c", "pyproject.toml"]) == "./run conformance -k 'REPAVE-03 or MASK-01'"
    monkeypatch.delenv("CONFORMANCE_COMMAND")
    assert command_line(["suites", "-k", "a b"]) == "pytest suites -k 'a b'"


WAITS = "import time\n\ndef test_waits():\n    print('waiting', flush=True)\n    time.sleep(60)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_ends_pytest_with_2(number: signal.Signals, tmp_path: Path) -> None:
    """The process of ``./run`` is pytest itself: a signal to its pid ends the run as Ctrl-C does."""
    (tmp_path / "test_waits.py").write_text(WAITS)
    words = ("-m", "harness", "page", "-s", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", ".")
    code, said = told(number, *words, cwd=tmp_path)

    assert code == 2
    assert "KeyboardInterrupt" in said


def test_a_signal_while_pytest_is_loaded_is_heard_afterwards() -> None:
    """What comes before the handlers are there is held back, not lost, and ends with 2 all the same."""
    words = [sys.executable, "-m", "harness", "conformance", "--collect-only"]
    held = {signal.SIGINT, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)  # as ./run leaves it for what it becomes
    try:
        with subprocess.Popen(words, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            process.send_signal(signal.SIGTERM)
            process.communicate()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    assert process.returncode == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_interrupted_clears_up_first(number: signal.Signals, tmp_path: Path) -> None:
    """``./run lint`` and ``bench`` wait until what they started has ended, and end with 2."""
    script = tmp_path / "clears.py"
    script.write_text(
        "import time\ntry:\n    print('waiting', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.4)\n    print('cleared', flush=True)\n"
    )
    calls = (
        "import sys; from harness import __main__ as command; "
        f"command.SCRIPTS['bench'] = (({str(script)!r},),); sys.exit(command.main(['bench']))"
    )

    assert told(number, "-c", calls) == (2, "cleared\n")


# --- the environment


def test_bytecode_is_kept_within_the_environment_whatever_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of a run compiled 300 modules anew where the user keeps no bytecode beside her own."""
    became: list[dict[str, str]] = []
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(environment, "prepare", lambda root, _kind: root / ".venv" / "bin" / "python")
    monkeypatch.setattr(os, "execve", lambda _program, _command, environ: became.append(environ))
    monkeypatch.setattr(signal, "pthread_sigmask", lambda *_signals: None)
    monkeypatch.setattr(signal, "signal", lambda *_handler: None)
    environment.main(["trend"])

    assert "PYTHONDONTWRITEBYTECODE" not in became[0]
    assert became[0]["PYTHONPYCACHEPREFIX"] == str(ROOT / ".venv" / "pycache")


def test_an_environment_is_made_once(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A second word installs nothing, of users and of developers; a changed lock is noticed."""
    for kind in ("run", "dev"):
        assert environment.prepare(project, kind) == project / ".venv" / "bin" / "python"
    assert capfd.readouterr().err == ""
    (project / "requirements.lock").write_text("# renewed\n")
    assert not environment.is_prepared(project / ".venv", project, "run")


def test_an_interrupted_installation_is_done_again(project: Path) -> None:
    """Without its stamp an environment is not trusted, nor with one that is damaged or of another Python."""
    stamp = project / ".venv" / "stamp.json"
    whole = json.loads(stamp.read_text())
    for damaged in ("", "[]", json.dumps({**whole, "python": "2.7"})):
        stamp.write_text(damaged)
        assert not environment.is_prepared(project / ".venv", project, "run")


def test_a_failing_installation_is_a_line_and_leaves_no_stamp(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What pip cannot install is told in its words and one line of ours."""
    (project / "requirements-dev.lock").write_text("no-hash-for-this==1.0\n")

    with pytest.raises(CannotPrepareError, match=r"pip could not install requirements-dev\.lock"):
        environment.prepare(project, "dev")
    assert "Traceback" not in capfd.readouterr().err
    assert not (project / ".venv" / "stamp.json").exists()


def test_an_installation_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """While pip works, a line in a file says how many packages are there; pip's exit code is kept."""
    monkeypatch.setattr(environment, "QUIET", -1.0)
    words = "print('Collecting a==1'); print('  more'); print('Installing collected packages: a'); raise SystemExit(3)"

    assert environment._watched([sys.executable, "-c", words], 2) == 3
    assert capfd.readouterr().err.splitlines() == [
        "run: 1 of 2 packages fetched",
        "run: 1 of 2 packages fetched; unpacking them",
    ]


def test_a_repository_that_cannot_be_written_is_a_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be installed, the line says where to copy the repository."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (project / "requirements.lock").write_text("# renewed\n")
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(CannotPrepareError, match="copy the repository to a place of yours"):
        environment.prepare(project, "run")


@pytest.fixture
def ordinary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Become a user who is not root and has chosen no engine; return where the engine's socket would be."""
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "docker.sock"


def test_an_engine_that_is_not_ours_to_use_is_told_first(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user who may not use the engine hears it before anything is installed, for words that need one."""
    assert "no Docker engine is running" in environment.refusal_of_engine("conformance", socket=ordinary)
    ordinary.touch()
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)

    assert "usermod -aG docker" in environment.refusal_of_engine("conformance", socket=ordinary)
    assert [word for word in WORDS if environment.refusal_of_engine(word, socket=ordinary)] == [
        word for word, about in WORDS.items() if about.engine
    ]


def test_an_engine_that_the_user_chose_is_not_refused(ordinary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCKER_HOST, or a context of docker's, may well be reachable."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert environment.refusal_of_engine("conformance", socket=ordinary) == ""
    monkeypatch.delenv("DOCKER_HOST")
    (ordinary.parent / ".docker").mkdir()
    (ordinary.parent / ".docker" / "config.json").write_text('{"currentContext": "rootless"}')
    assert environment.refusal_of_engine("conformance", socket=ordinary) == ""


def test_a_python_without_venv_is_a_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's Python without its venv package names the package to install."""
    (project / "requirements.lock").write_text("# renewed\n")
    monkeypatch.setitem(sys.modules, "venv", None)

    with pytest.raises(CannotPrepareError, match="apt-get install python3-venv"):
        environment.prepare(project, "run")


def test_the_locks_name_no_registry_and_have_hashes() -> None:
    """A lock holds for whatever index a machine uses, and for one content of each package."""
    for name in environment.LOCKS.values():
        lock = (ROOT / name).read_text()
        pinned = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]

        assert "://" not in lock
        assert pinned
        assert all("==" in line and line.endswith("\\") for line in pinned)


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        *((word, how) for word in (["help"], ["vectors", "check"]) for how in ("full disk", "closed pipe", "closed")),
        (["requirements"], "closed pipe"),  # of pytest, which writes to the same outlet as the words above
    ],
)
def test_the_exit_code_does_not_depend_on_who_reads(arguments: list[str], how: str) -> None:
    """With a full disk, a reader that went away or no standard output at all a word is done as ever."""
    words = [sys.executable, "-m", "harness", *arguments]
    redirected = {"full disk": "> /dev/full", "closed pipe": "> >(exec true); wait $!", "closed": ">&-"}
    script = f'exec {redirected[how]}; "$@"'
    bash = ["bash", "-c", script, "bash", *words]
    done = subprocess.run(bash, env=environ(), stderr=subprocess.PIPE, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_what_nobody_foresaw_is_an_error_of_the_harness() -> None:
    """The exit code 1 says that the product is wrong, so a traceback never ends with it."""
    calls = "import sys; from harness import __main__ as command; command.main = lambda _: 1 / 0; "
    words = [sys.executable, "-c", f"{calls}sys.exit(command.guarded_main([]))"]
    done = subprocess.run(words, env=environ(), stderr=subprocess.PIPE, text=True, check=False)

    assert done.returncode == 3
    assert "ZeroDivisionError" in done.stderr
