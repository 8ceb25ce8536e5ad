"""A run is resumed on the site that it ran on, and on no other."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from harness.ledger import FILE_NAME, Ledger
from harness.ledger import read as read_ledger
from harness.options import Options
from harness.resuming import CannotResumeError, earlier
from harness.run import Run
from harness.sites.site_file import SiteFile
from reports.journal import Journal
from reports.records import RunStarted
from reports.runs import RunTakenError

ROOT = Path(__file__).parents[2]
RUN = "20261128-101112-abcd"


def site(url: str = "https://palette.example/", project: str = "Default", name: str = "qa") -> SiteFile:
    """Return as much of a site file as says which site it describes."""
    path = SimpleNamespace(name=f"{name}.yaml")
    return cast("SiteFile", SimpleNamespace(palette_url=url, project=project, name=name, path=path))


def interrupted(home: Path, name: str = "qa", **about: str) -> None:
    """Leave behind what a run that was killed leaves."""
    folder = home / "runs" / RUN
    folder.mkdir(parents=True)
    journal = Journal(folder / "journal.ndjson")
    journal.write(RunStarted(run_id=RUN, started="2026-11-28T10:11:12.000Z", site=name))
    journal.close()
    if about:
        Ledger(folder / FILE_NAME).begin(process="1@0", **about)


def test_a_run_is_resumed_on_its_own_site(tmp_path: Path) -> None:
    """The same Palette and project are the same site, whatever its file is called now."""
    interrupted(tmp_path, palette="https://palette.example/", project="Default")

    found = earlier(RUN, tmp_path, site(name="renamed"))
    os.close(found.owner)

    assert found.folder.name == RUN


RESUMING = """
import sys
from pathlib import Path
from harness.options import _resumed
import pytest
try:
    _resumed(sys.argv[1], Path(sys.argv[2]), None)
except pytest.UsageError as error:
    print(error, flush=True)
else:
    print("resumed", flush=True)
    sys.stdin.read()
"""


def resume(home: Path) -> subprocess.Popen[str]:
    """Resume the run in a process of its own, which has it until its input ends."""
    command, pipe = [sys.executable, "-c", RESUMING, RUN, str(home)], subprocess.PIPE
    return subprocess.Popen(command, text=True, cwd=ROOT, stdin=pipe, stdout=pipe)


def test_a_run_is_resumed_once_at_a_time(tmp_path: Path) -> None:
    """Of several that resume one run at the same moment one has it; it is free again when that one is killed."""
    interrupted(tmp_path, name="lab")
    with ExitStack() as stack:
        started = [stack.enter_context(resume(tmp_path)) for _ in range(3)]
        said = [process.stdout.readline() for process in started if process.stdout]
        for process in started:
            process.kill()

    taken = f"--resume: {RUN}: the run is still going on, in another process\n"
    assert sorted(said) == [taken, taken, "resumed\n"]
    os.close(earlier(RUN, tmp_path, None).owner)


def test_a_run_whose_files_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """What the system says of the file is told, as of other bad input."""
    (tmp_path / "runs" / RUN / "journal.ndjson").mkdir(parents=True)
    with resume(tmp_path) as process:
        said = process.communicate()[0]

    assert said.startswith("--resume: [Errno 21] Is a directory")


def test_a_new_run_owns_its_directory(tmp_path: Path) -> None:
    """Nobody resumes a run while it goes on, from its first moment on."""
    run = Run.begin(cast("Options", SimpleNamespace(resume=None, home=tmp_path)))
    try:
        with pytest.raises(RunTakenError, match="still going on"):
            earlier(run.id, tmp_path, None)
    finally:
        run.journal.close()
        os.close(run.owner)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (site(url="https://elsewhere.example/"), "ran on https://palette.example/, project Default; give that site's"),
        (site(project="Other"), "ran on https://palette.example/, project Default; give that site's"),
        (None, "ran on site qa; name its file with --site"),
    ],
    ids=["Palette", "project", "the lab"],
)
def test_a_run_is_not_resumed_on_another_site(tmp_path: Path, other: SiteFile | None, said: str) -> None:
    """Elsewhere nothing of what it made would be found, and its leftovers would count as gone."""
    interrupted(tmp_path, palette="https://palette.example/", project="Default")

    with pytest.raises(CannotResumeError, match=said):
        earlier(RUN, tmp_path, other)


def test_a_run_that_never_reached_its_site_is_told_by_its_name(tmp_path: Path) -> None:
    """Without a ledger the name in the record is all there is."""
    interrupted(tmp_path, name="production")

    with pytest.raises(CannotResumeError, match="ran on site production; give that"):
        earlier(RUN, tmp_path, site())


@pytest.mark.parametrize(
    "line", [b"[1]", b"5", b"[" * 5000, b'{"step": "made"}', b'{"step": ["made"]}', b"\xff", b'{"step": "gone"}']
)
def test_a_damaged_line_of_a_ledger_costs_that_line(tmp_path: Path, line: bytes) -> None:
    """What else the run made is known all the same, so cleaning and resuming go on."""
    path = tmp_path / FILE_NAME
    path.write_bytes(b'{"step": "made", "kind": "lease", "uid": "edge-1"}\n' + line + b"\n")

    assert read_ledger(path).entries == [("lease", "edge-1")]
