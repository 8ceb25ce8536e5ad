"""A lab treated as a site of somebody else's: what is known of it is its site file."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml

from doctor.__main__ import main
from edge import EdgeHost
from harness.sites.site import edge_host
from harness.sites.site_file import SiteFile, read_site_file
from lab.control import RunningLab
from tests.lab.ground import running_lab

Json = dict[str, Any]


@dataclass
class ThirdPartySite:
    """A site of which a site file is known, and ways to change that file and the site's hosts for a while."""

    document: Json
    folder: Path
    capture: pytest.CaptureFixture[str]

    def write(self, **changes: object) -> Path:
        """Write the site file with some places changed; ``a__b`` is the key ``b`` in the mapping ``a``."""
        document = copy.deepcopy(self.document)
        for path, value in changes.items():
            *steps, last = [int(step) if step.isdecimal() else step for step in path.split("__")]
            place: Any = document
            for step in steps:
                place = place[step]
            place[last] = value
        file = self.folder / "site.yaml"
        file.write_text(yaml.safe_dump(document))
        return file

    def doctor(self, **changes: object) -> tuple[int, list[str]]:
        """Run the doctor on the changed file; return its exit code and what it printed, line by line."""
        file = self.write(**changes)
        self.capture.readouterr()
        code = main(["--site", str(file)])
        return code, self.capture.readouterr().out.splitlines()

    @contextmanager
    def host(self, uid: str = "edge-1", **changes: object) -> Iterator[EdgeHost]:
        """Log in to a host as the (changed) site file has it."""
        described = self.read(**changes)
        with (
            tempfile.TemporaryDirectory(prefix="edge-ssh-") as area,
            closing(edge_host(described, uid, Path(area))) as host,
        ):
            yield host

    def read(self, **changes: object) -> SiteFile:
        """Read the changed site file."""
        return read_site_file(self.write(**changes))

    @contextmanager
    def done_on_host(self, do: str, undo: str) -> Iterator[None]:
        """Run a command on the first host as root, and undo it afterwards."""
        with self.host() as host:
            try:
                host.testinfra.check_output(do)
                yield
            finally:
                host.testinfra.check_output(undo)


@pytest.fixture(scope="session")
def lab(engine: docker.DockerClient) -> Iterator[RunningLab]:
    """Run a lab with two Edge hosts, in a process of its own."""
    _ = engine
    with running_lab(2) as lab:
        yield lab


@pytest.fixture
def third_party(lab: RunningLab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> ThirdPartySite:
    """Return the lab as a site that somebody described."""
    return ThirdPartySite(yaml.safe_load(lab.site_file.read_text()), tmp_path, capsys)
