"""A run is resumed on the site that it ran on, and on no other."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from harness.ledger import FILE_NAME, Ledger
from harness.resuming import CannotResumeError, earlier
from reports.journal import Journal
from reports.records import RunStarted

if TYPE_CHECKING:
    from pathlib import Path

    from harness.sites.site_file import SiteFile

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

    assert earlier(RUN, tmp_path, site(name="renamed")).folder.name == RUN


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
