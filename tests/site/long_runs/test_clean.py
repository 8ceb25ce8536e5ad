"""Cleaning up after a dead run: all of its things go, nothing of anybody else does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import ownership
from harness import ledger
from harness.ledger import Ledger
from harness.removal import LABEL, clear_verified, traces
from harness.sites import clean
from harness.sites.leases import RUN, Leases
from palette.client import ProjectView
from palette.cluster_request import AttachedProfile, ClusterRequest, MachinePool, PoolHost
from reports import runs
from tests.site.long_runs.stage import Stage

ID = "20261122-031500-beef"
OURS = f"conf-{ID[4:]}"


def make_profile(project: ProjectView, name: str, run: str | None = OURS) -> str:
    """Make a profile as a run does."""
    registry = project.registries.named().uid
    names = ("edge-native-byoi", "edge-k3s", "cni-calico")
    packs = []
    for pack in names:
        versions = project.packs.versions(pack, registry)
        packs.append(next(iter(versions.by_tag.values())))
    labels = {LABEL: run} if run else {}
    return project.profiles.create(name, packs, labels=labels)


def make_cluster(project: ProjectView, name: str, profile: str, host: str, run: str | None = OURS) -> str:
    """Ask for a cluster as a run does."""
    labels = {LABEL: run} if run else {}
    pools = (MachinePool("control-plane-pool", (PoolHost(host),)),)
    request = ClusterRequest(name, (AttachedProfile(profile),), pools, vip=f"192.0.2.{host[-1]}", labels=labels)
    return project.clusters.create(request)


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    """Return the directory of a run, with a journal."""
    folder = tmp_path / "reports" / "runs" / ID
    folder.mkdir(parents=True)
    (folder / "journal.ndjson").touch()
    return folder


def begun(stage: Stage, folder: Path, process: str = "4194305@gone") -> Ledger:
    """Return the ledger of a run that is dead."""
    made = Ledger(folder / ledger.FILE_NAME)
    made.begin(run=OURS, palette=stage.site.palette_url, project="Default", process=process)
    return made


def cleaned(stage: Stage, tmp_path: Path, run: str = ID) -> int:
    """Run the command."""
    return clean.main(["--site", str(stage.site.path), "--run", run, "--runs-in", str(tmp_path / "reports")])


def standing(project: ProjectView) -> set[str]:
    """Return the names of everything that stands in the project."""
    clusters = {cluster.name for cluster in project.clusters.search() if cluster.state != "Deleted"}
    return clusters | {profile.name for profile in project.profiles.list()} | set(project.macros.list())


def test_everything_of_a_dead_run_goes(stage: Stage, run_folder: Path, tmp_path: Path) -> None:
    """Clusters, profile versions, macros and leases of a killed run are gone after cleaning."""
    project, made = stage.project(), begun(stage, run_folder)
    Leases(project, OURS, lambda _message: None).take(["edge-1"])
    made.meant("lease", "edge-1")
    made.meant("profile", f"{OURS}-1-profile")
    profile = make_profile(project, f"{OURS}-1-profile")
    made.add("profile", profile)
    made.meant("cluster", f"{OURS}-1")
    made.add("cluster", make_cluster(project, f"{OURS}-1", profile, "edge-1"))
    made.meant("macro", "conf_beef_m")
    project.macros.create({"conf_beef_m": "x"})

    assert cleaned(stage, tmp_path) == 0
    assert standing(project) == set()
    assert RUN not in project.edge_hosts.get("edge-1").labels
    assert project.edge_hosts.wait_until_free("edge-1", within=5).is_free


def test_what_was_asked_for_and_never_noted_is_found(stage: Stage, run_folder: Path, tmp_path: Path) -> None:
    """A run killed between Palette's answer and its note leaves nothing: name and label tell whose it is."""
    project, made = stage.project(), begun(stage, run_folder)
    made.meant("profile", f"{OURS}-1-profile")
    profile = make_profile(project, f"{OURS}-1-profile")
    project.profiles.clone(profile, name=f"{OURS}-1-profile", version="1.1.0")
    made.meant("cluster", f"{OURS}-1")
    make_cluster(project, f"{OURS}-1", profile, "edge-2")

    assert cleaned(stage, tmp_path) == 0
    assert standing(project) == set()


def test_similar_things_of_others_stay(stage: Stage, run_folder: Path, tmp_path: Path) -> None:
    """The same name without the run's label, another run's label, and names that only begin alike are left alone."""
    project, made = stage.project(), begun(stage, run_folder)
    Leases(project, "conf-other", lambda _message: None).take(["edge-1"])
    for kind, name in (("lease", "edge-1"), ("profile", "p"), ("profile", f"{OURS}-1-profile"), ("cluster", OURS)):
        made.meant(kind, name)  # type: ignore[arg-type] # kinds, as mypy sees texts
    theirs = make_profile(project, "p", run=None)
    make_profile(project, f"{OURS}-1-profile", run="conf-other")
    make_profile(project, f"{OURS}-1-profile-of-mine", run=OURS)
    make_cluster(project, OURS, theirs, "edge-2", run=None)
    project.macros.create({"conf_beef_m_2": "x"})
    made.meant("macro", "conf_beef_m")
    before = standing(project)

    assert cleaned(stage, tmp_path) == 0
    assert standing(project) == before
    assert project.edge_hosts.get("edge-1").labels[RUN] == "conf-other"


def test_a_run_that_lives_is_not_cleaned(
    stage: Stage, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the run's process is alive the command refuses and touches nothing."""
    project, made = stage.project(), begun(stage, run_folder, ownership.process_identity(os.getpid()))
    made.meant("macro", "conf_beef_m")
    project.macros.create({"conf_beef_m": "x"})

    assert cleaned(stage, tmp_path) == 4
    assert "still running" in capsys.readouterr().err
    assert standing(project) == {"conf_beef_m"}


def test_a_run_that_is_resumed_at_this_moment_is_not_cleaned(
    stage: Stage, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has the run's directory has it alone, though its ledger still names a dead process."""
    begun(stage, run_folder)
    with runs.taken(run_folder):
        assert cleaned(stage, tmp_path) == 4
    assert "the run is still going on, in another process" in capsys.readouterr().err

    assert cleaned(stage, tmp_path) == 0


def test_another_site_is_refused(
    stage: Stage, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file of another Palette than the run's the command refuses, and names the right one."""
    Ledger(run_folder / ledger.FILE_NAME).begin(run=OURS, palette="https://other.example", project="Default")

    assert cleaned(stage, tmp_path) == 4
    assert "other.example" in capsys.readouterr().err


def test_an_unknown_run_is_refused(
    stage: Stage, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that does not exist is refused with the runs there are."""
    assert cleaned(stage, tmp_path, "1999") == 4
    assert run_folder.name in capsys.readouterr().err


def test_what_cannot_be_removed_is_reported(stage: Stage) -> None:
    """A profile that somebody else's cluster uses cannot go: a line says which, and why; the others go."""
    project, made = stage.project(), Ledger()
    made.begin(run=OURS)
    used, unused = make_profile(project, f"{OURS}-1-profile"), make_profile(project, f"{OURS}-2-profile")
    make_cluster(project, "not-ours", used, "edge-1", run=None)
    for number, uid in (("1", used), ("2", unused)):
        made.meant("profile", f"{OURS}-{number}-profile")
        made.add("profile", uid)
    left = clear_verified(project, made)

    assert len(left) == 1
    assert left[0].startswith(f"profile {used}: ")
    assert standing(project) == {"not-ours", f"{OURS}-1-profile"}


def test_the_second_look_finds_what_a_removal_missed(stage: Stage) -> None:
    """What the ledger no longer lists and still stands is found by name and label, and removed."""
    project, made = stage.project(), Ledger()
    made.begin(run=OURS)
    made.meant("profile", f"{OURS}-1-profile")
    make_profile(project, f"{OURS}-1-profile")

    assert [name for _, _, name in traces(project, made)] == [f"{OURS}-1-profile"]
    assert clear_verified(project, made) == []
    assert standing(project) == set()


def test_a_ledger_survives_a_kill_in_the_middle_of_a_line(tmp_path: Path) -> None:
    """A torn last line costs that line only, and what is written later stands on a line of its own."""
    path = tmp_path / ledger.FILE_NAME
    first = Ledger(path)
    first.begin(run=OURS)
    first.add("cluster", "c1")
    with path.open("ab") as file:
        file.write(b'{"step": "made", "ki')
    again = ledger.read(path)
    again.add("profile", "p1")

    assert ledger.read(path).entries == [("cluster", "c1"), ("profile", "p1")]
    assert ledger.read(path).about == {"run": OURS}
