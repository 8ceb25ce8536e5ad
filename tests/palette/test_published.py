"""What is odd about an answer: fields that are read and missing or of another type, and what is not as published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from palette import published
from palette.published import oddities
from tests.palette.openapi import Spec

STATUS = "/v1/spectroclusters/abc/status"
OVERVIEW = "/v1/dashboard/spectroclusters/abc/overview"
OF_ABC = {"status": {"state": "Running", "health": {"state": "Healthy"}}}
EVENTS = "/v1/events/components/spectrocluster/abc"
EVENT: dict[str, Any] = {
    "metadata": {"uid": "e", "creationTimestamp": "2026-01-01T00:00:00Z"}, "severity": "Error", "reason": "Failed",
    "message": "m", "source": {"component": "c"}, "involvedObject": {"kind": "spectrocluster", "uid": "abc"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (STATUS, {"status": {"state": "Running", "more": 1}}, ""),
        (STATUS, {"status": {}}, "status.state is missing; text is right"),
        (STATUS, {"status": {"state": ["Running"]}}, "status.state is a list; text is right"),
        (STATUS, {"status": {"state": None}}, "status.state is null; text is right"),
        (STATUS, {"status": "Running"}, "status is text; an object is right"),
        (OVERVIEW, OF_ABC | {"metadata": {"uid": "abc", "name": "a"}}, ""),
        (OVERVIEW, OF_ABC | {"metadata": {"uid": "other", "name": "a"}}, "metadata.uid is that of another object"),
        (EVENTS, {"items": None}, ""),
        (EVENTS, {"items": [EVENT]}, ""),
        (EVENTS, {}, "items is missing"),
        (EVENTS, {"items": [EVENT, {**EVENT, "source": {}}]}, "items[1].source.component is missing; text is right"),
        ("/v1/nobody/knows", {"x": 1}, ""),
    ],
)
def test_fields_that_are_read_must_be_there_and_of_their_type(
    monkeypatch: pytest.MonkeyPatch, path: str, answer: dict[str, Any], said: str
) -> None:
    """A missing field and one of another type are named with what would be right; what nobody reads is nobody's."""
    monkeypatch.setattr(published, "_described", dict)  # a description that is at hand says things besides
    found = list(oddities("GET", path, answer))

    assert [each for each in found if not said or said not in each] == []
    assert bool(found) is bool(said)


@pytest.mark.parametrize("path", ["clusterprofiles/macros", "edgehosts/tags", "spectroclusters/tags"])
def test_a_word_of_the_api_is_no_uid(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """What answers at ``/v1/clusterprofiles/macros`` is no profile, whoever asked for macros before."""
    monkeypatch.setattr(published, "_described", dict)

    assert list(oddities("GET", f"/v1/{path}", {"macros": []})) == []


def test_no_other_published_operation_is_taken_for_one_that_is_read(spec: Spec) -> None:
    """Whatever the API has beside what is read, its answers are not held to another operation's fields."""
    for operation in spec.operations():
        shape = re.sub(r"\{[^}]*\}", "{}", f"{operation.method} {operation.template}")
        found = published._operation(published.READ, operation.method, shape.partition(" ")[2].replace("{}", "x"))

        assert found in {"", shape}, f"{shape} is taken for {found}"


def test_the_word_goes_before_the_uid_in_a_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer of an operation whose path has no open part is not held to that of another which it fits as well."""
    answers = {"/v1/things/{uid}": ["x"], "/v1/things/all": ["things"]}
    paths = {path: {"get": {"responses": {"200": {"schema": {"required": names}}}}} for path, names in answers.items()}
    (tmp_path / "api.json").write_text(json.dumps({"paths": paths, "definitions": {}}))
    monkeypatch.setenv("PALETTE_OPENAPI", str(tmp_path))
    published._described.cache_clear()
    try:
        found = [list(oddities("GET", f"/v1/things/{name}", {"things": []})) for name in ("all", "a")]
    finally:
        published._described.cache_clear()

    assert [len(said) for said in found] == [0, 1]


def test_a_description_that_is_named_judges_answers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``PALETTE_OPENAPI`` an answer is held to the published types; null passes, as Go writes empty lists."""
    schema = {"type": "object", "properties": {"x": {"$ref": "#/definitions/v1Text"}}}
    operation = {"get": {"responses": {"200": {"schema": schema}}}}
    description = {"paths": {"/v1/things/{uid}": operation}, "definitions": {"v1Text": {"type": "string"}}}
    (tmp_path / "api.json").write_text(json.dumps(description))
    monkeypatch.setenv("PALETTE_OPENAPI", str(tmp_path))
    published._described.cache_clear()
    try:
        found = [list(oddities("GET", "/v1/things/a", {"x": value})) for value in ("text", None, 1)]
    finally:
        published._described.cache_clear()

    assert found == [[], [], ["GET /v1/things/a: x is not as published: type 'string'"]]
