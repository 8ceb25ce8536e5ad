"""What the vendor's own SDK and Terraform provider ask for and send."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lab.palette.settings import Strictness
from tests.lab_palette.api import PASSWORD, Api, ApiRefusedError, eventually, os_values
from tests.lab_palette.conftest import PaletteLab

Hosts = Callable[..., list[Any]]
SEARCH = "/v1/dashboard/spectroclusters/search"
TOKENS = "/v1/edgehosts/tokens"


def by_name(name: str, *, deleted: bool = False) -> dict[str, Any]:
    """Return the search with which the SDK and Terraform look a cluster up."""
    environment = {"operator": "eq", "negation": True, "match": {"values": ["nested"]}}
    wanted = {"operator": "eq", "match": {"values": [name]}}
    filters = [
        {"property": "environment", "type": "string", "condition": {"string": environment}},
        {"property": "clusterName", "type": "string", "condition": {"string": wanted}},
        {"property": "isDeleted", "type": "bool", "condition": {"bool": {"value": deleted} if deleted else {}}},
    ]
    return {"filter": {"conjunction": "and", "filterGroups": [{"conjunction": "and", "filters": filters}]}, "sort": []}


def test_a_cluster_is_found_by_its_name(api: Api, hosts: Hosts) -> None:
    """By the filters ``environment`` and ``isDeleted``; a deleted cluster is another matter."""
    hosts("edge-1")
    uid = api.deploy(api.make_profile(), "edge-1", name="one")
    assert [item["metadata"]["uid"] for item in api.call("POST", SEARCH, by_name("one"))["items"]] == [uid]
    assert api.call("POST", SEARCH, by_name("one", deleted=True))["items"] == []

    api.call("DELETE", f"/v1/spectroclusters/{uid}?forceDelete=true")
    eventually(lambda: api.state(uid) == "Deleted", "it is gone")

    assert api.call("POST", SEARCH, by_name("one"))["items"] == []
    assert len(api.call("POST", SEARCH, by_name("one", deleted=True))["items"]) == 1


def test_clusters_and_profiles_say_where_they_belong(api: Api, hosts: Hosts) -> None:
    """The vendor's clients decide by ``scope`` whether to send a project."""
    hosts("edge-1")
    profile = api.make_profile()
    uid = api.deploy(profile, "edge-1")
    for path in (f"/v1/clusterprofiles/{profile}", f"/v1/spectroclusters/{uid}"):
        assert api.get(path)["metadata"]["annotations"]["scope"] == "project"


@pytest.mark.parametrize("part", ["features/backup", "features/complianceScan", "config/rbacs", "config/namespaces"])
def test_what_a_cluster_has_none_of_is_not_found_by_code(part: str, api: Api, hosts: Hosts) -> None:
    """Every read of the Terraform provider asks; only ``ResourceNotFound`` means none to it."""
    hosts("edge-1")
    uid = api.deploy(api.make_profile(), "edge-1")
    with pytest.raises(ApiRefusedError) as refused:
        api.get(f"/v1/spectroclusters/{uid}/{part}")

    assert (refused.value.status, refused.value.code) == (404, "ResourceNotFound")


def test_a_token_is_switched_off_by_what_go_leaves_out(api: Api) -> None:
    """Go's encoder drops ``false``, and sends its zero time where there is no expiry."""
    body = {"metadata": {"name": "t"}, "spec": {"expiry": "0001-01-01T00:00:00.000Z"}}
    path = f"{TOKENS}/{api.call('POST', TOKENS, body)['uid']}"
    api.call("PUT", f"{path}/state", {})

    assert api.get(path)["status"]["isActive"] is False
    assert "expiry" not in api.get(path)["spec"]


def test_packs_and_their_registries_are_listed(api: Api) -> None:
    """As Terraform's data source and the SDK ask for them."""
    found = api.get("/v1/packs", params={"filters": "spec.name=edge-k3sANDspec.version=1.30.5"})["items"]
    assert [(pack["spec"]["name"], pack["spec"]["version"]) for pack in found] == [("edge-k3s", "1.30.5")]
    for path in ("/v1/registries/pack", "/v1/registries/pack/summary"):
        assert [item["metadata"]["name"] for item in api.get(path)["items"]] == ["Public Repo"]
    assert api.get("/v1/registries/oci/summary")["items"] == []


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"environment": ["aws"]}, 0),
        ({"environment": ["edge-native"]}, 6),
        ({"addOnType": ["logging"]}, 0),
        ({"source": ["community"]}, 0),
        ({"state": ["deprecated"]}, 0),
        ({"isFips": True}, 0),
        ({"layer": ["os"], "environment": []}, 1),
    ],
)
def test_a_search_for_packs_honours_every_filter(wanted: dict[str, Any], count: int, api: Api) -> None:
    """A filter that no pack passes finds none."""
    assert len(api.call("POST", "/v1/packs/search", {"filter": wanted, "sort": []})["items"]) == count


def test_a_layer_is_added_as_published(api: Api) -> None:
    """The pack stands under ``pack``; the bare one is not published."""
    uid = api.make_profile()
    pack = {"name": "app", "type": "manifest", "layer": "addon", "manifests": [{"name": "m", "content": "a: 1"}]}
    api.call("POST", f"/v1/clusterprofiles/{uid}/packs", {"pack": pack})

    (manifest,) = api.get(f"/v1/clusterprofiles/{uid}/packs/app/manifests")["items"]
    assert (manifest["metadata"]["name"], manifest["spec"]["published"]["content"]) == ("m", "a: 1")
    with pytest.raises(ApiRefusedError, match="pack: is missing"):
        api.call("POST", f"/v1/clusterprofiles/{uid}/packs", pack)


def test_a_machine_is_taken_out_of_its_pool(api: Api, hosts: Hosts) -> None:
    """Its host is reset and free again."""
    hosts("edge-1", "edge-2", "edge-3")
    uid = api.deploy(api.make_profile(), "edge-1", workers=("edge-2", "edge-3"))
    eventually(lambda: api.done(uid), "Running")
    config = api.get(f"/v1/spectroclusters/{uid}")["spec"]["cloudConfigRef"]["uid"]
    pool = f"/v1/cloudconfigs/edge-native/{config}/machinePools/worker-pool/machines"
    gone = next(m for m in api.get(pool)["items"] if m["spec"]["edgeHostUid"] == "edge-3")

    api.call("DELETE", f"{pool}/{gone['metadata']['uid']}")

    eventually(lambda: api.get("/v1/edgehosts/edge-3")["status"]["state"] == "ready", "the host is free")
    assert [m["spec"]["edgeHostUid"] for m in api.get(pool)["items"]] == ["edge-2"]


def test_an_edge_host_is_changed_by_its_whole_record(api: Api, hosts: Hosts) -> None:
    """As the SDK's UpdateAppliance does."""
    hosts("edge-1")
    api.call("PUT", "/v1/edgehosts/edge-1", {"metadata": {"name": "first", "uid": "edge-1", "labels": {"a": "b"}}})

    meta = api.get("/v1/edgehosts/edge-1")["metadata"]
    assert (meta["name"], meta["labels"]) == ("first", {"a": "b"})


@pytest.mark.parametrize("field", ["environment", "clusterName", "clusterState", "uid"])
def test_edge_hosts_are_not_sorted_by_other_fields(api: Api, field: str) -> None:
    """Palette 4.10 answers 422 for what it removed (PEM-11675)."""
    with pytest.raises(ApiRefusedError, match=f"'{field}' is not one of name, state, healthState") as refused:
        api.call("POST", "/v1/dashboard/edgehosts/search", {"filter": {}, "sort": [{"field": field}]})

    assert refused.value.status == 422


@pytest.mark.parametrize("field", ["name", "state", "healthState", "creationTimestamp", "lastModifiedTimestamp"])
def test_edge_hosts_are_sorted_by_five_fields(api: Api, hosts: Hosts, field: str) -> None:
    """Each of the five of Palette 4.10 is taken, in both directions."""
    hosts("edge-1", "edge-2")
    for order, first in (("asc", "edge-1"), ("desc", "edge-2")):
        body = {"filter": {}, "sort": [{"field": field, "order": order}]}
        found = api.call("POST", "/v1/dashboard/edgehosts/search", body)["items"]
        assert len(found) == 2
        assert field != "name" or found[0]["metadata"]["name"] == first


def sent_back(lab: PaletteLab) -> str:
    """Send a profile's OS layer back as it was read; returns the password that a cluster's host would be given."""
    api = lab.client()
    uid = api.make_profile()
    path = f"/v1/clusterprofiles/{uid}/packs/edge-native-byoi"
    read = api.get(path)
    values = read["spec"]["pack"]["values"].replace("v1", "v2")
    api.call("PUT", path, {"pack": {"name": "edge-native-byoi", "uid": read["metadata"]["uid"], "values": values}})
    profile = next(p for p in lab.endpoint._context.store.profiles.values() if p.meta.uid == uid)
    pack = profile.shown.pack("edge-native-byoi")
    assert pack is not None
    assert "v2" in pack.values
    return pack.values


def test_a_mask_that_comes_back_is_refused(make_lab: Callable[..., PaletteLab]) -> None:
    """That is the lab's choice unless it is told otherwise."""
    with pytest.raises(ApiRefusedError, match="is the mask"):
        sent_back(make_lab())


@pytest.mark.parametrize("masks", ["unchanged", "clear"])
def test_a_profile_can_be_sent_back_as_it_was_read(masks: Any, make_lab: Callable[..., PaletteLab]) -> None:  # noqa: ANN401 - a literal
    """The mask stands for the password that was there, or nothing was masked."""
    assert PASSWORD in sent_back(make_lab(strictness=Strictness(masks=masks)))


def test_a_mask_without_a_password_before_is_refused(make_lab: Callable[..., PaletteLab]) -> None:
    """There is nothing that it could stand for."""
    api = make_lab(strictness=Strictness(masks="unchanged")).client()
    with pytest.raises(ApiRefusedError, match="is the mask"):
        api.make_profile(values=os_values(password="******"))
