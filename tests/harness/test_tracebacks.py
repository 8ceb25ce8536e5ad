"""Where an exception comes from is told; what the frames on its way held is not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.tracebacks import SUITES, first_of, lines_of, place_of

ROOT = Path(__file__).parents[2]
KEY = "FAKEKEY-of-this-test"


def in_a_suite(body: str, **names: object) -> Exception:
    """Run code as if it stood in a suite, and return what it raises."""
    code = compile(body, str(SUITES / "lifecycle" / "test_made_up.py"), "exec")
    try:
        exec(code, dict(names))  # noqa: S102 - written in this file
    except Exception as error:  # noqa: BLE001 - it is what is looked at
        return error
    raise AssertionError("nothing was raised")


@contextmanager
def cleaning_up_fails() -> Iterator[None]:
    """Fail when the case is over, whatever came of it."""
    try:
        yield
    finally:
        raise TimeoutError("waited for the cluster to be gone")


def test_the_first_exception_is_told_and_not_that_of_cleaning_up() -> None:
    """A case that failed, and whose clean-up then failed as well, failed for its own reason."""
    error = in_a_suite("with cleaning():\n    assert False, 'the real reason'\n", cleaning=cleaning_up_fails)

    assert isinstance(error, TimeoutError)
    assert str(first_of(error)) == "the real reason"


def test_what_a_library_handled_on_its_way_is_not_the_first() -> None:
    """An exception that never reached the case is a detail of the one that did."""

    def ask() -> None:
        try:
            int("x")
        except ValueError:
            raise ConnectionError("no answer")  # noqa: B904 - as libraries do

    error = in_a_suite("ask()", ask=ask)

    assert first_of(error) is error


def test_a_handled_exception_is_not_the_first_either() -> None:
    """With ``from None`` a case says itself that the exception before is none of it."""
    error = in_a_suite("try:\n    1 / 0\nexcept ZeroDivisionError:\n    raise ValueError('meant') from None\n")

    assert first_of(error) is error


def test_the_place_is_the_line_in_the_suite() -> None:
    """File and line are those of the case, however deep below it the exception was raised."""
    error = in_a_suite("\n\nint('x' if nothing else 'y')", nothing=None)

    assert place_of(error) == "suites/lifecycle/test_made_up.py:3"
    assert place_of(ExceptionGroup("two", [error, ValueError()])) == "suites/lifecycle/test_made_up.py:3"
    assert any("invalid literal" in line for line in lines_of(error))


def test_a_traceback_has_no_values() -> None:
    """The lines of a traceback show code and never what a variable held."""

    def send(headers: dict[str, str]) -> None:
        raise ConnectionError(f"refused with {len(headers)} headers")

    error = in_a_suite("key = wanted\nsend({'ApiKey': key})", wanted=KEY, send=send)

    assert KEY not in "\n".join(lines_of(error))


CASE = f"""
import time
import requests

def send(headers):
    print("now", flush=True)
    time.sleep(60) if WAIT else 1 / 0

def test_it():
    send({{"ApiKey": "{KEY}"}})

def pytest_runtest_logreport(report):
    if report.when == "setup" and not WAIT:
        send({{"ApiKey": "{KEY}"}})
"""


@pytest.mark.parametrize("waits", [True, False], ids=["Ctrl-C", "INTERNALERROR"])
@pytest.mark.parametrize("plugin", [True, False], ids=["as it is", "without ours"])
def test_no_frame_that_pytest_prints_shows_a_key(tmp_path: Path, *, waits: bool, plugin: bool) -> None:
    """With ``--full-trace -l`` neither Ctrl-C nor an internal error prints what arguments and variables hold.

    Without the plugin both do: else this test would prove nothing.
    """
    (tmp_path / "test_made_up.py").write_text(f"WAIT = {waits}{CASE}")
    (tmp_path / "conftest.py").write_text("from test_made_up import pytest_runtest_logreport")
    ours = ["-p", "harness.tracebacks"] if plugin else []
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-s",
        "-p",
        "no:cacheprovider",
        "--full-trace",
        "-l",
        *ours,
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = next((line for line in process.stdout if line.endswith("now\n")), "")
        process.send_signal(signal.SIGINT if waits else 0)
        said += process.stdout.read()

    shown = re.findall(f"ApiKey': '{KEY}'", said)
    assert "send" in said
    assert bool(shown) is not plugin, said
