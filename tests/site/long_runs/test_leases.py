"""Leases: two runs never take the same Edge host."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.sites.leases import OWNER, RUN, UNTIL, Lease, Leases
from harness.sites.site import HostsGoneError, Site
from lab.palette.settings import Strictness
from palette.edge_hosts import EdgeHosts
from tests.settling import settled
from tests.site.long_runs.stage import HOSTS, Stage


def quiet(_message: str) -> None:
    """Ignore the message."""


def leases(stage: Stage, run: str, say: Callable[[str], None] = quiet) -> Leases:
    """Return the leases of a run with a connection of its own."""
    return Leases(stage.project(), run, say)


def test_a_leased_host_says_by_whom_and_until_when(stage: Stage) -> None:
    """Owner, run and end stand on the Edge host, beside the labels that were there."""
    project = stage.project()
    project.edge_hosts.set_labels("edge-1", {"rack": "2"}, name="edge-1")

    assert leases(stage, "conf-a").take(["edge-1"]) == ["edge-1"]
    labels = project.edge_hosts.get("edge-1").labels
    assert (labels["rack"], labels[RUN]) == ("2", "conf-a")
    assert {OWNER, UNTIL} <= labels.keys()


def test_another_run_leaves_a_leased_host_alone(stage: Stage) -> None:
    """A host that one run has is not taken by another, which says who has it."""
    told: list[str] = []
    leases(stage, "conf-a").take(["edge-1"])

    assert leases(stage, "conf-b", told.append).take(["edge-1", "edge-2"]) == ["edge-2"]
    assert len(told) == 1
    assert "run conf-a" in told[0]


def test_a_returned_host_can_be_leased_again_and_has_its_own_labels(stage: Stage) -> None:
    """Giving back removes the lease and nothing else."""
    project = stage.project()
    project.edge_hosts.set_labels("edge-1", {"rack": "2"}, name="edge-1")
    with leases(stage, "conf-a") as first:
        first.take(["edge-1"])

    assert dict(project.edge_hosts.get("edge-1").labels) == {"rack": "2"}
    assert leases(stage, "conf-b").take(["edge-1"]) == ["edge-1"]


def test_the_lease_of_a_dead_run_is_taken_over_and_said_so(stage: Stage) -> None:
    """A lease whose time is over is taken over, in words that name the dead run."""
    told: list[str] = []
    dead = Leases(stage.project(), "conf-dead", quiet, lasts=timedelta(seconds=-5))
    dead.take(["edge-1"])

    assert leases(stage, "conf-b", told.append).take(["edge-1"]) == ["edge-1"]
    assert "conf-dead" in told[0]


def test_a_lease_that_was_taken_over_is_neither_renewed_nor_given_back(stage: Stage) -> None:
    """A run that comes back late does not overwrite or remove the lease of the one that took over."""
    late = Leases(stage.project(), "conf-late", quiet, lasts=timedelta(seconds=-5))
    late.take(["edge-1"])
    leases(stage, "conf-b").take(["edge-1"])

    assert late.renew() == ["edge-1"]
    late.give_back()
    assert stage.project().edge_hosts.get("edge-1").labels[RUN] == "conf-b"


def test_nothing_is_deployed_on_a_host_that_another_run_took_over(stage: Stage, tmp_path: Path) -> None:
    """A run that slept longer than its leases stand leaves the other's host alone, also between the other's cases."""
    late = Leases(stage.project(), "conf-late", quiet, lasts=timedelta(seconds=-5))
    late.take(HOSTS)
    leases(stage, "conf-b").take(["edge-1"])
    file = replace(stage.site, timeouts=replace(stage.site.timeouts, edge_host_ready=0.3))
    with Site.open(file, "conf-late-gw0", Ledger(), Evidence(tmp_path)) as site:
        assert [host.uid for host in site.free_hosts(2)] == ["edge-2", "edge-3"]
        with pytest.raises(HostsGoneError, match="2 free"):
            site.free_hosts(3)


def test_a_lease_is_renewed_while_its_run_lives(stage: Stage) -> None:
    """The end of a lease moves on in the background until the host is given back."""
    hosts = stage.project().edge_hosts
    with Leases(stage.project(), "conf-a", quiet) as held:
        held.take(["edge-1"])
        first = hosts.get("edge-1").labels[UNTIL]
        held.keep(every=0.05)

        assert settled(lambda: hosts.get("edge-1").labels[UNTIL] > first, 5), "the lease was not renewed"
    assert Lease.read(hosts.get("edge-1").labels) is None


@pytest.mark.parametrize("strict", [False, True], ids=["healthy", "strict"])
def test_two_runs_at_the_same_moment_never_take_the_same_host(
    make_stage: Callable[..., Stage], *, strict: bool
) -> None:
    """Of runs that begin together every host goes to one at most, and every host to somebody, round after round."""
    trouble = Strictness(seed=7, share_429=0.05, share_5xx=0.05, share_resets=0.02) if strict else Strictness()
    stage = make_stage(strictness=trouble)
    runs = [leases(stage, f"conf-{number}") for number in range(3)]
    for _ in range(4):
        start = threading.Barrier(len(runs))

        def race(run: Leases, start: threading.Barrier = start) -> list[str]:
            start.wait()
            return list(run.take(HOSTS))

        with ThreadPoolExecutor(len(runs)) as pool:
            taken = [uid for held in pool.map(race, runs) for uid in held]

        assert sorted(taken) == sorted(HOSTS), f"hosts were taken by several runs or by none: {taken}"
        for run in runs:
            run.give_back()


@dataclass
class Meeting(Leases):
    """A run that looks at a host together with another one, and writes after the other has written."""

    both_looked: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    other_is_sure: threading.Event = field(default_factory=threading.Event)
    late: bool = False

    def _write(self, hosts: EdgeHosts, uid: str, labels: Mapping[str, str], name: str) -> None:
        self.both_looked.wait(5)
        if self.late:
            self.other_is_sure.wait(0.15)  # it is not, unless it does not let time pass before it looks again
        super()._write(hosts, uid, labels, name)

    def _is_ours(self, hosts: EdgeHosts, uid: str) -> bool:
        found = super()._is_ours(hosts, uid)
        self.other_is_sure.set()
        return found


def test_of_two_runs_that_saw_a_host_free_the_later_writer_has_it(stage: Stage) -> None:
    """A run does not believe its own name on a host before every run that saw the host free has written."""
    both, sure = threading.Barrier(2), threading.Event()
    runs = [
        Meeting(stage.project(), f"conf-{late}", quiet, both_looked=both, other_is_sure=sure, late=late)
        for late in (False, True)
    ]
    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(lambda run: list(run.take(["edge-1"])), runs))

    assert taken == [[], ["edge-1"]]


def test_a_host_that_is_not_registered_is_named(stage: Stage) -> None:
    """A host that the project does not know is not leased, and the run hears which."""
    told: list[str] = []

    assert leases(stage, "conf-a", told.append).take(["edge-9"]) == []
    assert "edge-9" in told[0]
