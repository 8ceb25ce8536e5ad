"""Being told to end is never lost, wherever in the program it is heard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.settling import settled

ROOT = Path(__file__).parents[2]

PREPARED = """
import os, signal, time, weakref
from harness.interrupts import end_as_by_ctrl_c

class Thing: pass

def told(*_):
    os.kill(os.getpid(), signal.SIGTERM)
    return len("the handler runs before the next statement ends")

end_as_by_ctrl_c(signal.SIGTERM)
"""


def ends(program: str, by: signal.Signals | None = None) -> tuple[int, str]:
    """Return the exit code and the output of a program that is told to end."""
    with subprocess.Popen(
        [sys.executable, "-c", PREPARED + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        if by is not None:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(by)
        output, _ = process.communicate(timeout=20)
        return process.returncode, output


@pytest.mark.parametrize(
    "where",
    [
        "thing = Thing(); reference = weakref.ref(thing, told); del thing",
        "os.register_at_fork(before=told); os.fork() or os._exit(0)",
        "Thing.__del__ = told; Thing()",
    ],
    ids=["weak reference", "fork", "finaliser"],
)
def test_what_python_ignores_is_raised_again(where: str) -> None:
    """An interruption in a place from where Python passes on no exception ends the program nevertheless."""
    code, output = ends(f"{where}\ntime.sleep(10)\nprint('not interrupted')")

    assert code == -signal.SIGINT, output
    assert "not interrupted" not in output
    assert "KeyboardInterrupt" in output


def test_what_is_ignored_otherwise_is_told_as_ever() -> None:
    """Another exception that Python ignores is printed, and nothing is interrupted."""
    code, output = ends("Thing.__del__ = lambda _: 1 / 0\nThing()\ntime.sleep(0.1)\nprint('went on')")

    assert code == 0
    assert "Exception ignored" in output
    assert "ZeroDivisionError" in output
    assert output.endswith("went on\n")


def test_what_is_logged_meanwhile_is_logged_first() -> None:
    """Nothing is interrupted between a lock of logging and its release; other threads wait for them."""
    program = """
        import logging

        class Handler(logging.Handler):
            def emit(self, record):
                told()
                print("logged")

        logging.getLogger().addHandler(Handler())
        logging.warning("something")
        time.sleep(10)
        print("not interrupted")
    """
    code, output = ends(program)

    assert code == -signal.SIGINT
    assert "logged" in output
    assert "not interrupted" not in output


def test_a_second_time_does_not_interrupt_the_clearing_up() -> None:
    """Once told, the program clears up however often it is told again."""
    program = """
        try:
            print("ready", flush=True)
            time.sleep(10)
        finally:
            told()
            print("cleared")
    """
    code, output = ends(program, signal.SIGTERM)

    assert code == -signal.SIGINT
    assert "cleared" in output


WAITING = """
import time
import pytest

@pytest.fixture
def thing():
    yield
    open("cleared", "w").close()

def test_it(thing):
    open("made", "w").close()
    time.sleep(60)
"""


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGHUP])
def test_a_worker_of_own_tests_clears_up_when_the_whole_group_is_told(tmp_path: Path, by: signal.Signals) -> None:
    """Controller and workers that are told to end at once leave no container: fixtures are taken down."""
    (tmp_path / "test_made_up.py").write_text(WAITING)
    command = [sys.executable, "-m", "pytest", "-p", "harness.startup", "-p", "no:cacheprovider", "-n", "1", "."]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert settled((tmp_path / "made").exists, 60)
        os.killpg(process.pid, by)
        process.wait(60)

    assert (tmp_path / "cleared").exists()


def test_what_ends_anyway_is_not_interrupted() -> None:
    """While reports are written no signal takes them away; a second Ctrl-C stops at once all the same."""
    program = """
        from harness.interrupts import CtrlC, ends_anyway

        signal.signal(signal.SIGINT, CtrlC(lambda said: print(said, flush=True), lambda: ""))
        ends_anyway()
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(os.getpid(), each)
        print("written", flush=True)
        os.kill(os.getpid(), signal.SIGINT)
        print("not stopped")
    """
    code, output = ends(program)

    assert (code, output.splitlines()[1:]) == (2, ["written", "stopped at once"])


def test_a_signal_while_reports_are_written_changes_nothing() -> None:
    """The cases are over, so the run ends with what they say, and every report is there."""
    program = """
        from types import SimpleNamespace
        import pytest
        from harness import plugin

        def finish(**_given):
            told()
            print("written")
            return 0, ""

        config = SimpleNamespace(stash=pytest.Stash(), option=SimpleNamespace(tbstyle="no"))
        config.stash[plugin.RUN] = SimpleNamespace(cases=["a"], worker="", finish=finish)
        session = SimpleNamespace(config=config, exitstatus=0)
        ending = plugin.pytest_sessionfinish(session, 0)
        next(ending)
        next(ending, None)
        print(session.exitstatus)
    """
    assert ends(program) == (0, "written\n0\n")


@pytest.mark.parametrize("nth", [1, 40])
def test_ctrl_c_while_cases_are_collected_ends_the_session_and_begins_no_run(tmp_path: Path, nth: int) -> None:
    """An interrupted collection ends as any other, with the cases that it has: they are not the run's."""
    program = f"""
        import sys, pytest
        class Interrupted:
            count = 0
            def pytest_pycollect_makeitem(self):
                Interrupted.count += 1
                if Interrupted.count == {nth}:
                    raise KeyboardInterrupt
        sys.exit(pytest.main(["suites", "--no-provision", "--runs-in", {str(tmp_path)!r}], plugins=[Interrupted()]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    assert "INTERNALERROR" not in done.stdout
    assert list(tmp_path.glob("runs/*")) == []
