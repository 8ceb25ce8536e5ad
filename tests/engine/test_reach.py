"""Reaching an engine: the one that is there, found as the docker command does, or a message with what helps."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import socket
import warnings
from pathlib import Path

import docker
import pytest

from engine import reach
from engine.reach import EngineUnavailable, connect

NOWHERE = "tcp://127.0.0.1:1"


@pytest.fixture
def socket_of_the_engine(engine: docker.DockerClient) -> str:
    """Return where this machine's engine listens."""
    named = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    return str(engine.api.base_url).replace("http+docker://localhost", named)


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Choose a docker context called ``elsewhere``; return the file that says where it leads."""
    meta = tmp_path / "contexts" / "meta" / hashlib.sha256(b"elsewhere").hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "elsewhere"}))
    write_context(meta, NOWHERE)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    return meta


def write_context(meta: Path, host: str) -> None:
    """Write a docker context that leads somewhere."""
    endpoints = {"docker": {"Host": host, "SkipTLSVerify": False}}
    meta.write_text(json.dumps({"Name": "elsewhere", "Metadata": {}, "Endpoints": endpoints}))


@pytest.fixture
def without_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a machine where nobody chose an engine and none runs, and let nothing be installed."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(reach, "_reach", lambda: None)
    monkeypatch.setattr(reach, "_SOCKET", tmp_path / "docker.sock")
    monkeypatch.setattr(reach, "install_packages", lambda *_arguments: pytest.fail("something is installed"))
    monkeypatch.setattr(reach, "_start", lambda *_arguments: pytest.fail("an engine is started"))


def refusal(*, provision: bool = True) -> str:
    """Return the message with which no engine is given."""
    with pytest.raises(EngineUnavailable) as refused:
        connect(print, provision=provision)
    return str(refused.value)


def test_an_engine_that_is_there_is_used(socket_of_the_engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running engine is used as it is, and nothing is said about it; DOCKER_HOST names it."""
    monkeypatch.setenv("DOCKER_HOST", socket_of_the_engine)
    said: list[str] = []
    with contextlib.closing(connect(said.append, provision=False)) as client:
        assert client.ping()
    assert said == []


def test_an_engine_that_was_chosen_is_never_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody answers at DOCKER_HOST, that is the message; no other engine is taken, started or installed."""
    monkeypatch.setenv("DOCKER_HOST", NOWHERE)

    assert refusal() == f"no Docker engine answers at DOCKER_HOST={NOWHERE}; start it, or choose another"


def test_the_current_context_is_followed(socket_of_the_engine: str, context: Path) -> None:
    """Without DOCKER_HOST the current docker context says where the engine is, as for the docker command."""
    assert refusal() == f"no Docker engine answers at {NOWHERE} (docker context elsewhere); start it, or choose another"
    write_context(context, socket_of_the_engine)

    with contextlib.closing(connect(print, provision=False)) as client:
        assert client.ping()


def test_docker_host_goes_before_the_context(
    socket_of_the_engine: str, context: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DOCKER_HOST wins over a context that leads nowhere."""
    assert context.exists()
    monkeypatch.setenv("DOCKER_HOST", socket_of_the_engine)

    with contextlib.closing(connect(print, provision=False)) as client:
        assert client.ping()


def test_a_context_that_cannot_be_read_is_named(context: Path) -> None:
    """A context whose file is broken ends in a message, not in a traceback."""
    context.write_text("{")

    assert refusal().startswith("no Docker engine answers at the current docker context (")


@pytest.mark.usefixtures("without_engine")
def test_no_provision_forbids_to_provide_one() -> None:
    """With --no-provision and no engine, the message says so and has the command to run."""
    said = "no Docker engine is running and none may be provided (--no-provision); run: apt-get install docker.io"

    assert refusal(provision=False).startswith(said)


@pytest.mark.usefixtures("without_engine")
@pytest.mark.parametrize(("debian", "user", "who"), [(True, 1000, "not root"), (False, 0, "root")])
def test_only_root_on_debian_is_given_one(
    monkeypatch: pytest.MonkeyPatch,
    debian: bool,  # noqa: FBT001 - a column of the table
    user: int,
    who: str,
) -> None:
    """On another distribution, or for another user, nothing is installed; the message has the command to run."""
    monkeypatch.setattr(reach, "is_debian_family", lambda: debian)
    monkeypatch.setattr("os.geteuid", lambda: user)
    message = refusal()

    assert f"it is provided only for root on Debian or Ubuntu (here: {who})" in message
    assert message.endswith("run: apt-get install docker.io && service docker start")


@pytest.mark.usefixtures("without_engine")
def test_an_engine_of_somebody_else_is_not_doubled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When an engine runs and its socket is not ours to use, the message says how to get access."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "docker.sock"))
        monkeypatch.setattr("os.access", lambda _path, _mode: False)

        assert "usermod -aG docker" in refusal()


def test_a_package_that_cannot_be_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When apt-get fails, the message has the command and apt-get's last words."""
    fake = tmp_path / "apt-get"
    fake.write_text("#!/bin/sh\necho 'E: Unable to locate package' \"$@\" >&2; exit 100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    said: list[str] = []

    with pytest.raises(EngineUnavailable, match="'apt-get update -qq' failed: E: Unable to locate package"):
        reach.install_packages(["docker.io"], said.append)
    assert said == ["installing docker.io from the distribution"]


def test_a_failed_attempt_leaves_no_connection_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that is not there yet leaves nothing that Python would complain of later."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    assert reach._reach() is None

    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always", ResourceWarning)
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []
