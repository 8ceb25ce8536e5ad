"""A pipeline's job in a container: it can use the machine's engine when it has the same files and network, else not."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from docker.errors import ContainerError

from engine.reach import _SOCKET
from lab.images import engine_image

if TYPE_CHECKING:
    import docker

    from lab.control import RunningLab

ROOT = Path(__file__).parent.parent.parent
#: What a job looks at first: the lab is not started when the engine is refused.
JOB = "from engine.reach import connect; connect(print, provision=False); print('an engine to work with')"


def job(engine: docker.DockerClient, tmp_path: Path, *shared: Path, network: str) -> str:
    """Run the job in a container that has the project, Python, the engine's socket and what is shared besides."""
    python = {Path(sys.prefix), Path(sys.base_prefix), *(Path(path) for path in sys.path if path.startswith("/"))}
    binds = {str(path): {"bind": str(path), "mode": "ro"} for path in (*python, ROOT) if path.is_dir()}
    binds |= {str(path): {"bind": str(path), "mode": "rw"} for path in (*shared, _SOCKET.resolve())}
    environment = {"TMPDIR": str(tmp_path), "DOCKER_HOST": f"unix://{_SOCKET.resolve()}", "PYTHONPATH": str(ROOT)}
    command = ["-c", f'mkdir -p {tmp_path} && exec {sys.executable} -c "$0"', JOB]
    try:
        output = engine.containers.run(
            engine_image(), command, entrypoint=["/bin/sh"], volumes=binds, environment=environment,
            network_mode=network, remove=True, stderr=True,
        )  # fmt: skip
    except ContainerError as error:
        return str(error.stderr)
    return output.decode()


@pytest.mark.parametrize(
    ("same_files", "network", "said"),
    [
        (True, "host", "an engine to work with"),
        (False, "host", "it has other files than this process; run where the engine runs"),
        (True, "bridge", "is not one of this machine; run where the engine runs"),
    ],
    ids=["same files and network", "files of its own", "a network of its own"],
)
def test_a_job_in_a_container(
    lab: RunningLab, engine: docker.DockerClient, tmp_path: Path, *, same_files: bool, network: str, said: str
) -> None:
    """GitLab's jobs run in containers beside the engine: what cannot work ends at once with what to do."""
    assert lab.site_file.exists()
    if not _SOCKET.exists() or os.environ.get("DOCKER_HOST"):
        pytest.skip("the engine of these tests is not at this machine's usual socket")
    shown = job(engine, tmp_path, *([tmp_path] if same_files else []), network=network)

    assert said in shown, shown
