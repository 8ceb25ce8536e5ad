"""Edge hosts that the workers of a run share: leased once, cleared after a lost worker, given back at the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.outcomes import Exit

from fixtures.session import own_part
from harness import ledger as ledgers
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.lifetimes import hosts_of_a_site
from harness.scheduler import MOST_SITE_WORKERS, most_workers
from harness.sites.leases import RUN, Leases
from palette.errors import PaletteError
from tests.site.long_runs.stage import HOSTS, Stage
from tests.site.long_runs.test_clean import make_cluster, make_profile, standing

OURS = "conf-1122-beef"


def run_on(stage: Stage, folder: Path) -> Any:  # noqa: ANN401 - as much of a run as hosts are shared for
    """Return a run on the stage's site."""
    options = SimpleNamespace(site=stage.site, resume=None)
    return SimpleNamespace(
        options=options, folder=folder, worker="", site_id=OURS, evidence=Evidence(folder), left_behind=[]
    )


def test_what_a_lost_worker_left_goes_and_its_host_is_free_again(stage: Stage, tmp_path: Path) -> None:
    """Its ledger says what it made; the run's leases stay until the run's end, and then nothing is left."""
    project, run = stage.project(), run_on(stage, tmp_path)
    with hosts_of_a_site(run, lambda _message: None) as shared:
        made = Ledger(tmp_path / f"gw0-{ledgers.FILE_NAME}")
        made.begin(run=f"{OURS}-gw0", palette=stage.site.palette_url, project="Default", process="4194305@gone")
        made.meant("profile", f"{OURS}-gw0-1-profile")
        profile = make_profile(project, f"{OURS}-gw0-1-profile", f"{OURS}-gw0")
        made.meant("cluster", f"{OURS}-gw0-1")
        make_cluster(project, f"{OURS}-gw0-1", profile, "edge-1", f"{OURS}-gw0")

        assert shared.hosts == HOSTS
        assert shared.clear("gw0", ["edge-1"]) == ["edge-1"]
        assert standing(project) == set()
        assert project.edge_hosts.get("edge-1").labels[RUN] == OURS

    assert run.left_behind == []
    assert [uid for uid in HOSTS if RUN in project.edge_hosts.get(uid).labels] == []


def test_a_palette_that_goes_before_its_hosts_are_leased_ends_the_session(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told in one line, as of a Palette that was never there."""

    def take(*_given: object) -> None:
        raise PaletteError(method="PUT", path="/v1/edgehosts", message="gone", status=503)

    monkeypatch.setattr(Leases, "take", take)
    with pytest.raises(Exit, match=r"bad set-up: .*503"):
        with hosts_of_a_site(run_on(stage, tmp_path), lambda _message: None):
            pass


@pytest.mark.parametrize(
    ("ports", "vips", "room"),
    [((), (), 3), ((5443,), (), 1), ((5443, 5444), (), 2), ((), ("10.0.0.1", "10.0.0.2"), 2)],
    ids=["free ports", "one port", "two ports", "two VIPs"],
)
def test_a_site_has_room_for_as_many_workers_as_hosts_ports_and_virtual_ips(
    stage: Stage, ports: tuple[int, ...], vips: tuple[str, ...], room: int
) -> None:
    """Each worker needs an Edge host, and a port and a virtual IP where the site file gives some."""
    site = replace(stage.site, registry_ports=ports, cluster=replace(stage.site.cluster, vips=vips))

    assert most_workers(site) == room
    assert room <= MOST_SITE_WORKERS


def test_each_worker_has_a_port_and_a_virtual_ip_of_its_own(stage: Stage, tmp_path: Path) -> None:
    """Where there is a virtual IP for every host, a cluster has its host's, and all workers know all of them."""
    vips = ("10.0.0.1", "10.0.0.2")
    stage.site = replace(stage.site, registry_ports=(5443, 5444), cluster=replace(stage.site.cluster, vips=vips))
    with hosts_of_a_site(run_on(stage, tmp_path), lambda _message: None) as shared:
        parts = [own_part(stage.site, shared.given(slot)) for slot in (0, 1)]

    assert [part.registry_port for part in parts] == [5443, 5444]
    assert [part.cluster.vips for part in parts] == [("10.0.0.1",), ("10.0.0.2",)]
    assert own_part(stage.site, {}) is stage.site
