"""What belongs to whom on the engine: a dead run's things go, everybody else's stay."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from http import HTTPStatus
from unittest.mock import Mock

import docker
import pytest
from docker.errors import APIError, NotFound
from requests import ReadTimeout

from engine import ownership
from engine.ownership import Owner, is_alive, process_identity

DEAD = f"4194305@1@{'0' * 8}"


@pytest.fixture
def volume(engine: docker.DockerClient) -> Iterator[Callable[..., str]]:
    """Make volumes with labels; they go with the test."""
    names: list[str] = []

    def make(labels: dict[str, str]) -> str:
        names.append(f"test-ownership-{secrets.token_hex(4)}")
        engine.volumes.create(names[-1], labels=labels)
        return names[-1]

    yield make
    for name in names:
        with contextlib.suppress(NotFound):
            engine.volumes.get(name).remove(force=True)


def dead_keeper() -> str:
    """Return the identity of a process of this machine that has ended."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        return process_identity(process.pid)


def exists(engine: docker.DockerClient, name: str) -> bool:
    """Return whether a volume is there."""
    return any(found.name == name for found in engine.volumes.list())


def test_a_process_is_alive_until_it_ends() -> None:
    """A process counts as alive while it runs, as dead when it has ended, even if nobody has looked at its end yet."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        identity = process_identity(process.pid)
        alive = is_alive(identity)
        assert process.stdin is not None
        process.stdin.close()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended and is a zombie
        zombie = is_alive(identity)

    assert (alive, zombie, is_alive(identity)) == (True, False, False)


def test_a_number_that_is_used_again_is_another_process() -> None:
    """The same process number with another start, or after another boot of this machine, is not the same process."""
    pid, tick, boot, place = process_identity(os.getpid()).split("@")

    assert is_alive(f"{pid}@{tick}@{boot}@{place}")
    assert not is_alive(f"{pid}@{int(tick) + 1}@{boot}@{place}")
    assert not is_alive(f"{pid}@{tick}@another-boot@{place}")


def test_a_process_of_another_machine_counts_as_alive() -> None:
    """Whoever runs on another machine, or in a container, cannot be seen from here, and so is left alone."""
    pid, tick, boot, place = process_identity(os.getpid()).split("@")

    assert is_alive(f"{int(pid) + 1}@{tick}@{boot}@another-machine-{place.rpartition('-')[2]}")


@pytest.mark.parametrize("keeper", ["", "gone", "x@1@2@3", "4194305@gone", "@"])
def test_what_names_no_process_is_dead(keeper: str) -> None:
    """A keeper that names no process answers for nothing."""
    assert not is_alive(keeper)


def test_a_sweep_removes_what_dead_runs_left_and_nothing_else(
    engine: docker.DockerClient, volume: Callable[..., str]
) -> None:
    """A dead run's things go; a living run's, another machine's, a cache and somebody else's stay."""
    dead = volume(Owner("dead", dead_keeper()).labels)
    living = volume(Owner.this_process("living").labels)
    elsewhere = volume(Owner("elsewhere", "1@2@3@another-machine-4").labels)
    cache = volume({ownership.CACHE: "something"})
    foreign = volume({"somebody": "else"})
    removed = ownership.sweep(engine, print)

    assert dead in removed
    assert set(removed) & {living, elsewhere, cache, foreign} == set()
    assert [exists(engine, name) for name in (dead, living, elsewhere, cache, foreign)] == [False, *[True] * 4]


def test_a_run_is_removed_by_its_whole_name(engine: docker.DockerClient, volume: Callable[..., str]) -> None:
    """Removing a run leaves another whose name begins the same, and a second look finds nothing of the first."""
    run = f"run-{secrets.token_hex(4)}"
    mine, longer = volume(Owner.this_process(run).labels), volume(Owner.this_process(f"{run}-2").labels)

    assert ownership.left_of(engine, run) == [mine]
    assert ownership.remove_run(engine, run) == [mine]
    assert ownership.left_of(engine, run) == []
    assert ownership.left_of(engine, f"{run}-2") == [longer]


@pytest.mark.parametrize("status", [403, 404, 409])
def test_what_somebody_else_removes_or_uses_is_left_to_them(status: HTTPStatus) -> None:
    """A thing that is gone already, just goes, or is used by somebody else, ends no run with an error."""

    def remove() -> None:
        response = docker.api.client.requests.Response()  # type: ignore[attr-defined] # what docker-py looks at
        response.status_code = status
        raise NotFound("gone") if status == 404 else APIError("in use", response)

    assert ownership._gone(remove) is False


@pytest.mark.parametrize(
    "error", [APIError("tried to kill container, but\ndid not receive an exit event"), ReadTimeout()]
)
def test_what_the_engine_cannot_remove_ends_no_run(
    engine: docker.DockerClient, volume: Callable[..., str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """A thing of a dead run that the engine does not get rid of stays, is named in one line, and costs nothing else.

    A night ended with "the harness went wrong" because of a container of the night before.
    """
    dead, said = volume(Owner("dead", dead_keeper()).labels), list[str]()
    with monkeypatch.context() as broken:
        broken.setattr(docker.models.volumes.Volume, "remove", Mock(side_effect=error))  # type: ignore[attr-defined]
        assert dead not in ownership.sweep(engine, said.append)

    assert [line for line in said if f"cannot clear {dead}" in line and "\n" not in line] != []
    assert dead in ownership.sweep(engine, said.append)
