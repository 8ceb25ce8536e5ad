"""The judge itself: what it must refuse, and that the description is read as it is meant."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.palette.conftest import load_spec
from tests.palette.openapi import SPEC_4_9, Spec, SpecViolationError, directory

CREATE = "/v1/spectroclusters/edge-native"


def pool(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make the smallest cluster body, with changes to its pool."""
    config = {"name": "p", "size": 1, "labels": ["control-plane"], **changes}
    machine_pool = {"cloudConfig": {"edgeHosts": [{"hostUid": "h"}]}, "poolConfig": config}
    return {"metadata": {"name": "c"}, "spec": {"machinepoolconfig": [machine_pool]}}


def test_a_valid_request_passes_and_names_its_operation(spec: Spec) -> None:
    """The judge gives the operation that a request belongs to."""
    assert spec.validate_request("POST", CREATE, pool()).operation_id == "v1SpectroClustersEdgeNativeCreate"


@pytest.mark.parametrize(
    ("method", "url", "body", "complaint"),
    [
        ("GET", "/v1/nothing", None, "no operation GET"),
        ("PATCH", "/v1/clusterprofiles", None, "no operation PATCH"),
        ("GET", "/v1/clusterprofiles/u/", None, "no operation GET"),
        ("GET", "/v1/clusterprofiles/u?pages=1", None, "query parameter 'pages' is not declared"),
        ("GET", "/v1/clusterprofiles/u/export?format=xml", None, "query parameter format"),
        ("GET", "/v1/events/components/edgehost/h?limit=many", None, "query parameter limit"),
        ("GET", "/v1/events/components/host/h", None, "path parameter objectKind"),
        ("GET", "/v1/clusterprofiles/u/packs/p/config", None, "query parameter 'packUid' is required"),
        ("POST", "/v1/clusterprofiles?publish=yes", {}, "query parameter publish"),
        ("GET", "/v1/clusterprofiles/u", {}, "none is declared"),
        ("POST", "/v1/auth/authenticate", None, "the body is missing"),
        ("POST", CREATE, [], "is not of type 'object'"),
        ("POST", CREATE, {"spec": {"machinePoolConfig": []}}, "machinePoolConfig"),
        ("POST", CREATE, pool(size="1"), "is not of type 'integer'"),
        ("POST", CREATE, pool(size=2**31), "is not a 'int32'"),
        ("POST", CREATE, pool(updateStrategy={"type": "Rolling"}), "is not one of"),
        ("POST", CREATE, {"spec": {"machinepoolconfig": [{"poolConfig": {"name": "p"}}]}}, "'size' is a required"),
        ("POST", "/v1/edgehosts/tokens", {"spec": {"expiry": "tomorrow"}}, "is not a 'date-time'"),
    ],
)
def test_a_request_that_is_not_as_published_is_refused(
    method: str, url: str, body: object, complaint: str, spec: Spec
) -> None:
    """Path, method, parameters, required fields, types, ranges, enumerations and unknown properties are all held."""
    with pytest.raises(SpecViolationError, match=complaint):
        spec.validate_request(method, url, body)


def test_fixed_segments_win_over_placeholders(spec: Spec) -> None:
    """A path that fits two templates belongs to the one with fewer placeholders."""
    assert spec.find("GET", "/v1/edgehosts/tokens")[0].template == "/v1/edgehosts/tokens"
    assert spec.find("GET", "/v1/edgehosts/h")[0].template == "/v1/edgehosts/{uid}"


def test_everything_wrong_is_told_at_once(spec: Spec) -> None:
    """One look shows all complaints, not only the first."""
    with pytest.raises(SpecViolationError) as caught:
        spec.validate_request("POST", CREATE + "?a=1&b=2", pool(size="1", name=5))

    assert str(caught.value).count("\n") == 4


def test_headers_are_judged_when_given() -> None:
    """The project header is refused where 4.9 does not declare it, and a credential is required where one is due."""
    spec = load_spec(directory() / SPEC_4_9)
    spec.validate_request("GET", "/v1/edgehosts/h", None, {"ApiKey": "k", "ProjectUid": "p"})

    with pytest.raises(SpecViolationError, match="ProjectUid"):
        spec.validate_request("GET", "/v1/projects/p/macros", None, {"apikey": "k", "projectuid": "p"})
    with pytest.raises(SpecViolationError, match="neither ApiKey"):
        spec.validate_request("GET", "/v1/edgehosts/h", None, {})


@pytest.mark.parametrize(
    ("status", "body", "complaint"),
    [
        (200, {"uid": "u"}, "status 200 is not declared"),
        (201, {}, "'uid' is a required property"),
        (201, {"uid": None}, "is not of type 'string'"),
        (201, None, "is not of type 'object'"),
        (409, {"message": "m"}, "'code' is a required property"),
        (500, "text", "is not of type 'object'"),
    ],
)
def test_an_answer_that_is_not_as_published_is_refused(status: int, body: object, complaint: str, spec: Spec) -> None:
    """Status, shape and the error envelope of an answer are held."""
    with pytest.raises(SpecViolationError, match=complaint):
        spec.validate_response("POST", CREATE, status, body)


def test_answers_may_hold_more_than_is_declared_unless_strict(spec: Spec) -> None:
    """A newer service may add fields; a lab that claims the shape is held to it."""
    spec.validate_response("POST", CREATE, 201, {"uid": "u", "newer": 1})

    with pytest.raises(SpecViolationError, match="newer"):
        spec.validate_response("POST", CREATE, 201, {"uid": "u", "newer": 1}, strict=True)


def test_an_answer_without_body_has_none(spec: Spec) -> None:
    """A 204 with a body is refused, and without one it passes."""
    spec.validate_response("DELETE", "/v1/clusterprofiles/u", 204, None)
    with pytest.raises(SpecViolationError, match="none is declared"):
        spec.validate_response("DELETE", "/v1/clusterprofiles/u", 204, {})


def test_files_are_text_or_bytes(spec: Spec) -> None:
    """An export is a file and not an object."""
    spec.validate_response("GET", "/v1/clusterprofiles/u/export", 200, "text")
    with pytest.raises(SpecViolationError, match="a file is declared"):
        spec.validate_response("GET", "/v1/clusterprofiles/u/export", 200, {})


def _examples(spec: Spec) -> list[Callable[[], None]]:
    def check(method: str, path: str) -> Callable[[], None]:
        def act() -> None:
            status, body = spec.example(method, path)
            spec.validate_response(method, path, status, body, strict=True)

        return act

    return [check(one.method, one.template) for one in spec.operations()]


def test_every_example_is_valid() -> None:
    """The answers made from the description pass the description, strictly, for every operation of the cut."""
    checks = _examples(load_spec(directory() / SPEC_4_9))

    for check in checks:
        check()
    assert len(checks) == 190
