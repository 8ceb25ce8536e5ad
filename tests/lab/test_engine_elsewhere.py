"""A pipeline's job in a container: it can use the machine's engine when it has the same files and network, else not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from engine.ownership import Owner
from engine.reach import _SOCKET, EngineUnavailable, connect
from lab.images import build, cache_folder, engine_image
from tests.lab.ground import say
from tests.packages import ROOT, copy_to
from tests.settling import settled

SAMPLE = ROOT / "docs" / "pipelines" / "gitlab-ci.yml"
CASE = "test_a_new_cluster_pulls_from_the_private_registry"
JOB_SECONDS, ENGINE_SECONDS = 600, 60
HERE = {str(path): {"bind": str(path), "mode": "ro"} for path in (Path("/usr"), Path("/etc/alternatives"))}
#: Another engine: enough of one to be asked what it is.
DOCKERD = (
    "mkdir -p /run/data /run/bin && ln -s /bin/true /run/bin/rootlesskit-docker-proxy && "
    "export PATH=$PATH:/run/bin XDG_RUNTIME_DIR=/run HOME=/root && exec env {} "
    "dockerd --data-root=/run/data --exec-root=/run/exec -H tcp://0.0.0.0:2375 --tls=false "
    "--storage-driver=vfs --bridge=none --iptables=false --ip6tables=false --userland-proxy=false {}"
)


@pytest.fixture
def usual(engine: docker.DockerClient) -> docker.DockerClient:
    """Return the engine at this machine's usual socket; it has an image for jobs."""
    build(engine, say)
    if not _SOCKET.exists() or os.environ.get("DOCKER_HOST"):
        pytest.skip("the engine of these tests is not at this machine's usual socket")
    return engine


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout with the environment that a pipeline's cache would bring: the Python of these tests."""
    place = tmp_path_factory.mktemp("checkout")
    copy_to(place)
    for name in ("run", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, place)
    (python := place / ".venv" / "bin" / "python").parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    lock = hashlib.sha256((place / "requirements.lock").read_bytes()).hexdigest()
    (place / ".venv" / "stamp.json").write_text(json.dumps({"python": sys.version, "run": lock}))
    return place


def sample(checkout: Path) -> tuple[str, dict[str, str], list[str]]:
    """Return the script of the sample pipeline, its variables, and the directories that its runner shares with jobs."""
    text = SAMPLE.read_text()
    job: dict[str, Any] = yaml.safe_load(text)["conformance"]
    found = re.search(r"^# +volumes = (\[.*\])$", text, re.MULTILINE)
    assert found, "the sample names no volumes"
    assert '#     network_mode = "host"' in text
    shared = [each.partition(":")[0] for each in json.loads(found[1])]
    shared[shared.index("/builds")] = str(checkout)  # where a runner has its checkouts
    variables = {name: value.replace("$CI_PROJECT_DIR", str(checkout)) for name, value in job["variables"].items()}
    return "\n".join(["set -e", *job["script"], *job["after_script"]]), variables, shared


def do(
    engine: docker.DockerClient, checkout: Path, script: str, shared: list[str], network: str, **environment: str
) -> tuple[int, str]:
    """Run a script in a container that has the checkout, Python, and what is shared besides; return how it ended."""
    python = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path.startswith("/"))}
    binds = HERE | {path: {"bind": path, "mode": "ro"} for path in python if Path(path).is_dir()}
    binds |= {path: {"bind": path, "mode": "rw"} for path in [str(checkout), *shared]}
    container = engine.containers.run(
        engine_image(), [script], entrypoint=["/bin/sh", "-c"], volumes=binds, network=network,
        environment={"PYTHON": sys.executable, **environment}, working_dir=str(checkout),
        labels=Owner.this_process("job").labels, detach=True,
    )  # fmt: skip
    try:
        ended = int(container.wait(timeout=JOB_SECONDS)["StatusCode"])
        return ended, container.logs().decode(errors="replace")
    finally:
        container.remove(force=True)


@contextmanager
def another(engine: docker.DockerClient, variable: str = "", flag: str = "") -> Iterator[tuple[str, str]]:
    """Run this machine's dockerd in a container, as ``docker`` on a network; return the network and its address."""
    if shutil.which("dockerd") is None:
        pytest.skip("this machine has no dockerd of its own")
    owner = Owner.this_process(f"elsewhere-{secrets.token_hex(3)}")
    network = engine.networks.create(owner.run, labels=owner.labels)
    try:
        container = engine.containers.create(
            engine_image(), [DOCKERD.format(variable, flag)], entrypoint=["/bin/sh", "-c"], volumes=HERE,
            labels=owner.labels, cap_add=["SYS_ADMIN", "NET_ADMIN"], tmpfs={"/run": "", "/tmp": ""}, network=owner.run,  # noqa: S108 - its own
            networking_config={owner.run: engine.api.create_endpoint_config(aliases=["docker"])},
        )  # fmt: skip
        try:
            container.start()
            container.reload()
            address = str(container.attrs["NetworkSettings"]["Networks"][owner.run]["IPAddress"])
            assert settled(lambda: listens(address), ENGINE_SECONDS), container.logs(tail=5)
            yield owner.run, f"tcp://{address}:2375"
        finally:
            container.remove(force=True)
    finally:
        network.remove()


def listens(address: str) -> bool:
    """Return whether the engine takes requests."""
    with suppress(OSError), socket.create_connection((address, 2375), 1):
        return True
    return False


def test_the_sample_pipeline_runs_beside_the_engine(usual: docker.DockerClient, checkout: Path) -> None:
    """GitLab's job in a container of its own, set up as the sample says, deploys a cluster and keeps its report."""
    script, variables, shared = sample(checkout)
    variables |= {"XDG_CACHE_HOME": str(cache_folder().parent), "PYTEST_ADDOPTS": f"-k {CASE}"}
    ended, said = do(usual, checkout, script, [*shared, variables["XDG_CACHE_HOME"]], "host", **variables)

    assert ended == 0, said
    assert CASE in (checkout / "tonight" / "junit.xml").read_text()
    assert (checkout / "nights.ndjson").exists()


@pytest.mark.parametrize("shares", ["its files", "its network"])
def test_a_job_that_shares_one_thing_only_is_refused(usual: docker.DockerClient, checkout: Path, shares: str) -> None:
    """With the engine's socket, but files or a network of its own, a job ends at once with what to do."""
    script, variables, shared = sample(checkout)
    files, network = (shared, "bridge") if shares == "its files" else ([str(_SOCKET.resolve())], "host")
    variables |= {"TMPDIR": "/tmp", "DOCKER_HOST": f"unix://{_SOCKET.resolve()}"}  # noqa: S108 - the job's
    ended, said = do(usual, checkout, script, files, network, **variables)

    assert ended == 4, said
    assert "run where the engine runs: as a shell on its machine" in said


def test_a_job_with_an_engine_in_another_container_is_refused(usual: docker.DockerClient, checkout: Path) -> None:
    """GitLab's ``services: [docker:dind]``: job and engine have nothing in common."""
    script, variables, _ = sample(checkout)
    with another(usual) as (network, _address):
        ended, said = do(usual, checkout, script, [], network, **variables, DOCKER_HOST="tcp://docker:2375")

    assert ended == 4, said
    assert "DOCKER_HOST=tcp://docker:2375: the Docker engine does not see /" in said
    assert not (checkout / "tonight").exists()


@pytest.mark.parametrize(
    ("variable", "flag", "kind"),
    [("ROOTLESSKIT_STATE_DIR=/run", "--rootless", "rootless"), ("", "--userns-remap=default", "one with userns-remap")],
)
def test_a_real_engine_of_another_kind_is_refused_by_name(
    usual: docker.DockerClient, monkeypatch: pytest.MonkeyPatch, variable: str, flag: str, kind: str
) -> None:
    """What a dockerd says of itself, started rootless or with users of its own, is recognised."""
    with another(usual, variable, flag) as (_network, address):
        monkeypatch.setenv("DOCKER_HOST", address)
        with pytest.raises(EngineUnavailable, match=f"the engine is {kind}, which carries neither"):
            connect(print, provision=False)
