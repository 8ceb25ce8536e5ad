"""Labs that do not come up, and labs of users without a home."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from detection.labs import HEALTHY_LAB, Job, Worker
from lab import control
from lab.control import LabFailed
from lab.images import cache_folder, medium_name
from lab.settings import LabSettings


@pytest.mark.parametrize(
    ("variable", "value"), [("XDG_CACHE_HOME", "{file}/cache"), ("HOME", "/proc"), ("HOME", "/dev/null")]
)
def test_a_home_that_cannot_be_written_is_no_obstacle(
    variable: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are kept in TMPDIR then, where the next run finds them."""
    (tmp_path / "file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, value.format(file=tmp_path / "file"))

    assert cache_folder().parent == tmp_path
    assert cache_folder() == cache_folder()


def test_a_user_without_a_home_has_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither HOME nor the list of users names one."""

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("pathlib.Path.home", unknown)

    assert cache_folder().parent == tmp_path


@pytest.mark.parametrize(
    ("does", "ready", "said"),
    [
        ("exec sleep 60", 2.0, "was not ready within 2 s; it was at: building"),
        ("exec sleep 5 >&-", 60.0, "the lab ended while: building"),
    ],
    ids=["does not end", "says no more and lingers"],
)
def test_a_lab_that_does_not_come_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, ready: float, said: str
) -> None:
    """A lab has so much time; then it is told to end, and the error says where it was."""
    monkeypatch.setattr(control, "READY", ready)
    monkeypatch.setattr(control, "DOWN", 0.5)
    (tmp_path / "log").touch()
    process = subprocess.Popen(["sh", "-c", f"echo building; {does}"], stdout=subprocess.PIPE, text=True)
    with process, pytest.raises(LabFailed, match=said):
        control._await_ready(LabSettings(tmp_path), process, lambda _text: None)


@pytest.mark.parametrize("before", [False, True])
def test_a_lab_that_does_not_come_up_again_costs_its_mutants_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    """The rest of a matrix goes on; where no lab ever came up there is nothing to go on with."""

    def start(*_given: object) -> None:
        raise LabFailed("no room")

    monkeypatch.setattr(control, "start", start)
    worker = Worker(1, tmp_path, 2, lambda _text: None, _has_had_a_lab=before)
    job = Job((HEALTHY_LAB,), ("suites",), 1)
    if before:
        assert [done.trouble for done in worker.run(job)] == ["its cases did not come to an end"]
    else:
        with pytest.raises(LabFailed, match="no room"):
            list(worker.run(job))


def test_each_build_of_the_provider_image_has_a_medium_of_its_own(tmp_path: Path) -> None:
    """An engine may have the medium of another cache, or of images that were pruned: a host made of it is slow."""
    for build in ("one", "other"):
        (tmp_path / build).mkdir()
        (tmp_path / build / "index.json").write_text(build)
    name = medium_name(tmp_path / "one", "587d")

    assert medium_name(tmp_path / "one", "587d") == name
    assert medium_name(tmp_path / "other", "587d") != name
