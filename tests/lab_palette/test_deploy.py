"""Deployment: a cluster from its profile to Running, and what happens when the image cannot be pulled."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab_palette.api import PASSWORD, Api, ApiRefusedError, cluster, eventually, os_values
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import PretendRegistry, ScriptedAgent

Hosts = Callable[..., list[ScriptedAgent]]


def test_a_cluster_becomes_running_and_healthy(api: Api, hosts: Hosts) -> None:
    """A cluster whose hosts all report the image running is Running and Healthy."""
    hosts("edge-1", "edge-2")
    uid = api.deploy(api.make_profile(), "edge-1", workers=("edge-2",))
    eventually(lambda: api.done(uid), "Running and Healthy")
    assert [machine["status"]["instanceState"] for machine in api.machines(uid)] == ["Running", "Running"]


def test_an_order_holds_the_clear_credential_and_the_resolved_image(api: Api, hosts: Hosts) -> None:
    """An agent is given the image, the clear password and values without references."""
    (agent,) = hosts("edge-1")
    uid = api.deploy(api.make_profile(), "edge-1")
    eventually(lambda: api.done(uid), "Running")
    order = next(order["cluster"] for order in agent.orders if order["cluster"])
    assert order["image"] == "registry.test/edge:v1"
    assert order["credential"] == {
        "registry": "registry.test",
        "user": "robot",
        "password": PASSWORD,
        "certificates": "",
    }
    assert "{{" not in order["osValues"]
    assert "write-kubeconfig: /run/kubeconfig" in order["k8sValues"]
    assert (order["role"], order["turn"], order["repave"]) == ("control-plane", True, False)


def test_a_cluster_is_provisioning_until_every_host_runs(api: Api, hosts: Hosts) -> None:
    """One host of two that does not run keeps the cluster Provisioning."""
    _one, two = hosts("edge-1", "edge-2")
    two.hold.clear()
    uid = api.deploy(api.make_profile(), "edge-1", workers=("edge-2",))
    eventually(lambda: "NodeRunning" in api.reasons(uid), "the first host runs")
    assert api.state(uid) == "Provisioning"
    assert api.health(uid) == "UnHealthy"
    two.hold.set()
    eventually(lambda: api.done(uid), "Running")


def test_a_failed_pull_leaves_the_cluster_provisioning_with_an_error_event(api: Api, hosts: Hosts) -> None:
    """A wrong password flips no state: the cluster stays Provisioning and an error event names the failure."""
    hosts("edge-1")
    uid = api.deploy(api.make_profile(password="wrong"), "edge-1")
    eventually(lambda: "FailedPullImage" in api.reasons(uid), "an error event")
    assert api.state(uid) == "Provisioning"
    (machine,) = api.machines(uid)
    assert "401 Unauthorized" in machine["status"]["health"]["conditions"][0]["message"]
    assert [event["severity"] for event in api.events(uid) if event["reason"].startswith("Failed")] == ["Error"]


def test_an_edited_profile_version_reaches_a_cluster_that_is_still_provisioning(api: Api, hosts: Hosts) -> None:
    """Correcting the attached profile version lets a failed deployment succeed without registering the host anew."""
    hosts("edge-1")
    profile = api.make_profile(password="wrong")
    uid = api.deploy(profile, "edge-1")
    eventually(lambda: "FailedPullImage" in api.reasons(uid), "an error event")
    api.set_values(profile, os_values())
    eventually(lambda: api.done(uid), "Running")


def test_a_correction_replaces_the_image_of_a_host_that_got_further(
    api: Api, hosts: Hosts, palette_lab: PaletteLab
) -> None:
    """A host that runs already, while another failed, is told to replace its image with the corrected one."""
    good, bad = hosts("edge-1", "edge-2")
    bad.registry = PretendRegistry(password="other", images={"registry.test/edge:v2"})
    profile = api.make_profile()
    uid = api.deploy(profile, "edge-1", workers=("edge-2",))
    eventually(lambda: {"NodeRunning", "FailedPullImage"} <= set(api.reasons(uid)), "one runs, one failed")
    bad.registry.password = PASSWORD
    palette_lab.registry.images.add("registry.test/edge:v2")
    api.set_values(profile, os_values("registry.test/edge:v2"))
    eventually(lambda: api.done(uid), "Running")
    assert {good.orders[-1]["cluster"]["repave"], bad.orders[-1]["cluster"]["repave"]} == {True, False}


def test_a_provisioning_cluster_refuses_another_profile(api: Api, hosts: Hosts) -> None:
    """A cluster cannot be updated while Provisioning (docs/palette.md R-079)."""
    hosts("edge-1")
    profile = api.make_profile(password="wrong")
    uid = api.deploy(profile, "edge-1")
    other = api.new_version(profile, "1.0.1")
    with pytest.raises(ApiRefusedError, match="Provisioning") as refused:
        api.move(uid, profile, other)
    assert (refused.value.status, refused.value.code) == (409, "ClusterNotUpdatable")


def test_deleting_frees_the_host_for_the_next_cluster(api: Api, hosts: Hosts) -> None:
    """A deleted cluster says Deleted, its host is ready again and takes the next cluster."""
    (agent,) = hosts("edge-1")
    profile = api.make_profile()
    first = api.deploy(profile, "edge-1")
    eventually(lambda: api.done(first), "Running")
    api.call("DELETE", f"/v1/spectroclusters/{first}")
    eventually(lambda: api.state(first) == "Deleted", "Deleted")
    assert api.get("/v1/edgehosts/edge-1")["status"]["state"] == "ready"
    assert agent.running_image == ""
    second = api.deploy(profile, "edge-1")
    eventually(lambda: api.done(second), "Running again")


def test_a_cluster_is_deleting_until_its_hosts_answer_or_it_is_forced(api: Api, palette_lab: PaletteLab) -> None:
    """Without an answer of the host the cluster stays Deleting; forceDelete ends that."""
    palette_lab.agent("silent").register()
    uid = api.deploy(api.make_profile(), "silent")
    api.call("DELETE", f"/v1/spectroclusters/{uid}")
    assert api.state(uid) == "Deleting"
    api.call("DELETE", f"/v1/spectroclusters/{uid}?forceDelete=true")
    assert api.state(uid) == "Deleted"


def test_an_idle_report_from_before_the_deletion_does_not_end_it(api: Api, palette_lab: PaletteLab) -> None:
    """A host counts as reset only once it says that it did this reset."""
    agent = palette_lab.agent("slow")
    agent.register()
    uid = api.deploy(api.make_profile(), "slow")
    api.call("DELETE", f"/v1/spectroclusters/{uid}")
    agent.report({"kind": "state", "state": "idle", "reset": 0})
    assert api.state(uid) == "Deleting"
    agent.report({"kind": "state", "state": "idle", "reset": 1})
    assert api.state(uid) == "Deleted"


def test_only_the_ordered_generation_counts_as_running(api: Api, palette_lab: PaletteLab) -> None:
    """A host that says it runs something older than its order leaves the cluster Provisioning."""
    agent = palette_lab.agent("edge-1")
    agent.register()
    uid = api.deploy(api.make_profile(), "edge-1")
    generation = agent.order()["generation"]
    agent.report({"kind": "state", "state": "running", "generation": generation - 1})
    assert api.state(uid) == "Provisioning"
    agent.report({"kind": "state", "state": "pulling", "generation": generation}, {"kind": "state", "state": "running"})
    assert api.state(uid) == "Provisioning"
    agent.report({"kind": "state", "state": "running", "generation": generation})
    assert api.state(uid) == "Running"


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda body: body["metadata"].update(name="Bad Name"), 400, "InvalidRequest"),
        (lambda body: body["spec"]["machinepoolconfig"][0]["poolConfig"].update(size=2), 400, "MachinePoolSize"),
        (
            lambda body: body["spec"]["machinepoolconfig"][0]["cloudConfig"].update(edgeHosts=[{"hostUid": "x"}]),
            400,
            "EdgeHostNotFound",
        ),
        (lambda body: body["spec"]["profiles"][0].update(uid="0" * 24), 404, "ResourceNotFound"),
        (lambda body: body["spec"]["cloudConfig"].clear(), 400, "InvalidRequest"),
        (
            lambda body: body["spec"]["machinepoolconfig"][0]["poolConfig"].update(
                machinePoolProperties={"archType": "arm64"}
            ),
            400,
            "EdgeHostArchitecture",
        ),
    ],
)
def test_a_wrong_cluster_is_refused(
    api: Api, palette_lab: PaletteLab, change: Callable[[dict[str, object]], None], status: int, code: str
) -> None:
    """A cluster that cannot work is refused with a code, and the host stays ready."""
    palette_lab.agent("edge-1").register()
    body = cluster("edge-cluster", api.make_profile(), ("edge-1",))
    change(body)
    with pytest.raises(ApiRefusedError) as refused:
        api.call("POST", "/v1/spectroclusters/edge-native", body)
    assert (refused.value.status, refused.value.code) == (status, code)
    assert api.get("/v1/edgehosts/edge-1")["status"]["state"] == "ready"


def test_a_host_in_use_is_refused(api: Api, hosts: Hosts) -> None:
    """A host of one cluster is not given to another."""
    hosts("edge-1")
    profile = api.make_profile()
    api.deploy(profile, "edge-1", name="one")
    with pytest.raises(ApiRefusedError, match="in use by cluster 'one'") as refused:
        api.deploy(profile, "edge-1", name="two")
    assert (refused.value.status, refused.value.code) == (409, "EdgeHostInUse")


def test_a_draft_is_not_deployed(api: Api, hosts: Hosts) -> None:
    """Only a published profile version can be deployed (docs/palette.md R-048)."""
    hosts("edge-1")
    with pytest.raises(ApiRefusedError) as refused:
        api.deploy(api.make_profile(publish=False), "edge-1")
    assert refused.value.code == "ClusterProfileNotPublished"


def test_validate_names_what_create_would_refuse(api: Api, palette_lab: PaletteLab) -> None:
    """Validation lists the errors of pools and profiles instead of refusing."""
    palette_lab.agent("edge-1").register()
    body = cluster("edge-cluster", api.make_profile(publish=False), ("edge-1", "nobody"))
    answer = api.call("POST", "/v1/spectroclusters/edge-native/validate", body)
    codes = {error["code"] for result in answer["machinePools"]["results"] for error in result["errors"]}
    assert codes == {"ControlPlaneSize", "EdgeHostNotFound"}
    assert answer["profiles"][0]["packs"]["results"][0]["errors"][0]["code"] == "ClusterProfileNotPublished"


def test_the_other_spelling_of_the_pools_key_is_understood(api: Api, hosts: Hosts) -> None:
    """``machinePoolConfig`` is read like ``machinepoolconfig`` (docs/palette.md §3.3)."""
    hosts("edge-1")
    body = cluster("edge-cluster", api.make_profile(), ("edge-1",))
    body["spec"]["machinePoolConfig"] = body["spec"].pop("machinepoolconfig")
    uid = api.call("POST", "/v1/spectroclusters/edge-native", body)["uid"]
    eventually(lambda: api.done(uid), "Running")
