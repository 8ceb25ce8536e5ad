"""Repave: when nodes are replaced, with whose approval, in what order, and what a failure leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lab_palette.api import Api, ApiRefusedError, eventually, os_values
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

Hosts = Callable[..., list[ScriptedAgent]]

V2 = "registry.test/edge:v2"


@pytest.fixture
def deployed(api: Api, hosts: Hosts, palette_lab: PaletteLab) -> tuple[str, str, list[ScriptedAgent]]:
    """Deploy a cluster on one control plane host and two workers; give its identity, its profile, its agents."""
    palette_lab.registry.images.add(V2)
    agents = hosts("worker-1", "leader", "worker-2")
    profile = api.make_profile()
    uid = api.deploy(profile, "leader", workers=("worker-1", "worker-2"))
    eventually(lambda: api.done(uid), "Running")
    palette_lab.registry.pulls.clear()
    return uid, profile, agents


def repave_state(api: Api, uid: str) -> str:
    """Return the state of the latest repave, empty before the first."""
    return str(api.get(f"/v1/spectroclusters/{uid}/repave/status")["status"].get("state", ""))


def test_another_image_waits_for_approval(
    api: Api, palette_lab: PaletteLab, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """A new system.uri makes a repave Pending, and no host does anything before it is approved."""
    uid, profile, _agents = deployed
    api.move(uid, profile, api.new_version(profile, "1.1.0", image=V2))
    assert repave_state(api, uid) == "Pending"
    assert palette_lab.registry.pulls == []
    assert api.done(uid)


def test_nodes_are_replaced_one_after_another_control_plane_first(
    api: Api, palette_lab: PaletteLab, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """After approval the control plane host pulls first; no host begins before the one before it runs."""
    uid, profile, agents = deployed
    leader = agents[1]
    leader.hold.clear()
    api.move(uid, profile, api.new_version(profile, "1.1.0", image=V2))
    api.approve(uid)
    assert api.health(uid) == "UnHealthy"
    turns = {"leader": True, "worker-1": False, "worker-2": False}
    eventually(lambda: {agent.uid: agent.orders[-1]["cluster"]["turn"] for agent in agents} == turns, "leader's turn")
    eventually(lambda: leader.orders[-1]["cluster"]["image"] == V2, "the leader's image")
    assert all(agent.orders[-1]["cluster"]["image"] != V2 for agent in agents if agent is not leader)
    leader.hold.set()
    eventually(lambda: api.done(uid), "every node runs the new image")
    assert [host for host, *_rest in palette_lab.registry.pulls] == ["leader", "worker-1", "worker-2"]
    assert repave_state(api, uid) == "Approved"
    assert api.reasons(uid)[-1] == "RepaveCompleted"


def test_every_machine_says_what_it_runs(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """After a repave each machine names image, boot and profile version, and the cloud config the common image."""
    uid, profile, agents = deployed
    new = api.new_version(profile, "1.1.0", image=V2)
    api.move(uid, profile, new)
    api.approve(uid)
    eventually(lambda: api.done(uid), "repaved")
    for machine in api.machines(uid):
        annotations = machine["metadata"]["annotations"]
        agent = next(agent for agent in agents if agent.uid == machine["spec"]["edgeHostUid"])
        assert annotations["lab.spectrocloud.com/provider-image"] == V2
        assert annotations["lab.spectrocloud.com/boot-id"] == agent.boot_id
        assert annotations["lab.spectrocloud.com/profile-version"] == "1.1.0"
    cluster = api.get(f"/v1/spectroclusters/{uid}")
    assert [template["uid"] for template in cluster["spec"]["clusterProfileTemplates"]] == [new]
    config = api.get(f"/v1/cloudconfigs/edge-native/{cluster['spec']['cloudConfigRef']['uid']}")
    assert config["status"]["nodeImage"] == V2


def test_a_failed_pull_stops_the_repave_at_its_first_node(
    api: Api, palette_lab: PaletteLab, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """A password that the registry no longer takes fails the first node; the others keep running, state Running."""
    uid, profile, agents = deployed
    palette_lab.registry.password = "rotated!"
    api.move(uid, profile, api.new_version(profile, "1.1.0", image=V2))
    api.approve(uid)
    eventually(lambda: "FailedPullImage" in api.reasons(uid), "an error event")
    assert (api.state(uid), api.health(uid)) == ("Running", "UnHealthy")
    assert [host for host, *_rest in palette_lab.registry.pulls] == ["leader"]
    assert {agent.running_image for agent in agents} == {"registry.test/edge:v1"}


def test_a_corrected_profile_completes_a_failed_repave(
    api: Api, palette_lab: PaletteLab, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """The next version with the right password waits for approval again and then repaves every node."""
    uid, profile, _agents = deployed
    palette_lab.registry.password = "rotated!"
    broken = api.new_version(profile, "1.1.0", image=V2)
    api.move(uid, profile, broken)
    api.approve(uid)
    eventually(lambda: "FailedPullImage" in api.reasons(uid), "an error event")
    api.move(uid, broken, api.new_version(profile, "1.1.1", image=V2, password="rotated!"))
    assert repave_state(api, uid) == "Pending"
    api.approve(uid)
    eventually(lambda: api.done(uid), "repaved")
    worked = [host for host, _image, _password, ok in palette_lab.registry.pulls if ok]
    assert worked == ["leader", "worker-1", "worker-2"]


def test_a_correction_without_a_reason_of_its_own_still_goes_node_by_node(
    api: Api, palette_lab: PaletteLab, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """An update during an unfinished repave keeps one node at a time, though it repaves nothing by itself."""
    uid, profile, agents = deployed
    palette_lab.registry.images.discard(V2)
    broken = api.new_version(profile, "1.1.0", image=V2)
    api.move(uid, profile, broken)
    api.approve(uid)
    eventually(lambda: "FailedPullImage" in api.reasons(uid), "an error event")
    agents[1].hold.clear()
    api.move(uid, broken, api.new_version(profile, "1.1.1", image=V2))
    eventually(lambda: agents[1].orders[-1]["cluster"]["profileVersion"] == "1.1.1", "the leader's turn")
    assert [agent.orders[-1]["cluster"]["turn"] for agent in agents] == [False, True, False]
    palette_lab.registry.images.add(V2)
    agents[1].hold.set()
    eventually(lambda: api.done(uid), "repaved")


@pytest.mark.parametrize(
    ("changes", "keys"),
    [
        ({"image": V2}, [["options.system.uri"]]),
        ({"password": "another!"}, [["providerCredentials.password"]]),
        ({"image": V2, "password": "another!"}, [["options.system.uri"], ["providerCredentials.password"]]),
        ({"certificates": "PEM"}, [["providerCredentials.certificates"]]),
        ({}, []),
    ],
)
def test_validate_repave_gives_the_reasons(
    api: Api, deployed: tuple[str, str, list[ScriptedAgent]], changes: dict[str, str], keys: list[list[str]]
) -> None:
    """The image and the credentials of the OS layer replace nodes (the guide, step 8); nothing else does."""
    uid, profile, _agents = deployed
    sent = {"profiles": [{"uid": api.new_version(profile, "1.1.0", **changes), "replaceWithProfile": profile}]}
    answer = api.call("POST", f"/v1/spectroclusters/{uid}/validate/repave", sent)
    assert answer["isRepaveRequired"] is bool(keys)
    assert [reason["pack"]["diffConfigKeys"] for reason in answer["reasons"]] == keys
    assert repave_state(api, uid) == ""


def test_values_without_a_reason_are_applied_at_once(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """A change of other keys of the OS layer reaches all hosts without repave and without approval."""
    uid, profile, agents = deployed
    before = [agent.boot_id for agent in agents]
    values = os_values() + "stages: {}\n"
    api.move(uid, profile, api.new_version(profile, "1.1.0", values=values))
    eventually(lambda: api.done(uid), "applied")
    assert repave_state(api, uid) == ""
    assert all("stages" in agent.orders[-1]["cluster"]["osValues"] for agent in agents)
    assert [agent.boot_id for agent in agents] == before


def test_going_back_before_approval_reverts_the_repave(
    api: Api, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """Moving back to what runs takes a Pending repave back."""
    uid, profile, _agents = deployed
    new = api.new_version(profile, "1.1.0", image=V2)
    api.move(uid, profile, new)
    api.move(uid, new, profile)
    assert repave_state(api, uid) == "Reverted"
    eventually(lambda: api.done(uid), "as before")
    with pytest.raises(ApiRefusedError) as refused:
        api.approve(uid)
    assert refused.value.code == "RepaveNotPending"


def test_an_update_for_later_waits_until_it_is_applied(
    api: Api, deployed: tuple[str, str, list[ScriptedAgent]]
) -> None:
    """DownloadAndInstallLater changes nothing until spcApply, which then asks for approval."""
    uid, profile, _agents = deployed
    new = {"uid": api.new_version(profile, "1.1.0", image=V2), "replaceWithProfile": profile}
    body = {"profiles": [new], "spcApplySettings": {"actionType": "DownloadAndInstallLater"}}
    api.call("PATCH", f"/v1/spectroclusters/{uid}/profiles", body)
    assert repave_state(api, uid) == ""
    assert api.get(f"/v1/spectroclusters/{uid}/status/spcApply")["canBeApplied"] is True
    with pytest.raises(ApiRefusedError, match="no repave"):
        api.approve(uid)
    api.call("POST", f"/v1/spectroclusters/{uid}/status/spcApply")
    assert repave_state(api, uid) == "Pending"


def test_a_cluster_keeps_its_own_values(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """Applying the same version again takes its edits and keeps what the cluster overrides; a new version does not."""
    uid, profile, agents = deployed
    own = [{"name": "edge-native-byoi", "values": os_values() + "stages: {own: []}\n"}]
    for sent in ({"uid": profile, "packValues": own}, {"uid": profile}):
        api.call("PATCH", f"/v1/spectroclusters/{uid}/profiles", {"profiles": [sent]})
        eventually(lambda: api.done(uid), "applied")
        assert "own" in agents[0].orders[-1]["cluster"]["osValues"]
    config = f"/v1/spectroclusters/{uid}/profiles/{profile}/packs/edge-native-byoi/config"
    assert api.get(config)["items"][0]["spec"]["isValuesOverridden"] is True
    api.move(uid, profile, api.new_version(profile, "1.1.0"))
    eventually(lambda: api.done(uid), "applied")
    assert "own" not in agents[0].orders[-1]["cluster"]["osValues"]


def test_an_edited_version_is_an_update_that_waits(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """A running cluster does not follow its profile version by itself; the edit is listed until it is applied."""
    uid, profile, agents = deployed
    api.set_values(profile, os_values() + "stages: {edited: []}\n")
    assert [update["uid"] for update in api.get(f"/v1/spectroclusters/{uid}/profileUpdates")["profiles"]] == [profile]
    assert "edited" not in agents[0].orders[-1]["cluster"]["osValues"]
    api.call("PATCH", f"/v1/spectroclusters/{uid}/profiles", {"profiles": [{"uid": profile}]})
    eventually(lambda: "edited" in agents[0].orders[-1]["cluster"]["osValues"], "applied")
    assert api.get(f"/v1/spectroclusters/{uid}/profileUpdates")["profiles"] == []


def test_a_second_infrastructure_profile_is_refused(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """A PATCH without replaceWithProfile does not put a second infrastructure profile beside the first."""
    uid, profile, _agents = deployed
    new = api.new_version(profile, "1.1.0", image=V2)
    with pytest.raises(ApiRefusedError, match="exactly one infrastructure profile"):
        api.call("PATCH", f"/v1/spectroclusters/{uid}/profiles", {"profiles": [{"uid": new}]})


def test_why_nodes_were_replaced_is_kept(api: Api, deployed: tuple[str, str, list[ScriptedAgent]]) -> None:
    """The overview lists the reasons of every repave that was begun."""
    uid, profile, _agents = deployed
    api.move(uid, profile, api.new_version(profile, "1.1.0", image=V2))
    api.approve(uid)
    (upgrade,) = api.get(f"/v1/dashboard/spectroclusters/{uid}/overview")["status"]["upgrades"]
    assert V2 in upgrade["reason"][0]
