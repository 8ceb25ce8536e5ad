"""Macros and variables through the API: kept by scope, resolved for clusters, followed when they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lab_palette.api import PASSWORD, Api, ApiRefusedError, eventually, os_values, profile
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

MACRO = "{{.spectro.macro.registry-password}}"


def macros(name: str, value: str) -> dict[str, Any]:
    """Write the body that holds one macro."""
    return {"macros": [{"name": name, "value": value}]}


@pytest.fixture
def project(api: Api) -> str:
    """Return the path of the project's macros."""
    return f"/v1/projects/{api.project}/macros"


@pytest.fixture
def tenant(palette_lab: PaletteLab) -> str:
    """Return the path of the tenant's macros."""
    return f"/v1/tenants/{palette_lab.endpoint.tenant_uid}/macros"


def test_macros_are_added_changed_replaced_and_deleted(api: Api, project: str) -> None:
    """POST adds, PATCH changes by name, PUT replaces the whole list, DELETE removes by name."""
    api.call("POST", project, macros("a", "1"))
    api.call("POST", project, macros("b", "2"))
    api.call("PATCH", project, macros("a", "3"))
    assert api.get(project)["macros"] == [{"name": "a", "value": "3"}, {"name": "b", "value": "2"}]
    api.call("DELETE", project, macros("a", ""))
    api.call("PUT", project, macros("c", "4"))
    assert api.get(project)["macros"] == [{"name": "c", "value": "4"}]


@pytest.mark.parametrize(
    ("method", "body", "status"),
    [
        ("POST", macros("a", "again"), 409),
        ("PATCH", macros("none", ""), 404),
        ("DELETE", macros("none", ""), 404),
        ("POST", {"macros": [{"value": "x"}]}, 400),
        ("PUT", {"macros": [{"name": "d"}, {"name": "d"}]}, 400),
    ],
)
def test_a_wrong_change_of_macros_is_refused(
    api: Api, project: str, method: str, body: dict[str, Any], status: int
) -> None:
    """Names are unique in a scope and must exist to be changed; a refused change changes nothing."""
    api.call("POST", project, macros("a", "1"))
    with pytest.raises(ApiRefusedError) as refused:
        api.call(method, project, body)
    assert refused.value.status == status
    assert api.get(project)["macros"] == [{"name": "a", "value": "1"}]


def test_the_macros_visible_to_profiles_follow_precedence(api: Api, project: str, tenant: str) -> None:
    """A name in two scopes is listed once, with the project's value."""
    api.call("POST", tenant, macros("a", "tenant"))
    api.call("POST", tenant, macros("b", "tenant"))
    api.call("POST", project, macros("a", "project"))
    visible = {macro["name"]: macro["value"] for macro in api.get("/v1/clusterprofiles/macros")["macros"]}
    assert visible == {"a": "project", "b": "tenant"}


@pytest.mark.parametrize("scope", ["project", "tenant"])
def test_a_password_may_be_a_macro(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], request: pytest.FixtureRequest, scope: str
) -> None:
    """The host is given what the macro holds; the profile keeps the reference and shows it."""
    api.call("POST", request.getfixturevalue(scope), macros("registry-password", PASSWORD))
    hosts("edge-1")
    uid = api.make_profile(password=MACRO)
    cluster = api.deploy(uid, "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    assert MACRO in api.get(f"/v1/clusterprofiles/{uid}/packs/edge-native-byoi")["spec"]["pack"]["values"]


def test_a_missing_macro_keeps_the_cluster_provisioning_and_says_so(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], project: str
) -> None:
    """Nothing is ordered while a macro is missing; making it lets the deployment go on."""
    (agent,) = hosts("edge-1")
    cluster = api.deploy(api.make_profile(password=MACRO), "edge-1")
    (event,) = [event for event in api.events(cluster) if event["severity"] == "Error"]
    assert event["reason"] == "FailedResolveMacro"
    assert "registry-password" in event["message"]
    assert api.state(cluster) == "Provisioning"
    assert all(order["cluster"] is None for order in agent.orders)
    api.call("POST", project, macros("registry-password", PASSWORD))
    eventually(lambda: api.done(cluster), "Running")


def test_a_changed_macro_reaches_a_running_cluster_after_approval(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], project: str, palette_lab: PaletteLab
) -> None:
    """A macro that holds the password is rotated like a new profile version: a repave waits for approval."""
    api.call("POST", project, macros("registry-password", PASSWORD))
    (agent,) = hosts("edge-1")
    cluster = api.deploy(api.make_profile(password=MACRO), "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    palette_lab.registry.password = "rotated!"
    api.call("PATCH", project, macros("registry-password", "rotated!"))
    assert api.get(f"/v1/spectroclusters/{cluster}/repave/status")["status"]["state"] == "Pending"
    api.approve(cluster)
    eventually(lambda: api.done(cluster), "repaved")
    assert agent.orders[-1]["cluster"]["credential"]["password"] == "rotated!"


def test_a_macro_of_another_project_changes_nothing(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], palette_lab: PaletteLab, project: str
) -> None:
    """Scopes of projects are apart."""
    api.call("POST", project, macros("registry-password", PASSWORD))
    (agent,) = hosts("edge-1")
    cluster = api.deploy(api.make_profile(password=MACRO), "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    orders = len(agent.orders)
    other = f"/v1/projects/{palette_lab.endpoint.project_uid('Other')}/macros"
    api.call("POST", other, macros("registry-password", "another"))
    assert len(agent.orders) == orders
    assert api.done(cluster)


def with_variable(uid_of: Callable[[dict[str, Any]], str], **variable: Any) -> str:  # noqa: ANN401 - fields of a variable
    """Make a profile whose password is the variable ``pw``."""
    body = profile("edge", "1.0.0", os_values(password="{{.spectro.var.pw}}"))
    body["spec"]["variables"] = [{"name": "pw", "isSensitive": True, **variable}]
    return uid_of(body)


def test_a_password_may_be_a_variable_of_the_cluster(api: Api, hosts: Callable[..., list[ScriptedAgent]]) -> None:
    """The cluster's value wins over the profile's default."""
    hosts("edge-1")
    uid = with_variable(
        lambda body: api.call("POST", "/v1/clusterprofiles?publish=true", body)["uid"], defaultValue="wrong"
    )
    cluster = api.deploy(uid, "edge-1", variables=[{"name": "pw", "value": PASSWORD}])
    eventually(lambda: api.done(cluster), "Running")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ({"required": True}, None, "required"),
        ({}, "******", "mask"),
        ({"format": "number"}, "x", "not of format number"),
        ({"format": "base64"}, "a", "not of format base64"),
        ({"regex": "^a"}, "b", "does not match"),
    ],
)
def test_a_wrong_value_of_a_variable_is_refused(
    api: Api, palette_lab: PaletteLab, variable: dict[str, Any], value: str | None, problem: str
) -> None:
    """A variable's value must be there where it is required and of the declared form."""
    palette_lab.agent("edge-1").register()
    uid = with_variable(lambda body: api.call("POST", "/v1/clusterprofiles?publish=true", body)["uid"], **variable)
    sent = [] if value is None else [{"name": "pw", "value": value}]
    with pytest.raises(ApiRefusedError, match=problem):
        api.deploy(uid, "edge-1", variables=sent)


def test_the_image_cannot_be_built_from_a_variable(api: Api) -> None:
    """Profile variables cannot be used for system.uri (docs/palette.md R-067)."""
    with pytest.raises(ApiRefusedError) as refused:
        api.make_profile(image="registry.test/edge:{{.spectro.var.tag}}")
    assert refused.value.code == "InvalidVariableUsage"


def test_a_variable_name_holds_no_hyphen(api: Api) -> None:
    """The template engine rejects hyphens in variable names (docs/palette.md R-069)."""
    uid = api.make_profile()
    with pytest.raises(ApiRefusedError, match="no variable name"):
        api.call("PUT", f"/v1/clusterprofiles/{uid}/variables", {"variables": [{"name": "a-b"}]})
