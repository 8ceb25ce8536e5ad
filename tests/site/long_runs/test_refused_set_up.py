"""A run whose Palette is not the one that the site file means ends before it began, with one line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import yaml
from docker.errors import DockerException

from reports.verdicts import ExitCode
from tests.site.long_runs.stage import Stage

ROOT = Path(__file__).parents[3]
LIMIT = 300  # seconds; most of them are pauses between attempts


#: Runs a case on one site after the other in one process, and writes each exit code.
RUNS = """
import sys
import pytest
for site in sys.argv[2:]:
    words = ["-p", "no:cacheprovider", "-k", "new_version_repaves", "--site", site, "--runs-in", sys.argv[1], "suites"]
    print("exit", int(pytest.main(words)), flush=True)
"""


@pytest.fixture
def conformance(stage: Stage) -> Callable[..., list[tuple[int, list[str]]]]:
    """Return a way to run a case on sites with these documents; return exit code and terminal of each."""
    try:
        docker.from_env().close()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")

    def run(*documents: dict[str, Any]) -> list[tuple[int, list[str]]]:
        sites = []
        for number, document in enumerate(documents):
            (folder := stage.site.path.parent / str(number)).mkdir()
            (folder / "site.yaml").write_text(yaml.safe_dump(document))
            for name in ("key", "image"):
                (folder / name).symlink_to(stage.site.path.parent / name)
            (folder / "wrong-key").write_text("no-such-key-at-all")
            sites.append(str(folder / "site.yaml"))
        command = [sys.executable, "-c", RUNS, str(stage.site.path.parent / "out"), *sites]
        done = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True, timeout=LIMIT
        )
        told = re.findall(r"(.*?)^exit (\d+)$", done.stdout, re.MULTILINE | re.DOTALL)
        assert len(told) == len(documents), done.stdout
        return [(int(code), said.splitlines()) for said, code in told]

    return run


#: What of a site's Palette is wrong, and what is said of it.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": "https://127.0.0.1:9"}, "site.yaml: wrong URL: palette.url https://127.0.0.1:9: "),
    ({"url": "https://nowhere.invalid"}, "site.yaml: wrong URL: palette.url https://nowhere.invalid: "),
    ({"api_key": {"file": "wrong-key"}}, "site.yaml: wrong key: palette.api_key: "),
    ({"project": "Elsewhere"}, "site.yaml: wrong project: palette.project: "),
]


def test_a_wrong_palette_is_refused_in_one_line(
    stage: Stage, conformance: Callable[..., list[tuple[int, list[str]]]]
) -> None:
    """A wrong URL, key or project ends with exit code 4 and one line that says what to do; no host is leased."""
    document = yaml.safe_load(stage.site.path.read_text())
    runs = conformance(*({**document, "palette": document["palette"] | palette} for palette, _said in WRONG))

    for (code, lines), (_palette, said) in zip(runs, WRONG, strict=True):
        told = [line for line in lines if "bad set-up" in line]
        assert code == ExitCode.SETUP, lines
        assert len(told) == 1, lines
        assert f"bad set-up: {said}" in told[0]
        assert "; " in told[0].partition(said)[2], "what to do is not said"
        assert not [line for line in lines if "Traceback" in line or "not run  " in line]
    assert [*(stage.site.path.parent / "out" / "runs").iterdir()] == [], "a run that never began has left a trace"
    assert not [host for host in stage.project().edge_hosts.search() if host.labels]


def test_a_host_that_nobody_knows_is_refused_in_one_line(
    stage: Stage, conformance: Callable[..., list[tuple[int, list[str]]]]
) -> None:
    """A host that is sought by a name that no Edge host has ends the run with exit code 4 and the names there are."""
    document = yaml.safe_load(stage.site.path.read_text())
    document["edge_hosts"] = [{"name": "edge-unknown", "ssh": "kairos@{address}"}]
    ((code, lines),) = conformance(document)
    told = [line for line in lines if "bad set-up" in line]

    assert code == ExitCode.SETUP, lines
    assert len(told) == 1, lines
    assert "no Edge host of the project has 'edge-unknown'" in told[0]
