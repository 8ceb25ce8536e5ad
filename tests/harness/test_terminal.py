"""What others wrote never steers the terminal or the build server that shows a run's output."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import detection.__main__ as detection
import lab.__main__ as lab
from doctor.__main__ import _tell
from doctor.findings import Finding, Kind
from harness.interrupts import end_session
from harness.progress import View
from harness.sites import clean

ROOT = Path(__file__).parents[2]
#: What a name in Palette may hold: it clears the screen, names the window, and is an error to a build server.
HOSTILE = "edge\x1b[2J\x1b]0;gone\x07\n::error::it\u202e"
FINDING = Finding(Kind.NOISE, HOSTILE, HOSTILE, HOSTILE)


def is_harmless(shown: str) -> bool:
    """Return whether a text obeys no control code and no command of a build server, and still says something."""
    return "edge" in shown and not any(each in shown for each in ("\x1b", "\x07", "\u202e", "\n::error::"))


@pytest.mark.parametrize(
    "write",
    [
        detection._say, lab._say, clean._say, lambda text: View(sys.stdout).say(text),
        lambda text: _tell([], text), lambda _text: _tell([FINDING], ""),
    ],
    ids=["detection", "lab", "clean", "run", "doctor: all is well", "doctor: a finding"],
)  # fmt: skip
def test_a_line_is_shown_and_not_obeyed(write: Callable[[str], object], capsys: pytest.CaptureFixture[str]) -> None:
    """Each way to the terminal makes control codes visible."""
    write(HOSTILE)

    assert is_harmless(capsys.readouterr().out)


def test_the_reason_for_ending_is_shown_and_not_obeyed() -> None:
    """What pytest writes of a session that ends before its first case is visible as well."""
    with pytest.raises(pytest.exit.Exception) as ended:  # noqa: TID251 - it is caught, not raised
        end_session(HOSTILE)

    assert is_harmless(str(ended.value))


def test_a_refused_command_line_is_shown_and_not_obeyed(tmp_path: Path) -> None:
    """A site file that is refused may quote what somebody else wrote."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--site", str(tmp_path / HOSTILE)]
    done = subprocess.run([*command, "suites"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 4
    assert is_harmless(done.stderr), done.stderr
