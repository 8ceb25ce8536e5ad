"""Edge hosts: registered with a token, found, watched by heartbeat, reset, deleted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from tests.lab_palette.api import Api, ApiRefusedError, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

SEARCH = "/v1/dashboard/edgehosts/search"


def search_for(name: str, kind: str, condition: dict[str, Any]) -> dict[str, Any]:
    """Write a search with one filter."""
    return {
        "filter": {"filterGroups": [{"filters": [{"property": name, "type": kind, "condition": {kind: condition}}]}]}
    }


def found(api: Api, body: dict[str, Any]) -> set[str]:
    """Return the identities that a search finds."""
    return {item["metadata"]["uid"] for item in api.call("POST", SEARCH, body)["items"]}


def test_a_registered_host_is_ready_and_healthy(api: Api, palette_lab: PaletteLab) -> None:
    """Registration makes a host ready and healthy, with the device it told."""
    agent = palette_lab.agent("edge-1")
    agent.register(hostType="agent-mode", archType="arm64")
    host = api.get("/v1/edgehosts/edge-1")
    assert (host["status"]["state"], host["status"]["health"]["state"]) == ("ready", "healthy")
    assert (host["spec"]["device"]["hostType"], host["spec"]["device"]["archType"]) == ("agent-mode", "arm64")


def test_a_host_made_beforehand_is_unpaired_until_it_registers(api: Api, palette_lab: PaletteLab) -> None:
    """A pre-registered record keeps its tags when its host comes."""
    metadata = {"uid": "edge-1", "name": "edge-1", "labels": {"site": "here"}}
    api.call("POST", "/v1/edgehosts", {"metadata": metadata})
    assert api.get("/v1/edgehosts/edge-1")["status"]["state"] == "unpaired"
    with pytest.raises(ApiRefusedError) as refused:
        api.call("PUT", "/v1/edgehosts/edge-1/reset")
    assert refused.value.code == "EdgeHostDeviceNotRegistered"
    palette_lab.agent("edge-1").register()
    host = api.get("/v1/edgehosts/edge-1")
    assert (host["status"]["state"], host["metadata"]["labels"]) == ("ready", {"site": "here"})


def test_a_host_may_register_again_and_another_machine_may_not(api: Api, palette_lab: PaletteLab) -> None:
    """A restarted agent is welcome; another machine with the same identity is refused until the record is deleted."""
    first, other = (palette_lab.agent("edge-1") for _ in range(2))
    headers = {"RegistrationToken": "lab-registration-token"}

    def register(checksum: str) -> int:
        body = {"metadata": {"uid": "edge-1"}, "spec": {"host": {"hostChecksum": checksum}}}
        return api.session.post(f"{api.url}/v1/edgehosts/register", json=body, headers=headers, timeout=5).status_code

    assert [register("machine-a"), register("machine-a"), register("machine-b")] == [200, 200, 409]
    api.call("DELETE", "/v1/edgehosts/edge-1")
    assert register("machine-b") == 200
    assert first.uid == other.uid


@pytest.mark.parametrize("kind", ["unknown", "inactive", "expired"])
def test_a_token_must_be_known_active_and_not_expired(api: Api, palette_lab: PaletteLab, kind: str) -> None:
    """A host that registers with a token that does not count is refused."""
    expiry = datetime.now(UTC) + timedelta(days=-1 if kind == "expired" else 1)
    spec = {"defaultProjectUid": api.project, "expiry": expiry.isoformat()}
    uid = api.call("POST", "/v1/edgehosts/tokens", {"metadata": {"name": "t"}, "spec": spec})["uid"]
    text = api.get(f"/v1/edgehosts/tokens/{uid}")["spec"]["token"]
    if kind == "inactive":
        api.call("PUT", f"/v1/edgehosts/tokens/{uid}/state", {"isActive": False})
    with pytest.raises(requests.HTTPError, match="401"):
        palette_lab.agent("edge-1", "none" if kind == "unknown" else text).register()
    assert api.get("/v1/edgehosts/metadata")["edgeHosts"] == []


def test_a_token_puts_its_hosts_into_its_project(api: Api, palette_lab: PaletteLab) -> None:
    """A host belongs to the project of the token it registered with, and stays when the token is deleted."""
    other = palette_lab.endpoint.project_uid("Other")
    spec = {"defaultProjectUid": other}
    uid = api.call("POST", "/v1/edgehosts/tokens", {"metadata": {"name": "t"}, "spec": spec})["uid"]
    (text,) = [t["spec"]["token"] for t in api.get("/v1/edgehosts/tokens")["items"] if t["metadata"]["uid"] == uid]
    agent = palette_lab.agent("edge-1", text)
    agent.register()
    api.call("DELETE", f"/v1/edgehosts/tokens/{uid}")
    agent.report({"kind": "heartbeat"})
    assert api.get("/v1/edgehosts/edge-1", headers={"ProjectUid": other})["aclmeta"]["projectUid"] == other
    assert api.get("/v1/edgehosts/metadata")["edgeHosts"] == []


def test_an_agent_cannot_speak_for_a_host_of_another_project(api: Api, palette_lab: PaletteLab) -> None:
    """A token of one project opens no orders of another project's hosts, which hold passwords."""
    palette_lab.agent("edge-1").register()
    spec = {"defaultProjectUid": palette_lab.endpoint.project_uid("Other")}
    uid = api.call("POST", "/v1/edgehosts/tokens", {"metadata": {"name": "t"}, "spec": spec})["uid"]
    text = api.get(f"/v1/edgehosts/tokens/{uid}")["spec"]["token"]
    for token, status in ((text, 404), ("none", 401), ("", 401)):
        headers = {"RegistrationToken": token}
        answer = api.session.get(f"{api.url}/lab/agents/edge-1/orders", headers=headers, timeout=5)
        assert answer.status_code == status


def test_hosts_are_found_by_what_they_are(api: Api, palette_lab: PaletteLab) -> None:
    """The search filters by state, health, name, tags and architecture, and joins groups."""
    for name, arch in (("edge-1", "amd64"), ("edge-2", "arm64")):
        palette_lab.agent(name).register(archType=arch)
    api.call("PUT", "/v1/edgehosts/edge-2/meta", {"metadata": {"name": "second", "labels": {"site": "b"}}})
    api.deploy(api.make_profile(), "edge-1")
    text = {"operator": "eq", "match": {"conjunction": "or", "values": ["arm64"]}}
    assert found(api, search_for("architecture", "string", text)) == {"edge-2"}
    assert found(api, search_for("architecture", "string", {**text, "negation": True})) == {"edge-1"}
    begins = {"operator": "beginsWith", "ignoreCase": True, "match": {"values": ["SEC"]}}
    assert found(api, search_for("name", "string", begins)) == {"edge-2"}
    assert found(api, search_for("state", "string", {"match": {"values": ["in-use"]}})) == {"edge-1"}
    tag = {"key": "site", "operator": "eq", "match": {"values": ["b"]}}
    assert found(api, search_for("tags", "keyValue", tag)) == {"edge-2"}
    assert found(api, search_for("healthState", "string", {"match": {"values": ["healthy", "x"]}})) == {
        "edge-1",
        "edge-2",
    }
    assert found(api, {}) == {"edge-1", "edge-2"}
    with pytest.raises(ApiRefusedError, match="'colour' is not one of"):
        found(api, search_for("colour", "string", {}))
    unused = api.get("/v1/edgehosts/metadata?type=edge-native&quickFilter=unusedEdgeHosts")["edgeHosts"]
    assert [host["uid"] for host in unused] == ["edge-2"]


def test_a_silent_host_becomes_unhealthy_and_is_not_deployed_to(make_lab: Callable[..., PaletteLab]) -> None:
    """A host whose heartbeats stop is unhealthy; a cluster on it is refused."""
    lab = make_lab(heartbeat_s=1.0)
    api = lab.client()
    with api.session:
        agent = lab.agent("edge-1")
        agent.register()
        agent.report({"kind": "heartbeat"})
        eventually(lambda: api.get("/v1/edgehosts/edge-1")["status"]["health"]["state"] == "unhealthy", "unhealthy")
        with pytest.raises(ApiRefusedError, match="no heartbeat") as refused:
            api.deploy(api.make_profile(), "edge-1")
        assert refused.value.code == "EdgeHostUnhealthy"
        agent.report({"kind": "heartbeat"})
        assert api.get("/v1/edgehosts/edge-1")["status"]["health"]["state"] == "healthy"


def test_a_waiting_agent_without_heartbeats_is_healthy_until_it_is_gone(make_lab: Callable[..., PaletteLab]) -> None:
    """An open long poll is a sign of life; a broken one is not."""
    lab = make_lab(heartbeat_s=0.05, long_poll_s=30.0)
    api = lab.client()
    with api.session:
        agent = lab.agent("edge-1")
        agent.register()
        with pytest.raises(requests.ReadTimeout):
            agent._session.get(f"{lab.url}/lab/agents/edge-1/orders?after=999", timeout=0.3)
        eventually(lambda: api.get("/v1/edgehosts/edge-1")["status"]["health"]["state"] == "unhealthy", "unhealthy")


def test_a_cluster_is_unhealthy_when_a_host_is_silent(make_lab: Callable[..., PaletteLab]) -> None:
    """The overview's health follows the hosts' heartbeats, the state does not."""
    lab = make_lab(heartbeat_s=1.0)
    api = lab.client()
    with api.session:
        agent = lab.agent("edge-1")
        agent.register()
        cluster = api.deploy(api.make_profile(), "edge-1")
        running = {"kind": "state", "state": "running", "generation": agent.order()["generation"]}
        agent.report(running, {"kind": "heartbeat"})
        assert api.done(cluster)
        eventually(lambda: api.health(cluster) == "UnHealthy", "unhealthy")
        assert api.state(cluster) == "Running"


def test_a_reset_host_deploys_anew(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], palette_lab: PaletteLab
) -> None:
    """Resetting a host of a cluster makes it start from nothing and come back by itself."""
    hosts("edge-1")
    cluster = api.deploy(api.make_profile(), "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    api.call("PUT", "/v1/edgehosts/edge-1/reset")
    eventually(lambda: len(palette_lab.registry.pulls) == 2 and api.done(cluster), "running again")


def test_a_host_in_use_is_not_deleted(api: Api, palette_lab: PaletteLab) -> None:
    """The record of a host that a cluster uses stays."""
    palette_lab.agent("edge-1").register()
    api.deploy(api.make_profile(), "edge-1")
    with pytest.raises(ApiRefusedError, match="in use by cluster 'edge-cluster'"):
        api.call("DELETE", "/v1/edgehosts/edge-1")


def test_a_worker_pool_can_be_added_and_removed(api: Api, hosts: Callable[..., list[ScriptedAgent]]) -> None:
    """A host that joins a running cluster deploys; one that leaves is reset and ready again."""
    from tests.lab_palette.api import pool  # noqa: PLC0415 - used here only

    _leader, worker = hosts("edge-1", "edge-2")
    cluster = api.deploy(api.make_profile(), "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    config = api.get(f"/v1/spectroclusters/{cluster}")["spec"]["cloudConfigRef"]["uid"]
    pools = f"/v1/cloudconfigs/edge-native/{config}/machinePools"
    api.call("POST", pools, pool("workers", ("edge-2",), control_plane=False))
    eventually(lambda: api.done(cluster) and worker.running_image, "the worker runs")
    assert len(api.machines(cluster)) == 2
    with pytest.raises(ApiRefusedError, match="control plane pool cannot be removed"):
        api.call("DELETE", f"{pools}/control-plane-pool")
    api.call("DELETE", f"{pools}/workers")
    eventually(lambda: not worker.running_image, "the worker is reset")
    eventually(lambda: api.get("/v1/edgehosts/edge-2")["status"]["state"] == "ready", "ready")


@pytest.mark.parametrize(
    "report",
    [
        {"kind": "nothing"},
        {"kind": "state"},
        {"kind": "state", "state": "flying"},
        {"kind": "event", "severity": "Error"},
    ],
)
def test_a_wrong_report_is_refused_whole(api: Api, palette_lab: PaletteLab, report: dict[str, Any]) -> None:
    """Reports that make no sense are refused before any of their batch is taken in."""
    agent = palette_lab.agent("edge-1")
    agent.register()
    before = api.events("edge-1", kind="edgehost")
    good = {"kind": "event", "severity": "Normal", "reason": "A", "message": "b"}
    with pytest.raises(requests.HTTPError, match="400"):
        agent.report(good, report)
    assert api.events("edge-1", kind="edgehost") == before
