"""Who may ask what: keys, sessions, projects, and answers to requests that make no sense."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.lab_palette.api import Api, ApiRefusedError, profile
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.contract import is_present
from tests.palette.openapi import NO_DESCRIPTION


@pytest.mark.skipif(not is_present(), reason=NO_DESCRIPTION)
def test_answers_are_held_to_the_published_description(api: Api) -> None:
    """Where the description is present, every answer of these tests is checked against it."""
    assert api.judge is not None


@pytest.mark.parametrize(
    "headers", [{}, {"ApiKey": "wrong"}, {"ApiKey": ""}, {"Authorization": "nothing"}, {"ApiKey": "\xe4"}]
)
def test_a_wrong_key_is_unauthorized(palette_lab: PaletteLab, headers: dict[str, str]) -> None:
    """Without a known key or session the answer is 401 in the error envelope."""
    url = f"{palette_lab.url}/v1/registries/metadata"
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(
            url, headers={k: v.encode("latin-1") for k, v in headers.items()}, verify=palette_lab.ca, timeout=5
        )
    assert answer.status_code == 401
    assert set(answer.json()) == {"code", "message", "details", "ref"}


def test_a_session_is_as_good_as_a_key(make_lab: Callable[..., PaletteLab]) -> None:
    """Signing in gives a token that works in the header Authorization until it ends."""
    api = make_lab(users={"qa@example.test": "pw"}).client()
    with api.session:
        login = {"emailId": "qa@example.test", "password": "pw"}
        token = api.call("POST", "/v1/auth/authenticate", login)["Authorization"]
        del api.session.headers["ApiKey"]
        with pytest.raises(ApiRefusedError, match="send the header ApiKey"):
            api.get("/v1/edgehosts")
        api.session.headers["Authorization"] = token
        assert api.get("/v1/edgehosts")["items"] == []
        with pytest.raises(ApiRefusedError, match="no such user"):
            api.call("POST", "/v1/auth/authenticate", {**login, "password": "other"})


def test_a_session_ends(make_lab: Callable[..., PaletteLab]) -> None:
    """A token is refused when its time is over."""
    api = make_lab(users={"qa@example.test": "pw"}, session_s=0.0).client()
    with api.session:
        token = api.call("POST", "/v1/auth/authenticate", {"emailId": "qa@example.test", "password": "pw"})
        del api.session.headers["ApiKey"]
        api.session.headers["Authorization"] = token["Authorization"]
        with pytest.raises(ApiRefusedError, match="has ended"):
            api.get("/v1/edgehosts")


def test_things_of_another_project_are_not_found(api: Api, palette_lab: PaletteLab) -> None:
    """A uid of one project does not exist in another, nor in the tenant's scope."""
    uid = api.make_profile()
    palette_lab.agent("edge-1").register()
    cluster = api.deploy(uid, "edge-1")
    other = palette_lab.client(project="Other")
    with other.session:
        paths = [f"/v1/clusterprofiles/{uid}", f"/v1/spectroclusters/{cluster}", "/v1/edgehosts/edge-1"]
        for path in [*paths, f"/v1/events/components/spectrocluster/{cluster}"]:
            for scope in (other.project, ""):
                with pytest.raises(ApiRefusedError) as refused:
                    other.get(path, headers={"ProjectUid": scope})
                assert (refused.value.status, refused.value.code) == (404, "ResourceNotFound")


def test_an_unknown_project_is_named(api: Api) -> None:
    """The header ProjectUid is checked on every request (docs/palette.md §3.1)."""
    with pytest.raises(ApiRefusedError) as refused:
        api.get("/v1/registries/metadata", headers={"ProjectUid": "none"})
    assert (refused.value.status, refused.value.code) == (404, "ProjectNotFoundInTenant")


def test_the_project_may_stand_in_the_query(api: Api) -> None:
    """The documentation's examples send it there."""
    uid = api.make_profile()
    found = api.get(f"/v1/clusterprofiles/{uid}", headers={"ProjectUid": ""}, params={"ProjectUid": api.project})
    assert found["metadata"]["uid"] == uid


def test_a_profile_of_the_tenant_is_seen_but_not_changed_from_a_project(api: Api) -> None:
    """Without ProjectUid a profile belongs to the tenant; projects can use it and not change it."""
    body = profile("shared", "1.0.0", "options:\n  system.uri: a.test/b:1\n")
    uid = api.call("POST", "/v1/clusterprofiles", body, headers={"ProjectUid": ""})["uid"]
    assert api.get(f"/v1/clusterprofiles/{uid}")["metadata"]["name"] == "shared"
    with pytest.raises(ApiRefusedError) as refused:
        api.call("DELETE", f"/v1/clusterprofiles/{uid}")
    assert (refused.value.status, refused.value.code) == (403, "ResourceAccessDenied")
    api.call("DELETE", f"/v1/clusterprofiles/{uid}", headers={"ProjectUid": ""})


def test_a_cluster_needs_a_project(api: Api, palette_lab: PaletteLab) -> None:
    """A tenant-level Edge cluster cannot exist (docs/palette.md §3.1)."""
    palette_lab.agent("edge-1").register()
    uid = api.make_profile()
    api.session.headers["ProjectUid"] = ""
    with pytest.raises(ApiRefusedError) as refused:
        api.deploy(uid, "edge-1")
    assert refused.value.code == "ProjectUidRequired"


def test_projects_and_tenant_are_found(api: Api, palette_lab: PaletteLab) -> None:
    """A client finds its project by name and its tenant from the user."""
    items = api.get("/v1/dashboard/projects/metadata", params={"name": "Default"})["items"]
    assert items == [{"metadata": {"name": "Default", "uid": api.project}}]
    assert api.get(f"/v1/projects/{api.project}")["metadata"]["name"] == "Default"
    assert api.get("/v1/users/info")["tenantUid"] == palette_lab.endpoint.tenant_uid
    with pytest.raises(KeyError, match="there are: Default, Other"):
        palette_lab.endpoint.project_uid("None")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"spec": {}}, "metadata: is missing"),
        ({"metadata": {"name": ""}, "spec": {}}, "metadata.name: is empty"),
        ({"metadata": {"name": 5}, "spec": {}}, "metadata.name: is a int; it must be of type string"),
        (
            {"metadata": {"name": "a"}, "spec": {"template": {"type": "none"}}},
            "spec.template.type: 'none' is not one of",
        ),
        ({"metadata": {"name": "a"}, "spec": {"template": {"packs": [{}]}}}, "spec.template.packs[0].name: is missing"),
        ({"metadata": {"name": "a"}, "spec": {"version": "v1.2"}}, "spec.version: 'v1.2' is no version"),
        ([], "body: is a list; it must be of type object"),
        ({"metadata": None, "spec": {}}, "metadata: is missing"),
    ],
)
def test_a_wrong_body_is_refused_by_field(api: Api, body: Any, message: str) -> None:  # noqa: ANN401 - JSON
    """The message names the field, what is there and what would be right."""
    with pytest.raises(ApiRefusedError) as refused:
        api.call("POST", "/v1/clusterprofiles", body)
    assert refused.value.status == 400
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(
    "raw",
    [b"{", b"\xff", b'{"metadata": {"name": "\\ud800"}, "spec": {}}', b"[" * 100_000, b"NaN", b'"' + b"a" * 9_000_000],
)
def test_rubbish_is_refused(api: Api, raw: bytes) -> None:
    """What is no JSON, or too much of it, is a client's error and never a failure of the endpoint."""
    answer = api.session.post(f"{api.url}/v1/clusterprofiles", data=raw, timeout=10)
    assert 400 <= answer.status_code < 500
    assert {"code", "message"} <= set(answer.json())


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("PUT", "/v1/clusterprofiles", 405)]
)
def test_an_unknown_path_is_answered_in_the_envelope(api: Api, method: str, path: str, status: int) -> None:
    """Paths and methods that are not served are told apart from resources that are not there."""
    answer = api.session.request(method, api.url + path, timeout=5)
    assert answer.status_code == status
    assert answer.json()["code"] in {"NotFound", "MethodNotAllowed"}


def test_name_and_version_are_unique_together(api: Api) -> None:
    """The same name may have many versions, each once."""
    for version in ("1.0.0", "1.0.1", "1.0.0-rc.1"):
        api.make_profile(version=version)
    with pytest.raises(ApiRefusedError, match="choose another version"):
        api.make_profile(version="1.0.1")


@pytest.mark.parametrize(
    "version", ["1", "1.2", "v1.2.3", "2.2.2.develop", "01.2.3", "1.2.3-", "1.2.3-01", "1.2.3+b", "1.2.3 "]
)
def test_only_strict_semantic_versions_are_taken(api: Api, version: str) -> None:
    """Malformed versions are rejected (docs/palette.md R-049)."""
    with pytest.raises(ApiRefusedError, match="is no version"):
        api.make_profile(version=version)


def test_every_way_to_a_version_is_as_strict(api: Api) -> None:
    """Clone, import, update and change of the metadata refuse what a creation refuses, as Palette 4.10 does."""
    uid = api.make_profile(password="{{.spectro.macro.pw}}")
    exported = json.loads(api.send("GET", f"/v1/clusterprofiles/{uid}/export").text)
    exported["metadata"]["name"], exported["spec"]["version"] = "copy", "V0.0.1"
    changed = {"metadata": {"name": "copy"}, "spec": {"version": "V0.0.1"}}
    for method, path, body in (
        ("POST", "/import", exported),
        ("POST", f"/{uid}/clone", {"metadata": {"name": "copy", "version": "V0.0.1"}}),
        ("PUT", f"/{uid}", changed),
        ("PATCH", f"/{uid}/metadata", changed),
    ):
        with pytest.raises(ApiRefusedError, match=r"version: 'V0\.0\.1' is no version"):
            api.call(method, f"/v1/clusterprofiles{path}", body)


def test_an_export_can_be_imported(api: Api) -> None:
    """An exported profile without a password comes back equal; one with a masked password is refused."""
    uid = api.make_profile(password="{{.spectro.macro.pw}}")
    exported = json.loads(api.send("GET", f"/v1/clusterprofiles/{uid}/export").text)
    exported["metadata"]["name"] = "copy"
    copy = api.call("POST", "/v1/clusterprofiles/import?publish=true", exported)["uid"]
    before, after = (api.get(f"/v1/clusterprofiles/{u}")["spec"]["published"]["packs"] for u in (uid, copy))
    assert before == after
    secret = json.loads(api.send("GET", f"/v1/clusterprofiles/{api.make_profile(name='secret')}/export").text)
    secret["metadata"]["name"] = "secret-copy"
    with pytest.raises(ApiRefusedError, match="is the mask"):
        api.call("POST", "/v1/clusterprofiles/import", secret)


def test_a_name_cannot_add_headers(api: Api) -> None:
    """A profile's name in a file name stays one word of one header."""
    uid = api.make_profile(name='edge"\r\nX-Injected: yes')
    answer = api.send("GET", f"/v1/clusterprofiles/{uid}/export")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="edge_X-Injected_yes-1.0.0.json"'
    assert "X-Injected" not in answer.headers


def test_a_profile_in_use_is_not_deleted(api: Api, palette_lab: PaletteLab) -> None:
    """A version that a cluster uses stays; the cluster is named."""
    palette_lab.agent("edge-1").register()
    uid = api.make_profile()
    cluster = api.deploy(uid, "edge-1")
    assert api.get(f"/v1/clusterprofiles/{uid}")["status"]["inUseClusterUids"] == [cluster]
    with pytest.raises(ApiRefusedError, match="in use by edge-cluster") as refused:
        api.call("DELETE", f"/v1/clusterprofiles/{uid}")
    assert (refused.value.status, refused.value.code) == (409, "ClusterProfileInUse")
    other = api.new_version(uid, "1.0.1")
    answer = api.call("DELETE", "/v1/clusterprofiles/bulk", {"uids": [uid, other]})
    assert (answer["deletedCount"], [failure["uid"] for failure in answer["failures"]]) == (1, [uid])


def test_a_save_is_a_draft_until_it_is_published(api: Api) -> None:
    """An edited pack shows in the draft; publishing makes it what clusters use (the guide, step 7)."""
    uid = api.make_profile()
    path = f"/v1/clusterprofiles/{uid}"
    pack = api.get(f"{path}/packs/edge-native-byoi")
    sent = {
        "name": "edge-native-byoi",
        "uid": pack["metadata"]["uid"],
        "values": "options:\n  system.uri: a.test/b:2\n",
    }
    api.call("PUT", f"{path}/packs/edge-native-byoi", {"pack": sent})
    draft = api.get(path)
    assert draft["status"]["isPublished"] is False
    assert "a.test/b:2" in draft["spec"]["draft"]["packs"][0]["values"]
    assert "a.test/b:2" not in draft["spec"]["published"]["packs"][0]["values"]
    api.call("PATCH", f"{path}/publish")
    published = api.get(path)
    assert published["status"]["isPublished"] is True
    assert "draft" not in published["spec"]
    assert "a.test/b:2" in published["spec"]["published"]["packs"][0]["values"]


def test_packs_are_found_with_their_default_values(api: Api) -> None:
    """A client finds the registry, the BYOOS pack in it, and values to start from."""
    (registry,) = api.get("/v1/registries/metadata?scope=all")["items"]
    found = api.call("POST", "/v1/packs/search", {"filter": {"name": {"eq": "edge-native-byoi"}, "layer": ["os"]}})
    assert [item["spec"]["name"] for item in found["items"]] == ["edge-native-byoi"]
    pack = api.get(f"/v1/packs/edge-native-byoi/registries/{registry['uid']}?cloudType=edge-native&layer=os")
    assert "system.uri" in pack["packValues"][0]["values"]
    assert api.get(f"/v1/packs/{pack['tags'][-1]['packUid']}")["tags"] == [pack["tags"][-1]]


@pytest.mark.parametrize(
    ("packs", "problem"),
    [
        ([{"name": "nothing"}], "no pack 'nothing'"),
        ([{"name": "edge-native-byoi", "tag": "9.9.9"}], "has 1.0.0, 2.0.0, 2.1.0"),
        ([{"name": "edge-native-byoi", "uid": "0"}], "is no version of pack"),
        ([{"name": "edge-native-byoi", "layer": "k8s"}], "is of layer os"),
        ([{"name": "edge-native-byoi", "registryUid": "0"}], "no pack registry"),
        ([{"name": "edge-native-byoi"}], "no k8s layer"),
    ],
)
def test_layers_that_make_no_profile_are_refused(api: Api, packs: list[dict[str, str]], problem: str) -> None:
    """Packs are the registry's, by name, version and layer; what is published has an OS, Kubernetes and a network."""
    body = profile("edge", "1.0.0", "options: {}")
    body["spec"]["template"]["packs"] = packs
    with pytest.raises(ApiRefusedError, match=problem):
        api.call("POST", "/v1/clusterprofiles?publish=true", body)
