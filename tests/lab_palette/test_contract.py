"""The endpoint against the published description: nothing served that is not published, nothing answered otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.palette.server import routes
from tests.lab_palette.api import Api, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.contract import FULL_4_9, is_present, spec
from tests.lab_palette.scripted_agent import ScriptedAgent
from tests.palette.openapi import NO_DESCRIPTION, directory

pytestmark = pytest.mark.skipif(not is_present(), reason=NO_DESCRIPTION)

ROUTES = {f"{route.method} {route.path}": route for route in routes()}


@pytest.mark.parametrize("name", ROUTES)
def test_every_operation_is_published_under_its_very_path(name: str) -> None:
    """Each served operation is published with the same names of its variables, and takes a body only there."""
    route = ROUTES[name]
    operation, _values = spec().find(route.method, route.path)
    assert operation.template == route.path
    if route.body is not None:
        assert operation.declared("body"), "a body is checked that the description does not know"


def described() -> dict[str, Any]:
    """Return the description, cut to what the endpoint serves."""
    content: dict[str, Any] = json.loads((directory() / FULL_4_9).read_text())
    served = {(route.method.lower(), route.path) for route in routes()}
    content["paths"] = {
        path: {m: part for m, part in item.items() if m == "parameters" or (m, path) in served}
        for path, item in content["paths"].items()
        if any(served_path == path for _method, served_path in served)
    }
    return content


def test_generated_requests_never_break_the_endpoint(
    api: Api, hosts: Callable[..., list[ScriptedAgent]], palette_lab: PaletteLab
) -> None:
    """Requests made from the published schemas get a published answer or an error envelope, never a server error."""
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings  # noqa: PLC0415 - needed with schemathesis only

    hosts("edge-1", "edge-2")
    profile = api.make_profile()
    cluster = api.deploy(profile, "edge-1")
    eventually(lambda: api.done(cluster), "Running")
    schema = schemathesis.openapi.from_dict(described())
    known = {"cluster": cluster, "profile": profile, "tenant": palette_lab.endpoint.tenant_uid, "host": "edge-2"}
    operations = [result.ok() for result in schema.get_all_operations()]
    operations.sort(key=lambda operation: operation.method == "delete")  # while things exist, the rest is about them
    statuses: list[int] = []
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=4,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:  # noqa: ANN401 - schemathesis' case
            _aim(case, known, api)
            body = case.body if isinstance(case.body, dict | list) else None
            answer = api.send(case.method, case.formatted_path, body, params=case.query or {})
            assert answer.status_code < 500, answer.text
            statuses.append(answer.status_code)

        send()
    assert len(operations) == len(ROUTES)
    assert {200, 201, 204, 400, 404} <= set(statuses)
    assert sum(status < 300 for status in statuses) > len(statuses) / 4


def _aim(case: Any, known: dict[str, str], api: Api) -> None:  # noqa: ANN401 - schemathesis' case
    """Point a generated request at something that exists."""
    path = case.path
    uid = known["profile"] if "clusterprofiles" in path else known["host"] if "edgehosts" in path else known["cluster"]
    aimed = {
        "uid": api.project if path.startswith("/v1/projects") else uid,
        "tenantUid": known["tenant"],
        "packName": "edge-native-byoi",
        "profileUid": known["profile"],
        "objectUid": known["cluster"],
    }
    for name in case.path_parameters or {}:
        case.path_parameters[name] = aimed.get(name, case.path_parameters[name])
