"""Engines that cannot carry registry and lab are refused by name, before anything is started on them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import docker
import pytest

from engine.nearness import _kind, sees, trouble_with
from engine.reach import EngineUnavailable, connect

CONNECT = "from engine.reach import connect; connect(print, provision=False)"


def test_this_machines_engine_is_usable(engine: docker.DockerClient, tmp_path: Path) -> None:
    """An engine with this machine's files and network is told from one without."""
    assert trouble_with(engine) == ""
    assert sees(engine, tmp_path)
    assert not sees(engine, tmp_path / "not-there")


@pytest.mark.parametrize(
    ("version", "info", "kind"),
    [
        (
            {"Components": [{"Name": "Podman Engine"}, {"Name": "Conmon"}, {"Name": "OCI Runtime (runc)"}]},  # 5.4.2's
            {"SecurityOptions": ["name=seccomp,profile=default"]},
            "Podman",
        ),
        (
            {
                "Components": [{"Name": "Engine"}, {"Name": "containerd"}, {"Name": "runc"}]
            },  # 26.1.5's, containerd store
            {"SecurityOptions": ["name=seccomp,profile=builtin"], "DriverStatus": [["driver-type", "io.containerd"]]},
            "",
        ),
        ({"Components": [{"Name": "Engine"}]}, {"SecurityOptions": ["name=seccomp", "name=rootless"]}, "rootless"),
        ({}, {"SecurityOptions": ["name=userns"]}, "one with userns-remap"),
        ({"Components": None}, {"SecurityOptions": None}, ""),
        ({"Components": [{"Name": "Engine"}]}, {"SecurityOptions": ["name=seccomp,profile=default"]}, ""),
    ],
)
def test_other_kinds_are_known_by_what_they_say(version: dict[str, Any], info: dict[str, Any], kind: str) -> None:
    """Podman's socket, rootless engines and engines that rename users are known by their own answers."""
    assert _kind(version, info) == kind


@pytest.mark.parametrize("apart", ["--mount", "--net"])
def test_an_engine_that_is_not_this_machines_is_refused(
    engine: docker.DockerClient, tmp_path: Path, apart: str
) -> None:
    """A process with other files or another network than the engine gets one line with what to do."""
    _ = engine
    first = f'mount -t tmpfs tmpfs "{tmp_path}"' if apart == "--mount" else "ip link set lo up"
    script = f'{first}; exec "$@"'
    command = ["unshare", apart, "sh", "-c", script, "sh", sys.executable, "-c", CONNECT]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        env={"TMPDIR": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    if "unshare failed" in done.stderr:
        pytest.skip(f"only root makes such namespaces: {done.stderr.strip()}")

    assert done.returncode == 1
    assert "; run where the engine runs: as a shell on its machine, or in a container" in done.stderr.splitlines()[-1]


def test_a_chosen_engine_that_cannot_be_used_is_named(
    engine: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message begins with how the user chose the engine."""
    named = "unix:///var/run/docker.sock"
    monkeypatch.setattr("engine.reach.trouble_with", lambda _client: "the engine is Podman")
    monkeypatch.setattr("engine.reach._attempt", engine.from_env)
    monkeypatch.setenv("DOCKER_HOST", named)

    with pytest.raises(EngineUnavailable, match=f"^DOCKER_HOST={named}: the engine is Podman$"):
        connect(print, provision=False)
