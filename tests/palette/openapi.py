"""The published API description as a judge of requests and answers.

Two files are used where they are present: the cut of 4.9 and the vendor's own 4.8 (Swagger 2.0 both), in the directory
that the environment variable ``PALETTE_OPENAPI`` names. Without it, the tests that need them are skipped.

Where the files and reality differ, and what is done about it here:

- ``machinepoolconfig`` of a cluster is lower case in the files. A working template of the vendor sends
  ``machinePoolConfig``, which the service takes too; here only the published spelling passes.
- Two operations are a GET with a body (``…/packs/resolvedValues``), and DELETE of macros and variables carries one.
- Error answers are not described at all: an answer with status 400 or above must be an error envelope
  (``code``, ``message``, optional ``details`` and ``ref``), which comes from the vendor's SDK.
- Objects do not forbid unknown properties. Requests are held to the declared ones (a wrong key would be ignored by
  the service in silence); answers are, when ``strict`` is asked for.
- ``ProjectUid`` is a declared header in 4.9 only; 4.8 does not mention it. Where 4.9 does not declare it (macros,
  login, projects) it must not be sent.
- An empty list may come as ``null`` from the real service; here that passes only where ``x-nullable`` says so.
- Time texts carry no more than the word ``date-time``; anything Python reads as an ISO time passes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jsonschema
from jsonschema.validators import Draft4Validator

REPOSITORY = Path(__file__).parents[2]
SPEC_4_9 = "palette-edge-subset-4.9.json"
SPEC_4_8 = "palette-apis-spec-4.8.json"
#: Why a test that needs a published description is skipped.
NO_DESCRIPTION = "PALETTE_OPENAPI names no directory with the published description of Palette's API"
METHODS = ("get", "put", "post", "delete", "patch")
INT_LIMITS = {"int8": 2**7, "int32": 2**31, "int64": 2**63}
ERROR_ENVELOPE = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {"code": {"type": "string"}, "message": {"type": "string"}, "ref": {"type": "string"}},
}


def directory() -> Path:
    """Return the directory of the API descriptions, whether or not it is there."""
    return Path(os.environ.get("PALETTE_OPENAPI") or "no-directory-is-named-by-PALETTE_OPENAPI")


class SpecViolationError(AssertionError):
    """A request or an answer that the description does not allow; one line for each thing that is wrong."""


@dataclass(frozen=True)
class Operation:
    """One method of one path template."""

    method: str
    template: str
    description: Mapping[str, Any]
    parameters: tuple[Mapping[str, Any], ...]

    @property
    def operation_id(self) -> str:
        """The name of the operation."""
        return str(self.description.get("operationId", ""))

    def declared(self, place: str) -> dict[str, Mapping[str, Any]]:
        """Return the parameters of a place (``query``, ``path``, ``header``, ``body``) by name."""
        return {str(one["name"]): one for one in self.parameters if one["in"] == place}


@dataclass(frozen=True)
class Spec:
    """One description, ready to judge."""

    name: str
    content: Mapping[str, Any]
    strict_definitions: Mapping[str, Any]
    definitions: Mapping[str, Any]

    @classmethod
    @lru_cache(maxsize=4)
    def load(cls, path: Path) -> Spec:
        """Read a Swagger 2.0 file."""
        content = json.loads(path.read_text(encoding="utf-8"))
        loose = _definitions(content["definitions"], strict=False)
        return cls(path.name, content, _definitions(content["definitions"], strict=True), loose)

    def operations(self) -> Iterator[Operation]:
        """Yield every operation."""
        for template, item in self.content["paths"].items():
            for method in METHODS:
                if method in item:
                    own = item[method].get("parameters", [])
                    names = {(one["name"], one["in"]) for one in own}
                    shared = [one for one in item.get("parameters", []) if (one["name"], one["in"]) not in names]
                    yield Operation(method.upper(), template, item[method], (*own, *shared))

    def find(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        """Return the operation a path belongs to and the values in it; fixed segments win over placeholders.

        Raises SpecViolationError when there is none.
        """
        fitting = []
        for operation in self.operations():
            values = _match(operation.template, path)
            if operation.method == method.upper() and values is not None:
                fitting.append((len(values), operation, values))
        if not fitting:
            raise SpecViolationError(f"{self.name}: no operation {method} {path}")
        _, operation, values = min(fitting, key=lambda one: one[0])
        return operation, values

    def validate_request(
        self, method: str, url: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Operation:
        """Judge a request by its method, URL (path and query), decoded body and, when given, headers.

        ``body`` is None for no body. Raises SpecViolationError with everything that is wrong.
        """
        parts = urlsplit(url)
        operation, values = self.find(method, parts.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        wrong = [
            *self._parameters("path", operation, values),
            *self._parameters("query", operation, query),
            *self._body(operation, body),
            *([] if headers is None else self._headers(operation, headers)),
        ]
        _raise(f"{self.name}: {method} {parts.path} ({operation.operation_id})", wrong)
        return operation

    def validate_response(self, method: str, path: str, status: int, body: object, *, strict: bool = False) -> None:
        """Judge an answer by its status and decoded body (None for no body, text for a file).

        Raises SpecViolationError with everything that is wrong.
        """
        operation, _ = self.find(method, urlsplit(path).path)
        responses = operation.description["responses"]
        if status >= 400 and str(status) not in responses:
            wrong = list(_errors(ERROR_ENVELOPE, self.definitions, body, "body"))
        elif str(status) not in responses:
            wrong = [f"status {status} is not declared; {', '.join(responses)} are"]
        else:
            wrong = list(self._content(responses[str(status)], body, strict=strict))
        _raise(f"{self.name}: answer to {method} {path} ({operation.operation_id}) {status}", wrong)

    def example(self, method: str, path: str) -> tuple[int, Any]:
        """Return a success status and an answer with every declared property filled; None where no body is declared."""
        operation, _ = self.find(method, urlsplit(path).path)
        status = min(code for code in operation.description["responses"] if code.startswith("2"))
        schema = operation.description["responses"][status].get("schema")
        return int(status), None if schema is None else self._filled(schema, "", ())

    def _parameters(self, place: str, operation: Operation, given: Mapping[str, str]) -> Iterator[str]:
        declared = operation.declared(place)
        for name, one in declared.items():
            if one.get("required") and not given.get(name):
                yield f"{place} parameter {name!r} is required"
        for name, value in given.items():
            if name not in declared:
                yield f"{place} parameter {name!r} is not declared; {', '.join(declared) or 'none'} are"
            else:
                schema = {key: declared[name][key] for key in ("type", "enum", "format") if key in declared[name]}
                yield from _errors(schema, self.definitions, _typed(value, schema), f"{place} parameter {name}")

    def _body(self, operation: Operation, body: object) -> Iterator[str]:
        declared = next(iter(operation.declared("body").values()), None)
        if declared is None:
            if body is not None:
                yield "a body was sent, none is declared"
        elif body is None:
            if declared.get("required"):
                yield "the body is missing"
        else:
            yield from _errors(_json_schema(declared["schema"], strict=True), self.strict_definitions, body, "body")

    def _headers(self, operation: Operation, headers: Mapping[str, str]) -> Iterator[str]:
        declares_any = any(one["in"] == "header" for each in self.operations() for one in each.parameters)
        sent = {name.lower() for name in headers}
        if declares_any and "projectuid" in sent and "ProjectUid" not in operation.declared("header"):
            yield "ProjectUid was sent to an operation that does not take it"
        if operation.description.get("security") and not {"apikey", "authorization"} & sent:
            yield "neither ApiKey nor Authorization was sent"

    def _content(self, response: Mapping[str, Any], body: object, *, strict: bool) -> Iterator[str]:
        schema = response.get("schema")
        if schema is None:
            if body is not None:
                yield "a body was given, none is declared"
        elif schema.get("type") == "file" or schema.get("format") == "binary":
            if not isinstance(body, str | bytes):
                yield f"a file is declared, the body is {type(body).__name__}"
        else:
            definitions = self.strict_definitions if strict else self.definitions
            yield from _errors(_json_schema(schema, strict=strict), definitions, body, "body")

    def _filled(self, schema: Mapping[str, Any], name: str, inside: tuple[str, ...]) -> Any:  # noqa: ANN401 - any JSON value
        if "$ref" in schema:
            target = schema["$ref"].rsplit("/", 1)[-1]
            known = self.content["definitions"][target]
            return {} if inside.count(target) > 1 else self._filled(known, name, (*inside, target))
        if "properties" in schema:
            return {key: self._filled(value, key, inside) for key, value in schema["properties"].items()}
        if schema.get("type") == "array":
            return [self._filled(schema["items"], name, inside)]
        if isinstance(schema.get("additionalProperties"), dict):
            return {"key": self._filled(schema["additionalProperties"], name, inside)}
        return _filled_plain(schema, name)


def _filled_plain(schema: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON value
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("format") == "date-time":
        return "2026-11-22T10:00:00.000Z"
    fillings: dict[Any, Any] = {"boolean": True, "integer": 1, "number": 1.0, "object": {}}
    if name == "continue":
        return ""  # the one value that would send a client to another page
    return fillings.get(schema.get("type"), f"{name}-text")


def _match(template: str, path: str) -> dict[str, str] | None:
    wanted, given = template.split("/"), path.split("/")
    if len(wanted) != len(given):
        return None
    values = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            values[want.strip("{}")] = unquote(have)
        elif want != have:
            return None
    return values


def _typed(value: str, schema: Mapping[str, Any]) -> object:
    if schema.get("type") == "integer" and value.lstrip("-").isdigit():
        return int(value)
    return {"true": True, "false": False}.get(value, value) if schema.get("type") == "boolean" else value


def _json_schema(schema: Any, *, strict: bool) -> Any:  # noqa: ANN401 - any part of a schema
    """Turn Swagger's schema into draft 4: nulls where ``x-nullable`` allows, no unknown properties when strict."""
    if isinstance(schema, list):
        return [_json_schema(one, strict=strict) for one in schema]
    if not isinstance(schema, dict):
        return schema
    turned = {key: _keyword(key, value, strict=strict) for key, value in schema.items()}
    if strict and "properties" in schema:
        turned.setdefault("additionalProperties", False)
    if schema.get("x-nullable") is True and "type" in schema:
        turned["type"] = [schema["type"], "null"]
        if "enum" in turned:
            turned["enum"] = [*turned["enum"], None]
    return turned


def _keyword(key: str, value: Any, *, strict: bool) -> Any:  # noqa: ANN401 - any part of a schema
    if key == "properties":  # names here are data, one of them may be "properties" itself
        return _definitions(value, strict=strict)
    return value if key in ("enum", "default", "example") else _json_schema(value, strict=strict)


def _definitions(named: Mapping[str, Any], *, strict: bool) -> dict[str, Any]:
    return {name: _json_schema(one, strict=strict) for name, one in named.items()}


_FORMATS = jsonschema.FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value) is not None


def _is_within(limit: int) -> Any:  # noqa: ANN401 - the decorated function
    return lambda value: not isinstance(value, int) or -limit <= value < limit


for _format, _limit in INT_LIMITS.items():
    _FORMATS.checks(_format)(_is_within(_limit))


def _errors(schema: Mapping[str, Any], definitions: Mapping[str, Any], value: object, what: str) -> Iterator[str]:
    validator = Draft4Validator({**schema, "definitions": definitions}, format_checker=_FORMATS)
    for error in validator.iter_errors(value):
        yield f"{what}{error.json_path.removeprefix('$')}: {error.message[:300]}"


def _raise(place: str, wrong: list[str]) -> None:
    if wrong:
        raise SpecViolationError("\n  ".join([place, *wrong]))
