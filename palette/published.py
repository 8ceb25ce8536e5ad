"""Whether answers have the fields that this project reads, are about what was asked for, and have the published shape.

Reading is tolerant (:mod:`palette.reading`), so that a run goes on; what was odd about an answer is kept by its
transport all the same. The published description is read where the variable ``PALETTE_OPENAPI`` names a directory that
has it (Swagger 2.0 as the vendor publishes it, ``*.json``).
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema.validators import Draft4Validator

from palette.reading import text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_META = {"metadata.uid": str, "metadata.name": str}
#: By operation, what is read of its answer: a dotted place and its type; ``[]`` stands for every item of a list.
READ: dict[str, dict[str, type]] = {
    "GET /v1/spectroclusters/{}": {**_META, "status.state": str, "spec.cloudConfigRef.uid": str},
    "GET /v1/spectroclusters/{}/status": {"status.state": str},
    "GET /v1/spectroclusters/{}/profiles": {"profiles[].metadata.uid": str},
    "GET /v1/spectroclusters/{}/repave/status": {"status.state": str, "spec.reasons[].message": str},
    "GET /v1/dashboard/spectroclusters/{}/overview": {
        "metadata.uid": str, "status.state": str, "status.health.state": str,
    },
    "POST /v1/spectroclusters/{}/validate/repave": {"isRepaveRequired": bool},
    "GET /v1/edgehosts/{}": {**_META, "status.state": str, "status.health.state": str},
    "GET /v1/clusterprofiles/{}": {**_META, "spec.version": str},
    "GET /v1/events/components/{}/{}": {
        "items[].metadata.uid": str, "items[].metadata.creationTimestamp": str, "items[].severity": str,
        "items[].reason": str, "items[].message": str, "items[].source.component": str,
        "items[].involvedObject.kind": str, "items[].involvedObject.uid": str,
    },
}  # fmt: skip
#: Where a word of the API stands in the place of a uid; nothing is read of these answers.
READ |= {
    f"GET /v1/{path}": {}
    for path in (
        "clusterprofiles/macros",
        "edgehosts/metadata",
        "edgehosts/tags",
        "edgehosts/tokens",
        "spectroclusters/tags",
    )
}
_WORDS = {str: "text", bool: "true or false", list: "a list", dict: "an object", type(None): "null", int: "a number"}


def oddities(method: str, path: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each thing about an answer that is not as it is read or published."""
    if operation := _operation(READ, method, path):
        fields = READ[operation]
        for place, kind in fields.items():
            yield from (f"{operation}: {said}" for said in _wrong(answer, place, kind, ""))
        uid = text(answer, "metadata", "uid") if "metadata.uid" in fields else ""
        if uid and uid not in path.split("/"):
            yield f"{operation}: metadata.uid is that of another object than was asked for"
    yield from (f"{method} {path}: {said}" for said in _unlike_the_description(method, path, answer))


def _operation(known: Iterable[str], method: str, path: str) -> str:
    """Return which of the operations a request is: a word of the API goes before a uid, as OpenAPI has it; else ""."""
    return min((each for each in known if _fits(each, method, path)), key=lambda each: each.count("{"), default="")


def _fits(operation: str, method: str, path: str) -> bool:
    return re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", operation), f"{method} {path}") is not None


def _wrong(value: Any, place: str, kind: type, above: str) -> Iterator[str]:  # noqa: ANN401 - any JSON value
    """Yield what is wrong with what stands at a place; a list that is null is empty."""
    head, _, rest = place.partition(".")
    name, of_items = head.removesuffix("[]"), head.endswith("[]")
    shown = f"{above}{name}"
    if not isinstance(value, dict) or name not in value:
        yield f"{shown} is missing; {_WORDS[kind]} is right"
        return
    found: Any = value[name]
    expected: type = list if of_items else dict if rest else kind
    if found is None and of_items:
        return
    if not isinstance(found, expected):
        yield f"{shown} is {_WORDS.get(type(found), 'something else')}; {_WORDS[expected]} is right"
    elif rest:
        for number, item in enumerate(found if isinstance(found, list) else [found]):
            yield from _wrong(item, rest, kind, f"{shown}[{number}]." if of_items else f"{shown}.")


@lru_cache
def _described() -> dict[str, Draft4Validator]:
    """Return what judges the answers of each operation of the published descriptions."""
    folder = os.environ.get("PALETTE_OPENAPI")
    found = {}
    for file in sorted(Path(folder).glob("*.json")) if folder else ():
        description = json.loads(file.read_text())
        for path, methods in description.get("paths", {}).items():
            for method, operation in methods.items():
                schema = operation.get("responses", {}).get("200", {}).get("schema") if method != "parameters" else None
                if schema:
                    whole = {**schema, "definitions": description["definitions"]}
                    found[f"{method.upper()} {path}"] = Draft4Validator(whole)
    return found


def _unlike_the_description(method: str, path: str, answer: Mapping[str, Any]) -> Iterator[str]:
    if operation := _operation(_described(), method, path):
        for error in _described()[operation].iter_errors(answer):
            if error.instance is not None:  # Go writes an empty list as null
                place = ".".join(map(str, error.absolute_path)) or "the answer"
                yield f"{place} is not as published: {error.validator} {error.validator_value!r}"
