"""An engine that answers, and then fails or hangs: every command that uses one says so in a line."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import Mock

import pytest
from docker.errors import APIError
from requests import ReadTimeout

import detection.__main__ as detection
import lab.__main__ as lab
from harness.sites import clean

FAILS, HANGS = APIError("500 Server Error: no space left on device"), ReadTimeout("Read timed out. (read timeout=120)")


@pytest.mark.parametrize("error", [FAILS, HANGS], ids=["it fails", "it hangs"])
@pytest.mark.parametrize(
    ("command", "named"),
    [(lambda: lab.main(["up"]), "lab"), (lambda: detection.main(["--fault", "workers-first"]), "detection")],
    ids=["lab", "detection"],
)
def test_a_command_ends_with_what_the_engine_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Callable[[], int], named: str,
    error: Exception,
) -> None:  # fmt: skip
    """Nothing is begun: exit code 4, and one line."""
    broken = Mock(return_value=Mock(**{"containers.list.side_effect": error}))
    monkeypatch.setattr(f"{named}.__main__.connect", broken)
    monkeypatch.setattr(detection, "collect", lambda _suites, _level: [])

    assert command() == 4
    assert capsys.readouterr().err == f"{named}: {error}\n"


@pytest.mark.parametrize("error", [FAILS, HANGS], ids=["it fails", "it hangs"])
def test_what_was_cleaned_stays_cleaned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """Cleaning a site up is over when this machine's engine is asked; its trouble is told, and changes nothing."""
    monkeypatch.setattr(clean, "engine", Mock(return_value=Mock(**{"containers.list.side_effect": error})))
    clean._clear_engine()

    assert f"nothing was cleared on this machine: the Docker engine does not do what it is asked: {error}" in (
        capsys.readouterr().out
    )
