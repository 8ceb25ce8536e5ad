"""Nothing of a lab or a run is left behind, however it ends; and nothing of anybody else is touched."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.models.containers import Container

from edge import EdgeHost
from engine import ownership
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.sites.site import Site
from harness.sites.site_file import read_site_file
from lab import control, images
from lab.settings import LabSettings, labs_folder
from tests.lab.ground import command_lines, running_lab, say
from tests.lab.projects import Checkout
from tests.settling import settled

FOREIGN = "somebody-else.run"


@pytest.fixture
def foreign(engine: docker.DockerClient) -> Iterator[Container]:
    """Make a container that belongs to somebody else."""
    container = engine.containers.create(images.engine_image(), labels={FOREIGN: "1"}, network_mode="none")
    yield container
    container.remove(force=True)


def processes_of(text: str) -> list[str]:
    """Return the command lines of the processes that name ``text``."""
    return [line for line in command_lines() if text in line]


def test_a_stopped_lab_leaves_nothing(engine: docker.DockerClient, tmp_path: Path) -> None:
    """A stopped lab leaves no container, network, volume, folder, process or shared connection."""
    with running_lab(1) as lab:
        folder = lab.settings.folder
        file = read_site_file(lab.site_file)
        with Site.open(file, "own", Ledger(), Evidence(tmp_path)) as site:
            control_path = connection_of(next(iter(site.hosts.values())))
            assert processes_of(control_path), "the shared connection does not stand"
        assert ownership.left_of(engine, folder.name), "the lab's things do not carry its label"

    assert ownership.left_of(engine, folder.name) == []
    assert not folder.exists()
    assert processes_of(folder.name) == []
    assert settled(lambda: processes_of(control_path) == [], 5), "a shared connection outlives the site"


def connection_of(host: EdgeHost) -> str:
    """Connect to a host and give the folder of the shared connection's socket."""
    host.boot()
    return str(host.access.control)


_STARTER = """
import sys, time
from pathlib import Path
from lab import control
from lab.settings import LabSettings
control.start(LabSettings(Path(sys.argv[1]), 1), print)
print("started", flush=True)
time.sleep(600)
"""


def test_a_lab_ends_with_the_process_that_started_it(engine: docker.DockerClient, project: Checkout) -> None:
    """When the starter is killed, the lab takes itself down within seconds, its folder included."""
    folder = project.temporary / f"lab-{secrets.token_hex(3)}"
    with project.start("-c", _STARTER, str(folder)) as starter:
        assert starter.stdout is not None
        assert "started\n" in starter.stdout, "the lab did not start"
        starter.kill()

    assert settled(lambda: not folder.exists(), 15), f"{folder} is still there"
    assert ownership.left_of(engine, folder.name) == []
    assert settled(lambda: processes_of(folder.name) == [], 5)


def test_a_killed_lab_is_cleared_and_nothing_else(
    engine: docker.DockerClient, lab: control.RunningLab, foreign: Container
) -> None:
    """What a killed lab leaves goes at the next sweep; a living lab's things and somebody else's stay."""
    living = sorted(ownership.left_of(engine, lab.settings.folder.name))
    with running_lab(1) as killed:
        name = killed.settings.folder.name
        assert ownership.left_of(engine, name)
        os.kill(int(killed.settings.keeper.read_text().partition("@")[0]), signal.SIGKILL)
        assert settled(lambda: not control.is_running(killed.settings), 5)
        ownership.sweep(engine, print)

    assert settled(lambda: ownership.left_of(engine, name) == [], 10), "another run's sweep may be at it too"
    assert sorted(ownership.left_of(engine, lab.settings.folder.name)) == living
    assert engine.containers.get(str(foreign.id)).labels == {FOREIGN: "1"}


def test_the_folder_of_a_dead_lab_is_cleared_at_the_next_start() -> None:
    """A folder whose lab is dead goes when labs are looked for, one that nobody signed as well; a young one stays."""
    names = ("dead", "young", "unsigned", "half-signed")
    dead, young, unsigned, half = (labs_folder() / f"lab-{name}-{secrets.token_hex(3)}" for name in names)
    for folder in (dead, young, unsigned, half):
        (folder / "edge-1").mkdir(parents=True)
    LabSettings(dead).keeper.write_text("4194305@gone")
    (young / "keeper.1").touch()  # just being written
    (half / "keeper.4194305").write_text("4194305@gone")
    os.utime(unsigned, times=(0, time.time() - 2 * control.YOUNG))
    try:
        control.kept()

        assert [folder.exists() for folder in (dead, young, unsigned, half)] == [False, True, False, False]
    finally:
        shutil.rmtree(young)


def test_whoever_starts_a_lab_answers_for_its_folder_until_the_lab_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lab's process that is killed before it wrote anything leaves a folder that is known to be dead."""
    settings, seen = LabSettings(labs_folder() / f"lab-early-{secrets.token_hex(3)}"), []

    def died(*_arguments: object, **_settings: object) -> None:
        seen.append(control.is_running(settings))
        raise OSError("killed")

    monkeypatch.setattr(subprocess, "Popen", died)
    try:
        with pytest.raises(OSError, match="killed"):
            control.start(settings, say)
        assert seen == [True]
        assert not settings.folder.exists(), "left by a start that failed"
    finally:
        settings.discard()


def test_a_lab_that_is_being_taken_down_is_so_also_when_that_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that is told to end while its lab goes waits for it, and leaves no folder."""
    lab, asked = control.RunningLab(LabSettings(labs_folder() / f"lab-down-{secrets.token_hex(3)}"), None), []
    lab.settings.folder.mkdir()

    def ask(_lab: control.RunningLab, word: str) -> dict[str, object]:
        asked.append(word)
        if len(asked) == 1:
            raise KeyboardInterrupt
        return {}

    monkeypatch.setattr(control.RunningLab, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        lab.stop()

    assert asked == ["stop", "stop"]
    assert not lab.settings.folder.exists()


def test_who_answers_for_a_folder_is_removed_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that is killed half-way leaves a folder that is still known to be dead."""
    settings = LabSettings(tmp_path / "lab")
    for place in ("a", "edge-1/b", "keeper", "z"):
        (settings.folder / place).parent.mkdir(parents=True, exist_ok=True)
        (settings.folder / place).touch()
    monkeypatch.setattr(shutil, "rmtree", lambda *_arguments, **_settings: None)  # killed before it
    settings.discard()
    monkeypatch.undo()

    assert {path.name for path in settings.folder.iterdir() if path.is_file()} == {"keeper"}
    settings.discard()
    assert not settings.folder.exists()


def test_a_lab_that_does_not_come_up_leaves_nothing(engine: docker.DockerClient) -> None:
    """A lab that fails on its way says why and leaves neither folder nor container."""
    folder = labs_folder() / f"lab-fails-{secrets.token_hex(3)}"
    with pytest.raises(control.LabFailed, match="no-such-fault"):
        control.start(LabSettings(folder, 1, ({"name": "no-such-fault"},)), say)

    assert not folder.exists()
    assert ownership.left_of(engine, folder.name) == []


def test_an_interrupted_run_leaves_nothing(engine: docker.DockerClient, project: Checkout) -> None:
    """Ctrl-C in the middle of a deployment ends the run with everything that it had started."""
    case = "test_a_new_cluster_pulls_from_the_private_registry"
    with interrupted(project.start("-m", "pytest", "suites", "-q", "--lab-hosts", "1", "-k", case)) as run:
        site = wait_for_site(project, run)
        name = site.parent.name
        assert settled(lambda: is_deploying(engine, name), 30), "no deployment has begun"
        os.killpg(run.pid, signal.SIGINT)
        output, _ = run.communicate(timeout=60)

    labels = {str(c.labels) for c in engine.containers.list(all=True, filters={"label": f"{ownership.PREFIX}.run"})}
    number = name.removeprefix("lab-")
    assert "KeyboardInterrupt" in output, output
    assert ownership.left_of(engine, name) == []
    assert [text for text in labels if number in text] == [], "the registry is still there"
    assert settled(lambda: processes_of(str(project.temporary)) == [], 5), processes_of(str(project.temporary))
    assert project.leftovers == []


@contextmanager
def interrupted(run: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """See to it that a run is over in any case."""
    with run:
        try:
            yield run
        finally:
            if run.poll() is None:
                os.killpg(run.pid, signal.SIGTERM)


def wait_for_site(project: Checkout, run: subprocess.Popen[str]) -> Path:
    """Wait until the run's lab is ready; return its site file."""
    found: list[Path] = []

    def look() -> bool:
        found[:] = project.temporary.glob("palette-edge-labs-*/lab-*/site.yaml")
        return bool(found) or run.poll() is not None

    assert settled(look, 60)
    assert found, f"the run ended early: {run.stdout.read() if run.stdout else ''}"
    return found[0]


def is_deploying(engine: docker.DockerClient, run: str) -> bool:
    """Return whether a host of a run's lab has been given its cluster."""
    hosts = engine.containers.list(filters={"label": ownership.label_of(run)})
    return any(host.exec_run("test -e /state/oem/85_cluster_config.yaml").exit_code == 0 for host in hosts)
