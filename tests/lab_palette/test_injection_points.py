"""The injection points: each changes what the lab does while it runs, and the healthy behaviour comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lab.injection import (
    APPLY_VERSION,
    DECIDE_REPAVE,
    DELIVER_ORDER,
    EMIT_EVENT,
    ORDER_NODES,
    RENDER_VALUES,
    REPORT_HEALTH,
    REPORT_STATE,
    REQUIRE_APPROVAL,
    RESOLVE_MACRO,
    TAKE_TURNS,
    Behaviour,
    Fault,
    Point,
)
from tests.lab_palette.api import PASSWORD, Api, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

V2 = "registry.test/edge:v2"


class Bench:
    """A cluster of three hosts to be repaved, with a fault in force."""

    def __init__(self, api: Api, lab: PaletteLab, agents: list[ScriptedAgent]) -> None:
        self.api, self.lab, self.agents = api, lab, agents
        lab.registry.images.add(V2)
        self.profile = api.make_profile()

    def break_at(self, point: Point, replacement: Callable[..., Any]) -> None:
        """Put a fault in force."""
        self.lab.endpoint.behaviour = Behaviour((Fault("wrong", {point: replacement}, (), "a test"),))

    def heal(self) -> None:
        """Take the fault out."""
        self.lab.endpoint.behaviour = Behaviour()

    def deploy(self) -> str:
        """Make the cluster."""
        return self.api.deploy(self.profile, "a", workers=("b", "c"))

    def running(self) -> str:
        """Make the cluster and wait until it runs; forget what was pulled."""
        uid = self.deploy()
        eventually(lambda: "ClusterRunning" in self.api.reasons(uid), "running")
        self.lab.registry.pulls.clear()
        return uid

    def repave(self, uid: str) -> None:
        """Move the cluster to another image and approve where that is needed."""
        self.api.move(uid, self.profile, self.api.new_version(self.profile, "1.1.0", image=V2))
        if self.api.get(f"/v1/spectroclusters/{uid}/repave/status")["status"].get("state") == "Pending":
            self.api.approve(uid)

    def pulled(self) -> list[str]:
        """Return the hosts that pulled, in order."""
        return [host for host, *_rest in self.lab.registry.pulls]


@pytest.fixture
def bench(api: Api, palette_lab: PaletteLab, hosts: Callable[..., list[ScriptedAgent]]) -> Bench:
    """Return a bench with three hosts that follow their orders."""
    return Bench(api, palette_lab, hosts("a", "b", "c"))


def test_a_state_that_is_told_too_early(bench: Bench) -> None:
    """The told state can lie while the hosts pull; healed, it says the truth again."""
    for agent in bench.agents:
        agent.hold.clear()
    bench.break_at(REPORT_STATE, lambda _healthy, _cluster: "Running")
    uid = bench.deploy()
    assert bench.api.state(uid) == "Running"
    bench.heal()
    assert bench.api.state(uid) == "Provisioning"


def test_a_health_that_is_always_fine(bench: Bench) -> None:
    """The told health can lie."""
    bench.lab.registry.password = "other"
    uid = bench.deploy()
    eventually(lambda: "FailedPullImage" in bench.api.reasons(uid), "failed")
    bench.break_at(REPORT_HEALTH, lambda _healthy, _cluster: "Healthy")
    assert bench.api.health(uid) == "Healthy"


def test_nodes_in_the_wrong_order(bench: Bench) -> None:
    """Workers first."""
    uid = bench.running()
    bench.break_at(ORDER_NODES, lambda healthy, nodes: healthy(nodes)[::-1])
    bench.repave(uid)
    eventually(lambda: len(bench.pulled()) == 3, "repaved")
    assert bench.pulled() == ["c", "b", "a"]


def test_all_nodes_at_once(bench: Bench) -> None:
    """Every node gets its turn at the same time."""
    uid = bench.running()
    for agent in bench.agents:
        agent.hold.clear()
    bench.break_at(TAKE_TURNS, lambda _healthy, nodes: nodes)
    bench.repave(uid)
    for agent in bench.agents:
        agent.hold.set()
    eventually(lambda: all(agent.orders[-1]["cluster"]["turn"] for agent in bench.agents), "all at once")


def test_a_repave_without_approval(bench: Bench) -> None:
    """Nobody is asked."""
    uid = bench.running()
    bench.break_at(REQUIRE_APPROVAL, lambda _healthy, _reasons: False)
    bench.api.move(uid, bench.profile, bench.api.new_version(bench.profile, "1.1.0", image=V2))
    eventually(lambda: len(bench.pulled()) == 3, "repaved")


def test_a_repave_that_is_not_decided(bench: Bench) -> None:
    """A new image is taken for no reason to replace nodes."""
    uid = bench.running()
    bench.break_at(DECIDE_REPAVE, lambda _healthy, _current, _new: [])
    bench.repave(uid)
    assert bench.api.get(f"/v1/spectroclusters/{uid}/repave/status")["status"] == {"message": ""}


def test_a_version_that_is_not_applied(bench: Bench) -> None:
    """The new version is accepted and the old values are delivered."""
    uid = bench.running()
    bench.break_at(APPLY_VERSION, lambda _healthy, current, new: current or new)
    bench.repave(uid)
    eventually(lambda: bench.api.done(uid), "applied")
    assert {agent.running_image for agent in bench.agents} == {"registry.test/edge:v1"}


def test_an_event_that_is_lost_and_one_that_is_changed(bench: Bench) -> None:
    """Errors vanish, other events get another reason."""
    bench.lab.registry.password = "other"
    bench.break_at(
        EMIT_EVENT, lambda _healthy, event, _cluster: None if event.severity == "Error" else replace(event, reason="X")
    )
    uid = bench.deploy()
    eventually(
        lambda: bench.api.machines(uid)[0]["status"]["health"]["conditions"][0]["reason"] == "FailedPullImage", ""
    )
    assert set(bench.api.reasons(uid)) == {"X"}


def test_values_and_macros_that_are_rendered_wrongly(bench: Bench) -> None:
    """A macro of the wrong scope, and values with something lost, reach the hosts."""
    bench.break_at(RESOLVE_MACRO, lambda _healthy, _name, scopes: scopes.tenant.get("pw"))
    for scope, value in (
        (f"projects/{bench.api.project}", PASSWORD),
        (f"tenants/{bench.lab.endpoint.tenant_uid}", "t"),
    ):
        bench.api.call("POST", f"/v1/{scope}/macros", {"macros": [{"name": "pw", "value": value}]})
    bench.profile = bench.api.make_profile(version="2.0.0", password="{{.spectro.macro.pw}}")
    uid = bench.deploy()
    eventually(bench.pulled, "a pull")
    assert bench.lab.registry.pulls[0][2] == "t"
    bench.api.call("DELETE", f"/v1/spectroclusters/{uid}")
    eventually(lambda: bench.api.state(uid) == "Deleted", "deleted")
    bench.lab.registry.pulls.clear()
    bench.break_at(RENDER_VALUES, lambda healthy, text, scopes: healthy(text, scopes).replace("#", ""))
    bench.deploy()
    eventually(bench.pulled, "a pull")
    assert bench.lab.registry.pulls[0][2] == PASSWORD.replace("#", "")


def test_an_order_that_is_changed_on_its_way(bench: Bench) -> None:
    """The agent is given something else than what was rendered, at once also for what it was given before."""
    uid = bench.running()

    def truncated(healthy: Callable[..., Any], order: dict[str, Any]) -> dict[str, Any]:
        given = healthy(order)
        if given["cluster"]:
            credential = {**given["cluster"]["credential"], "password": "cut"}
            given = {**given, "cluster": {**given["cluster"], "credential": credential}}
        return dict(given)

    bench.break_at(DELIVER_ORDER, truncated)
    eventually(lambda: bench.agents[0].orders[-1]["cluster"]["credential"]["password"] == "cut", "delivered")
    bench.repave(uid)
    eventually(lambda: bench.pulled() == ["a"], "the first node's pull")
    assert bench.lab.registry.pulls[0][2] == "cut"


def test_faults_of_agents_are_handed_through(bench: Bench) -> None:
    """What is seeded reaches every agent, in an order of a newer revision, at once."""
    before = [agent.orders[-1]["revision"] if agent.orders else -1 for agent in bench.agents]
    bench.lab.endpoint.seed([{"name": "workers-first"}])
    eventually(lambda: all(a.orders and a.orders[-1]["faults"] for a in bench.agents), "handed through")
    assert all(agent.orders[-1]["revision"] > old for agent, old in zip(bench.agents, before, strict=True))
    assert list(bench.lab.endpoint.faults) == [{"name": "workers-first"}]
