"""What is published and not served says so, and what is not published is not there."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from lab.palette.server import routes
from lab.palette.unserved import LETTERS, TABLE, is_unserved, operations
from tests.lab_palette.api import Api
from tests.lab_palette.contract import FULL_4_9, is_present
from tests.palette.openapi import NO_DESCRIPTION, SPEC_4_8, directory

GONE = {("GET", "/v1/projects")}
"""Published up to 4.9 and gone in Palette 4.10."""


def plain(path: str) -> str:
    """Return a path with stars for its variables."""
    return re.sub(r"\{[^}]*\}", "*", path).rstrip("/")


def published() -> set[tuple[str, str]]:
    """Return every published operation of both versions."""
    found = set()
    for name in (SPEC_4_8, FULL_4_9):
        for path, item in json.loads((directory() / name).read_text())["paths"].items():
            found |= {(method.upper(), plain(path)) for method in item if method.upper() in LETTERS.values()}
    return found - GONE


def written(left: set[tuple[str, str]]) -> str:
    """Write the table of ``left``."""
    tree: dict[Any, Any] = {}
    letter = {method: short for short, method in LETTERS.items()}
    for method, path in sorted(left):
        node = tree
        for segment in path.split("/")[2:]:
            node = node.setdefault(segment, {})
        node[None] = "".join(sorted(node.get(None, "") + letter[method]))
    return "".join(f"{line}\n" for line in _branches(tree))


def _branches(node: dict[Any, Any]) -> list[str]:
    inner = ((name, below.get(None, ""), " ".join(_branches(below))) for name, below in sorted_segments(node))
    return [name + (f":{methods}" if methods else "") + (f"({text})" if text else "") for name, methods, text in inner]


def sorted_segments(node: dict[Any, Any]) -> list[tuple[str, dict[Any, Any]]]:
    """Return the children of a node by name."""
    return sorted((name, below) for name, below in node.items() if name is not None)


@pytest.mark.skipif(not is_present(), reason=NO_DESCRIPTION)
def test_every_published_operation_is_served_or_in_the_table() -> None:
    """A description or an operation that changed makes another table, which stands beside the report of this test."""
    left = published() - {(route.method, plain(route.path)) for route in routes()}
    right = written(left)
    if TABLE.read_text() != right:
        TABLE.with_suffix(".txt.new").write_text(right)

    assert operations() == left, f"write {TABLE.name} anew: a right one is at {TABLE.name}.new"


def test_what_is_served_is_not_in_the_table() -> None:
    """No operation is both."""
    assert not operations() & {(route.method, plain(route.path)) for route in routes()}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/clusterprofiles/import/file"),
        ("GET", "/v1/clusterprofiles/u/spc/download"),
        ("POST", "/v1/spectroclusters/edge-native/import"),
        ("GET", "/v1/users"),
        ("GET", "/v1/spectroclusters/u/k8certificates"),
        ("PATCH", "/v1/spectroclusters/u/clusterConfig/osPatch"),
    ],
)
def test_a_published_operation_that_is_not_served_says_so(method: str, path: str, api: Api) -> None:
    """No client of the vendor's takes 501 for "there is none", as it takes 404."""
    answer = api.session.request(method, api.url + path, timeout=10)

    assert (answer.status_code, answer.json()["code"]) == (501, "NotImplemented")
    assert answer.json()["message"] == f"{method} {path} is published, and the lab does not serve it"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/nothing"), ("GET", "/v1/projects"), ("GET", "/v1/edgehosts/")]
)
def test_what_is_not_published_is_not_found(method: str, path: str, api: Api) -> None:
    """Neither is what Palette 4.10 has no more."""
    assert api.session.request(method, api.url + path, timeout=10).status_code == 404
    assert not is_unserved(method, path)
