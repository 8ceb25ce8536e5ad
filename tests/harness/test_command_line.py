"""``./run WORD``: one command line, whose words, exit codes and environment are as the README says."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness import __main__ as command
from harness import environment
from harness.environment import CannotPrepareError
from harness.run import command_line

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
EVERY_WORD = [*command.WORDS, *command.PARTS, *command.SCRIPTS]


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


def called(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Call the command line as ``./run`` does, with the Python of these tests."""
    words = [sys.executable, "-m", "harness", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(words, cwd=cwd, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("word", [*command.PARTS, *command.SCRIPTS])
def test_wrong_arguments_exit_4(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the word, an argument that is none ends with 4 and does nothing."""
    assert command.main([word, "--no-such-argument", "x", "y"]) == 4
    assert "Traceback" not in capsys.readouterr().err


def test_wrong_arguments_of_a_run_exit_4() -> None:
    """Pytest's own refusal has the same code."""
    assert called("conformance", "--no-such-argument").returncode == 4


def test_an_unknown_word_exits_4_and_names_the_nearest() -> None:
    """A mistyped word is one line that says what was meant."""
    done = called("conformanse")

    assert done.returncode == 4
    assert done.stderr == "run: unknown word 'conformanse'; did you mean 'conformance'?\n"


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
    done = called("conformance", "--site", "mine.yaml", cwd=tmp_path)
    (tmp_path / "mine.yaml").write_text("palette: 1\n")
    found = called("conformance", "--site", "mine.yaml", cwd=tmp_path)

    assert "mine.yaml: cannot be read" in done.stderr
    assert "cannot be read" not in found.stderr
    assert (done.returncode, found.returncode) == (4, 4)


def test_two_dashes_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """``./run conformance -k X`` means what ``./run conformance -- -k X`` means."""
    become: list[list[str]] = []
    monkeypatch.setattr(os, "execve", lambda _program, words, _environment: become.append(words))
    for dashes in ([], ["--"]):
        command.main(["conformance", *dashes, "-k", "DEPLOY-01"])

    assert become[0] == become[1]
    assert become[0][-3:] == ["-k", "DEPLOY-01", str(ROOT / "suites")]


def test_a_report_names_the_command_that_a_user_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ./run adds for pytest is left out, and what a shell would divide is quoted."""
    monkeypatch.setenv("CONFORMANCE_COMMAND", "./run conformance -k 'REPAVE-03 or MASK-01'")
    assert command_line(["-c", "pyproject.toml"]) == "./run conformance -k 'REPAVE-03 or MASK-01'"
    monkeypatch.delenv("CONFORMANCE_COMMAND")
    assert command_line(["suites", "-k", "a b"]) == "pytest suites -k 'a b'"


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_reaches_pytest(told: signal.Signals, tmp_path: Path) -> None:
    """The process of ``./run`` is pytest itself, so that a signal to its pid ends the run, and the code is pytest's."""
    case = tmp_path / "test_waits.py"
    case.write_text("import time\n\ndef test_waits():\n    print('waiting', flush=True)\n    time.sleep(60)\n")
    words = [
        sys.executable,
        "-m",
        "harness",
        "endurance",
        "-s",
        "-p",
        "no:cacheprovider",
        f"--rootdir={tmp_path}",
        str(case),
    ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "waiting" in line:
                break
        process.send_signal(told)
        process.stdout.read()

    assert process.returncode == (2 if told is signal.SIGINT else -told)


# --- the environment


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
    (project / "requirements.lock").write_text("no-hash-for-this==1.0\n")

    with pytest.raises(CannotPrepareError, match=r"pip could not install requirements\.lock"):
        environment.prepare(project, "run")
    assert "Traceback" not in capfd.readouterr().err
    assert not (project / ".venv" / "stamp.json").exists()


def test_a_repository_that_cannot_be_written_is_a_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be installed, the line says where to copy the repository."""

    def refuse(*_arguments: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    (project / "requirements.lock").write_text("# renewed\n")
    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(CannotPrepareError, match="copy the repository to a place of yours"):
        environment.prepare(project, "run")


def test_an_engine_that_is_not_ours_to_use_is_told_before_anything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ordinary user who may not use the engine hears it at once, for the words that need one."""
    socket = tmp_path / "docker.sock"
    socket.touch(mode=0o400)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)

    assert "usermod -aG docker" in environment.refusal_of_engine("conformance", socket=socket)
    assert environment.refusal_of_engine("verify", socket=socket) == ""
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/user/1000/docker.sock")
    assert environment.refusal_of_engine("conformance", socket=socket) == ""


def test_the_locks_name_no_registry_and_have_hashes() -> None:
    """A lock holds for whatever index a machine uses, and for one content of each package."""
    for name in environment.LOCKS.values():
        lock = (ROOT / name).read_text()
        pinned = [line for line in lock.splitlines() if line and not line.startswith((" ", "#"))]

        assert "://" not in lock
        assert pinned
        assert all("==" in line and line.endswith("\\") for line in pinned)
