"""``./run site-init --from URL`` writes down what Palette says, quotes it, marks what is open, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from harness.sites.site_file import BadSiteFileError, read_site_file
from harness.sites.site_init import main
from tests.harness.palette_site import KEY, PaletteSite, palette_site


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PaletteSite]:
    """Yield a project with two Edge hosts and one profile; the key is in a variable."""
    monkeypatch.setenv("QA_KEY", KEY)
    with palette_site(tmp_path) as found:
        found.register("edge-1", "10.0.0.11")
        found.register("edge-2", "10.0.0.12")
        yield found


def written(site: PaletteSite, *more: str) -> Path:
    """Ask for a site file and return where it is."""
    file = site.folder / "new.yaml"
    words = ["--from", site.url, "--api-key", "QA_KEY", "--authority", str(site.folder / "ca.pem"), *more]
    assert main([str(file), *words]) == 0
    return file


def seen(site: PaletteSite) -> list[object]:
    """Return everything that the project has."""
    with site.project() as project:
        hosts = [(host.uid, str(host), dict(host.labels)) for host in project.edge_hosts.search()]
        return [hosts, list(project.clusters.search()), list(project.profiles.list()), project.macros.list()]


def test_what_palette_knows_is_filled_in_and_nothing_changes(site: PaletteSite) -> None:
    """URL, project, key, authority, free hosts with addresses and the one profile that can be cloned."""
    with site.project() as project:
        project.edge_hosts.set_labels("edge-2", {"conformance-owner": "somebody"}, name="edge-2")
    before = seen(site)
    file = written(site)
    document = yaml.safe_load(file.read_text())

    assert seen(site) == before
    assert document["palette"] == {
        "url": site.url, "project": "Default", "api_key": {"env": "QA_KEY"}, "authority": str(site.folder / "ca.pem"),
    }  # fmt: skip
    assert document["edge_hosts"] == [{"uid": "edge-1", "ssh": "USER@10.0.0.11"}]
    assert "left out: edge-2 is in use" in file.read_text()
    assert document["profile"] == "edge-base"


def test_what_is_open_is_told_with_its_line(site: PaletteSite) -> None:
    """The users of the hosts, this machine's address and the image are asked for, each at its line."""
    file = written(site)
    lines = file.read_text().splitlines()
    with pytest.raises(BadSiteFileError) as refused:
        read_site_file(file)

    said = [mistake.split(": ", 2) for mistake in refused.value.mistakes]
    keys = [key for _, key, _ in said]
    assert keys == ["edge_hosts[0].ssh", "edge_hosts[1].ssh", "registry.bind", "provider_image"]
    assert all(key.rpartition(".")[2] in lines[int(place.split(":")[1]) - 1] for place, key, _ in said)


def test_several_profiles_are_named_and_one_is_to_be_chosen(site: PaletteSite) -> None:
    """Those that cannot be cloned are named with the reason; names are data, whatever they hold."""
    with site.project() as project:
        (base,) = project.profiles.list()
        project.profiles.new_version(base.uid, "1.0.0", {}, name='x"\n- evil: #')
        project.profiles.new_version(base.uid, "1.0.0", {}, name="draft", publish=False)
    file = written(site)

    assert yaml.safe_load(file.read_text())["profile"] == "PROFILE"
    assert "# cannot be cloned: draft 1.0.0 is a draft" in file.read_text()
    with pytest.raises(BadSiteFileError, match="PROFILE is still the template's word; write the name of one of"):
        read_site_file(file)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--api-key", "NOT_SET"], "environment variable NOT_SET is not set"),
        (["--project", "Nowhere"], "no project 'Nowhere'; there are: Default"),
        (["--authority", "/no/such/file"], "/no/such/file"),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_no_file(
    site: PaletteSite, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4, the reason, and neither a file nor the key."""
    file = site.folder / "new.yaml"
    base = ["--from", site.url, "--api-key", "QA_KEY", "--authority", str(site.folder / "ca.pem")]

    assert main([str(file), *base, *words]) == 4
    error = capsys.readouterr().err
    assert (said in error, error.count("\n"), KEY in error, file.exists()) == (True, 1, False, False), error


def test_a_file_that_is_there_is_left_and_palette_is_not_asked(site: PaletteSite) -> None:
    """Nothing listens at the URL; the file is the reason."""
    file = site.folder / "site.yaml"
    file.write_text("mine")

    assert main([str(file), "--from", "https://127.0.0.1:9"]) == 4
    assert file.read_text() == "mine"
