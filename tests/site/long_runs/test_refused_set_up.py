"""A run whose Palette is not the one that the site file means ends before it began, with one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
import yaml
from docker.errors import DockerException

from reports.verdicts import ExitCode
from tests.site.long_runs.stage import Stage

ROOT = Path(__file__).parents[3]
LIMIT = 300  # seconds; most of them are pauses between attempts


@pytest.fixture
def conformance(stage: Stage) -> Callable[..., tuple[int, list[str]]]:
    """Return a way to run a case on the stage with its site file changed; return exit code and terminal."""
    try:
        docker.from_env().close()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")

    def run(**palette: object) -> tuple[int, list[str]]:
        document = yaml.safe_load(stage.site.path.read_text())
        document["palette"].update(palette)
        (stage.site.path.parent / "wrong-key").write_text("no-such-key-at-all")
        stage.site.path.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "new_version_repaves"]
        command += ["--site", str(stage.site.path), "--runs-in", str(stage.site.path.parent / "out"), "suites"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run


@pytest.mark.parametrize(
    ("palette", "said"),
    [
        ({"url": "https://127.0.0.1:9"}, "site.yaml: wrong URL: palette.url https://127.0.0.1:9: "),
        ({"url": "https://nowhere.invalid"}, "site.yaml: wrong URL: palette.url https://nowhere.invalid: "),
        ({"api_key": {"file": "wrong-key"}}, "site.yaml: wrong key: palette.api_key: "),
        ({"project": "Elsewhere"}, "site.yaml: wrong project: palette.project: "),
    ],
    ids=["URL", "name", "key", "project"],
)
def test_a_wrong_palette_is_refused_in_one_line(
    stage: Stage, conformance: Callable[..., tuple[int, list[str]]], palette: dict[str, object], said: str
) -> None:
    """A wrong URL, key or project ends with exit code 4 and one line that says what to do; no host is leased."""
    code, lines = conformance(**palette)
    told = [line for line in lines if "bad set-up" in line]

    assert code == ExitCode.SETUP, lines
    assert len(told) == 1, lines
    assert f"bad set-up: {said}" in told[0]
    assert "; " in told[0].partition(said)[2], "what to do is not said"
    assert not [line for line in lines if "Traceback" in line or "not run  " in line]
    assert [*(stage.site.path.parent / "out" / "runs").iterdir()] == [], "a run that never began has left a trace"
    assert not [host for host in stage.project().edge_hosts.search() if host.labels]


def test_a_host_that_nobody_knows_is_refused_in_one_line(
    stage: Stage, conformance: Callable[..., tuple[int, list[str]]]
) -> None:
    """A host that is sought by a name that no Edge host has ends the run with exit code 4 and the names there are."""
    document = yaml.safe_load(stage.site.path.read_text())
    document["edge_hosts"] = [{"name": "edge-unknown", "ssh": "kairos@{address}"}]
    stage.site.path.write_text(yaml.safe_dump(document))
    code, lines = conformance()
    told = [line for line in lines if "bad set-up" in line]

    assert code == ExitCode.SETUP, lines
    assert len(told) == 1, lines
    assert "no Edge host of the project has 'edge-unknown'" in told[0]
