"""A cluster that is still called Running and healthy from before is not taken for one whose repave is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edge import BootFacts, HostUnreachable
from harness.clusters import Cluster
from harness.repaved import RepaveWatch
from lab.injection import REPORT_HEALTH, Behaviour, Fault
from lab.palette.settings import Strictness
from palette.client import ProjectView
from palette.os_layer import PACK, OsLayer, ProviderCredentials
from palette.waiting import Wait
from tests.lab_palette.scripted_agent import PretendRegistry
from tests.settling import settled
from tests.site.long_runs.stage import Stage
from tests.site.long_runs.test_clean import make_cluster, make_profile

IMAGES = ("registry.test/edge:v1", "registry.test/edge:v2")
ALWAYS_HEALTHY = Fault("early", {REPORT_HEALTH: lambda _healthy, _cluster: "Healthy"}, (), "it says so from before")


def values(image: str) -> str:
    """Return the values of an OS layer that the pretended registry accepts."""
    return OsLayer(image, ProviderCredentials("registry.test", "user", PretendRegistry().password, "")).values()


@dataclass
class FakeRepave:
    """A cluster in the middle of a repave that its host has not begun."""

    stage: Stage
    view: ProjectView
    cluster: Cluster
    old: str
    new: str

    def watch(self, **different: float) -> RepaveWatch:
        """Watch the repave, with time-outs of an hour or ``different`` ones."""
        clusters, long = self.view.clusters, 3600.0
        given = {"stale_state": long, "edge_host_ready": long, "repave": long, **different}
        timeouts = replace(clusters.wait.timeouts, **given)
        clusters = replace(clusters, wait=Wait(timeouts, clusters.wait.clock))
        self.cluster.site = SimpleNamespace(project=SimpleNamespace(clusters=clusters))  # type: ignore[assignment]
        return RepaveWatch(self.cluster)

    def let_it_begin(self) -> None:
        """Make the host do what it was told."""
        self.stage.agents["edge-1"].hold.set()


@pytest.fixture
def repave(stage: Stage) -> Iterator[FakeRepave]:
    """Deploy, order a repave, and hold the host back; Palette goes on saying Running and healthy."""
    view, agent = stage.project(), stage.agents["edge-1"]
    agent.registry.images.update(IMAGES)
    name = "conf-1-profile"
    old = view.profiles.new_version(make_profile(view, name), "1.1.0", {PACK: values(IMAGES[0])})
    uid = make_cluster(view, "conf-1", old, "edge-1")
    view.clusters.wait_until_running(uid, within=10)
    boot = SimpleNamespace(boot_id=agent.boot_id, began=None)
    new = view.profiles.new_version(old, "1.2.0", {PACK: values(IMAGES[1])})
    stage.endpoint.behaviour = Behaviour((ALWAYS_HEALTHY,))
    agent.hold.clear()
    host: Any = SimpleNamespace(uid="edge-1", boot=lambda: SimpleNamespace(boot_id=agent.boot_id, began=None))
    nowhere: Any = None
    layer, boots = OsLayer(IMAGES[1], None), cast("dict[str, BootFacts]", {"edge-1": boot})
    cluster = Cluster(nowhere, uid, "conf-1", new, layer, (host,), [old, new], boots=boots)
    yield FakeRepave(stage, view, cluster, old, new)
    agent.hold.set()


def is_done(watch: RepaveWatch) -> bool:
    """Look once."""
    return watch.look().is_done


def move(repave: FakeRepave) -> None:
    """Move the cluster to the new version and approve the repave."""
    clusters = repave.view.clusters
    clusters.replace_profile(repave.cluster.uid, old=repave.old, new=repave.new)
    clusters.wait_for_repave(repave.cluster.uid)
    clusters.approve_repave(repave.cluster.uid)


def test_running_from_before_is_not_done(repave: FakeRepave) -> None:
    """While the host still runs its old boot the repave is not done, whatever Palette says; then it is."""
    move(repave)
    watch = repave.watch()
    seen = watch.look()

    assert seen.overview.is_ready
    assert seen.waiting == "no new boot of edge-1"
    repave.let_it_begin()
    assert settled(lambda: watch.look().is_done, 10)


def test_another_profile_version_is_not_done(repave: FakeRepave) -> None:
    """Running and healthy with the old version attached is not done."""
    assert repave.watch().look().waiting == "another profile version is attached"


def test_a_palette_that_insists_is_believed(repave: FakeRepave) -> None:
    """When Palette says done for longer than it may be late, the wait ends, so that the case can judge it."""
    move(repave)
    watch = repave.watch(stale_state=0.05)

    assert not watch.look().is_done
    assert settled(lambda: watch.look().is_done, 5)


def test_a_host_that_does_not_answer_yet_has_more_time(repave: FakeRepave, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that lets nobody in, though Palette calls it done, has as long as a host may take to be there."""
    move(repave)

    def silent() -> None:
        raise HostUnreachable("Connection refused")

    with monkeypatch.context() as patched:
        patched.setattr(repave.cluster.host, "boot", silent)
        watch = repave.watch(stale_state=1e-6)
        assert [watch.look().is_done for _ in range(3)] == [False] * 3
        for hasty in (repave.watch(edge_host_ready=1e-6), repave.watch(repave=1e-6)):
            assert settled(partial(is_done, hasty), 5)
    repave.let_it_begin()
    assert settled(lambda: repave.watch().look().is_done, 10)


def test_hosts_of_a_slow_lab_wait_before_they_deploy_and_repave(make_stage: Callable[..., Stage]) -> None:
    """The time is waited before the order, so Palette goes on saying that the phase is under way."""
    stage = make_stage(strictness=Strictness(deploy_s=0.4, repave_s=0.6))
    view, agent = stage.project(), stage.agents["edge-1"]
    agent.registry.images.update(IMAGES)
    old = view.profiles.new_version(make_profile(view, "conf-1-profile"), "1.1.0", {PACK: values(IMAGES[0])})
    new = view.profiles.new_version(old, "1.2.0", {PACK: values(IMAGES[1])})
    began = time.monotonic()
    uid = make_cluster(view, "conf-1", old, "edge-1")
    view.clusters.wait_until_running(uid, within=20)
    deployed, before = time.monotonic() - began, agent.boot_id
    view.clusters.replace_profile(uid, old=old, new=new)
    view.clusters.wait_for_repave(uid)
    began = time.monotonic()
    view.clusters.approve_repave(uid)

    assert settled(lambda: agent.boot_id != before, 20)
    assert deployed >= 0.4
    assert time.monotonic() - began >= 0.6


def test_a_slow_phase_is_waited_for_once_however_often_its_pull_is_tried(make_stage: Callable[..., Stage]) -> None:
    """What takes minutes on a real host is the deployment, not a pull that is refused and tried with another login."""
    stage = make_stage(strictness=Strictness(deploy_s=0.2, repave_s=60))
    view, registry = stage.project(), stage.agents["edge-1"].registry
    registry.images.add(IMAGES[0])
    macros, right = view.macros, registry.password
    macros.create({"conf-1-password": "wrong"})
    layer = OsLayer(IMAGES[0], ProviderCredentials("registry.test", "user", "{{.spectro.macro.conf-1-password}}", ""))
    profile = view.profiles.new_version(make_profile(view, "conf-1-profile"), "1.1.0", {PACK: layer.values()})
    uid = make_cluster(view, "conf-1", profile, "edge-1")
    assert settled(lambda: bool(registry.pulls), 10)
    macros.update({"conf-1-password": right})

    view.clusters.wait_until_running(uid, within=20)
