"""Labs that were left running: whose they are, who has them, and what of a run's faults stays."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import docker
import pytest

from harness.options import Options
from harness.sites import lab_site
from lab import __main__ as commands
from lab import control
from lab.control import LabFailed, RunningLab
from lab.faults import specify
from lab.settings import LabSettings, labs_folder
from tests.lab.ground import say
from tests.settling import settled

FAULT = "alphanumeric-base64"


@pytest.fixture(scope="module")
def own(engine: docker.DockerClient) -> Iterator[RunningLab]:
    """Leave a lab of one host running, as ``./run lab up`` does."""
    _ = engine
    lab = control.start(LabSettings(labs_folder() / f"lab-kept-{secrets.token_hex(3)}", 1), say)
    lab.keep()
    yield lab
    lab.stop()


@pytest.fixture(autouse=True)
def _only_ours(own: RunningLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out labs that somebody else keeps running with this very checkout."""
    find = control.kept
    monkeypatch.setattr(control, "kept", lambda: [lab for lab in find() if lab.name == own.name])


@pytest.fixture
def found(own: RunningLab) -> RunningLab:
    """Find that lab as another process does."""
    _ = own
    return control.kept()[0]


def faults(lab: RunningLab) -> list[str]:
    """Return the names of the faults in force."""
    return list(lab.ask("status")["faults"])


def options(**other: object) -> Options:
    """Return the options of a run that such a lab fits."""
    given: dict[str, Any] = dict.fromkeys(Options.__dataclass_fields__)
    given |= {"lab_hosts": 1, "lab_faults": (), "lab_version": LabSettings.version, "lab_kind": "k3s"}
    given |= {"lab_mode": "appliance", "lab_kubernetes": False, "lab_current_openssh": False, **other}
    return Options(**given)


def taken_by_a_run(chosen: Options) -> tuple[str, list[str]]:
    """Return the name of the running lab that a run takes, and what the run said."""
    said: list[str] = []
    with ExitStack() as stack:
        lab = lab_site._running(chosen, "another-run", said.append, stack)
    return lab.name if lab else "", said


def test_a_run_takes_its_checkouts_lab(found: RunningLab) -> None:
    """A lab of this checkout and version that fits is used, and given back."""
    taken, said = taken_by_a_run(options())

    assert taken == found.name
    assert said == [f"using the lab that was left running: {found.name}"]
    assert found.ask("status")["used_by"] == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"lab_hosts": 3}, "it has 1 Edge hosts and this run wants 3"),
        ({"lab_version": "4.2.8"}, f"its Palette is version {LabSettings.version} and this run wants 4.2.8"),
        ({"lab_kind": "rke2"}, "it is of kind k3s and this run wants rke2"),
        ({"lab_mode": "agent-mode"}, "its hosts are of mode appliance and this run wants agent-mode"),
        ({"lab_kubernetes": True}, "its clusters run no real Kubernetes"),
        ({"lab_current_openssh": True}, "its hosts have no current OpenSSH"),
    ],
)
def test_a_lab_that_does_not_fit_is_named(found: RunningLab, other: dict[str, object], why: str) -> None:
    """A run that starts a lab of its own beside a running one says why."""
    taken, said = taken_by_a_run(options(**other))

    assert taken == ""
    assert said == [f"the lab {found.name} that was left running is not used: {why}"]


@pytest.mark.parametrize("part", ["checkout", "code"])
def test_another_checkouts_or_versions_lab_is_left_alone(
    found: RunningLab, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run takes neither, ``down`` leaves another checkout's lab running, and ``status`` tells of it."""
    before = found.settings.origin.read_text()
    found.settings.origin.write_text(json.dumps({**found.origin, part: "another"}))
    try:
        taken, said = taken_by_a_run(options())
        commands._status(None)  # type: ignore[arg-type] # it looks at no argument
        if part == "checkout":
            commands._down(None)  # type: ignore[arg-type]
        still = found.ask("status")["hosts"]
    finally:
        found.settings.origin.write_text(before)
    told = capsys.readouterr().out

    assert (taken, still) == ("", 1)
    assert ("another version of the code" in f"{said}") == (part == "code")
    assert ("1 lab of other checkouts left alone" if part == "checkout" else "another version of the code") in told


def test_a_lab_that_a_run_has_is_nobody_elses(found: RunningLab) -> None:
    """Two runs never share a lab by chance: the second one is told who has it."""
    with found.taken("first-run"):
        taken, said = taken_by_a_run(options())
        with pytest.raises(LabFailed, match="first-run uses it"), found.taken("second-run"):
            pass

    assert (taken, [line for line in said if "first-run uses it" in line]) == ("", said)


def test_faults_end_with_the_run_that_seeded_them(found: RunningLab) -> None:
    """They are in force while a run has the lab, and gone when it gives it back."""
    with found.taken("run", [specify(FAULT)]):
        assert faults(found) == [FAULT]

    assert faults(found) == []


_KILLED = """
import sys, time
from pathlib import Path
from lab.control import RunningLab
from lab.faults import specify
from lab.settings import LabSettings
with RunningLab(LabSettings(Path(sys.argv[1])), None).taken("killed-run", [specify(sys.argv[2])]):
    print("taken", flush=True)
    time.sleep(600)
"""


def test_a_killed_run_leaves_no_fault(found: RunningLab) -> None:
    """After SIGKILL of the run that seeded them the lab heals by itself, and is free."""
    command = [sys.executable, "-c", _KILLED, str(found.settings.folder), FAULT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "taken\n"
        assert faults(found) == [FAULT]
        run.kill()

    assert settled(lambda: faults(found) == [] and not found.ask("status")["used_by"], 10)


def test_a_lab_that_was_started_with_faults_keeps_them(engine: docker.DockerClient) -> None:
    """``./run lab up --lab-fault`` makes a lab that no run heals or takes, and says so."""
    _ = engine
    folder = labs_folder() / f"lab-kept-{secrets.token_hex(3)}"
    lab = control.start(LabSettings(folder, 1, (dict(specify(FAULT)),)), say)
    try:
        lab.keep()
        why = lab_site._unfit(lab, options())
        with lab.taken("run", []):
            pass

        assert why == f"it keeps the faults it was started with ({FAULT}); name it with --site"
        assert faults(lab) == [FAULT]
    finally:
        lab.stop()


def test_status_says_healthy(found: RunningLab, capsys: pytest.CaptureFixture[str]) -> None:
    """A lab without faults is healthy; one that a run has says which faults and whose they are."""
    commands._status(None)  # type: ignore[arg-type]
    healthy = capsys.readouterr().out
    with found.taken("run-7", [specify(FAULT)]):
        commands._status(None)  # type: ignore[arg-type]

    assert ", healthy, free; --site " in healthy
    assert f", seeded faults: {FAULT}, used by run-7; --site " in capsys.readouterr().out
