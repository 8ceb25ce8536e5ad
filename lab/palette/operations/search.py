"""The search filters of dashboard pages (``v1SearchFilterSpec``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lab.palette.errors import invalid

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]


def matches(item: Json, spec: Json) -> bool:
    """Return whether ``item``, a record of searchable properties, fits the filter. Raises ApiError 400."""
    groups = [_group(item, group) for group in spec.get("filterGroups", [])]
    return _joined(groups, spec)


def _group(item: Json, group: Json) -> bool:
    return _joined([_fits(item, one) for one in group.get("filters", [])], group)


def _joined(results: list[bool], spec: Json) -> bool:
    if not results:
        return True
    return any(results) if spec.get("conjunction") == "or" else all(results)


def _fits(item: Json, one: Json) -> bool:
    name = one.get("property", "")
    if name not in item:
        raise invalid("filter.filterGroups.filters.property", f"'{name}' is not one of {', '.join(sorted(item))}")
    condition = one.get("condition", {})
    if "bool" in condition:
        return bool(item[name]) is bool(condition["bool"].get("value", False))  # Go leaves a false out
    if "keyValue" in condition:
        wanted = condition["keyValue"]
        values = [str(value) for key, value in item[name].items() if key == wanted.get("key", key)]
    else:
        wanted = condition.get("string", {})
        values = _texts(item[name])
    found = any(_compare(value, wanted) for value in values)
    return found is not bool(wanted.get("negation"))


def _texts(value: Any) -> list[str]:  # noqa: ANN401 - text, or labels
    if isinstance(value, dict):
        return [f"{key}:{text}" for key, text in value.items()]
    return [str(value)]


def _compare(value: str, wanted: Json) -> bool:
    match = wanted.get("match", {})
    fold: Callable[[str], str] = str.lower if wanted.get("ignoreCase") else str
    tests: dict[str, Callable[[str], bool]] = {
        "eq": lambda text: fold(value) == fold(text),
        "contains": lambda text: fold(text) in fold(value),
        "beginsWith": lambda text: fold(value).startswith(fold(text)),
    }
    test = tests.get(wanted.get("operator", "eq"), tests["eq"])
    results = [test(str(text)) for text in match.get("values", [])]
    if not results:
        return True
    return all(results) if match.get("conjunction") == "and" else any(results)
