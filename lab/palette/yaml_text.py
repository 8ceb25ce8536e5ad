"""Reading YAML text by its nodes, so that a scalar keeps the text its author wrote and its place in the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 100
"""Levels of nesting that are read at most: the C loader's recursion ends the process at some tens of thousands."""

_NULL = "tag:yaml.org,2002:null"
_OPENING = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSING = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


class YamlError(ValueError):
    """The text is not YAML, or nested deeper than any pack's values are."""


def compose(text: str) -> yaml.Node | None:
    """Return the root node of ``text``, None for an empty document. Raises YamlError."""
    try:
        _check_depth(text)
        node: yaml.Node | None = yaml.compose(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise YamlError(_problem(error)) from error
    return node


def pairs(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Every key with its value, in the order of the text; nothing where ``node`` is no mapping."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield (key.value if isinstance(key, yaml.ScalarNode) else ""), value


def child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """Return the value of ``key``; of a key that is there twice, the last. Raises nothing; None where there is none."""
    found = None
    for name, value in pairs(node):
        if name == key:
            found = value
    return found


def at_path(node: yaml.Node | None, path: str) -> yaml.Node | None:
    """Return the node at a dotted ``path`` where keys may themselves hold dots (``options.system.uri``)."""
    for name, value in pairs(node):
        if path == name:
            return value
        if name and path.startswith(name + "."):
            found = at_path(value, path[len(name) + 1 :])
            if found is not None:
                return found
    return None


def scalar(node: yaml.Node | None) -> str:
    """Return the text of a scalar as its author wrote it (``0123`` stays ``0123``); an empty text for null and absent.

    This is how a Go program reads YAML into a string field.
    """
    if not isinstance(node, yaml.ScalarNode) or (node.tag == _NULL and not node.style):
        return ""
    return str(node.value)


def is_true(node: yaml.Node | None) -> bool:
    """Return whether the node says true."""
    return scalar(node).lower() in {"true", "yes", "on"}


def _check_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        if depth > _DEEPEST:
            raise YamlError(f"nested deeper than {_DEEPEST} levels")


def _problem(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error) or type(error).__name__
    return f"line {mark.line + 1}: {problem}" if mark is not None else str(problem)
