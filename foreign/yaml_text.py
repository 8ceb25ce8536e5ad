"""The one reader of YAML files: what says a thing twice, is too deep or too large, is refused with its line.

Values come as YAML's core types have them, or with ``only_text`` as the text that was written. A message never has a
value in it, for that may be a secret: of a line it shows what stands before the first colon.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml
from yaml.reader import ReaderError

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1 << 20
DEEPEST = 30
MOST_NODES = 100_000
#: What PyYAML says, and what it means; the first that fits.
_MEANINGS = (
    ("cannot start any token", "a tab, or a character that no value begins with; indent with blanks, quote the value"),
    ("mapping values are not allowed", "a second ':' in one line, or a wrong indentation; put quotes around the value"),
    ("could not find expected ':'", "a line without ':'; write KEY: VALUE"),
    ("expected <block end>", "the indentation does not fit"),
    ("unexpected end of stream", "a quote or bracket that is not closed"),
    ("expected ',' or", "a bracket that is not closed, or a ',' is missing"),
    ("found '<stream end>'", "a quote or bracket that is not closed"),
    ("another document", "a second document begins; write one only"),
    ("could not determine a constructor", "a tag ('!…') that means nothing here; take it away"),
)


class BadYamlError(ValueError):
    """A text is no YAML that is accepted here. ``line`` counts from 1; 0 where the text as a whole is meant."""

    def __init__(self, line: int, said: str) -> None:
        self.line = line
        self.said = said
        super().__init__(f"line {line}: {said}" if line else said)


@dataclass(frozen=True)
class Written:
    """A document, and the line on which each key and item stands: ``edge_hosts[1].ssh`` is 14."""

    value: Any
    lines: dict[str, int]

    def line_of(self, place: str) -> int:
        """Return the line of a place, or of the nearest one around it; 0 where there is none."""
        while place and place not in self.lines:
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return self.lines.get(place, 0)


def read_yaml(text: str | bytes, *, only_text: bool = False) -> Written:
    """Read one document. Raises BadYamlError."""
    plain = _decoded(text) if isinstance(text, bytes) else text
    with _refusing(plain):
        loader = (_TextLoader if only_text else _Loader)(plain)
        root = loader.get_single_node()
        if root is None:
            return Written(None, {})
        _bound(root)
        lines = dict(_walked(root))
        return Written(loader.construct_document(root), lines)


def compose_documents(text: str) -> list[yaml.Node]:
    """Return the nodes of every document, whatever they say twice or take from elsewhere. Raises BadYamlError."""
    with _refusing(text):
        documents = list(yaml.compose_all(text, _Loader))
        for document in documents:
            _bound(document)
        return documents


@contextmanager
def _refusing(text: str) -> Iterator[None]:
    """Raise BadYamlError for a text that is too large, and for whatever the parser raises."""
    if len(text) > LARGEST:
        raise BadYamlError(0, f"larger than {LARGEST >> 10} KiB")
    try:
        yield
    except yaml.MarkedYAMLError as error:
        raise _explained(text, error) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise BadYamlError(line, "a character that no text has, such as a control character; take it out") from None


def _decoded(text: bytes) -> str:
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise BadYamlError(line, "bytes that are no UTF-8; save the file as UTF-8") from None


class _Bounded:
    """Counts depth while nodes are composed, before anything is made of them."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - PyYAML's signature
        """Compose a node, unless it lies too deep."""
        self._depth += 1
        try:
            if self._depth > DEEPEST:
                mark = self.peek_event().start_mark  # type: ignore[attr-defined] # of the loader
                raise BadYamlError(mark.line + 1, f"nested deeper than {DEEPEST} levels")
            return super().compose_node(parent, index)  # type: ignore[misc] # of the loader
        finally:
            self._depth -= 1

    def construct_object(self, node: Any, deep: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - PyYAML's signature
        """Make a value of a node, and name the line of one that cannot be made: a date that no calendar has."""
        try:
            return super().construct_object(node, deep=deep)  # type: ignore[misc] # of the loader
        except (ValueError, OverflowError) as error:
            if isinstance(error, BadYamlError):
                raise
            raise BadYamlError(node.start_mark.line + 1, f"no value: {error}; put quotes around a text") from None


class _Loader(_Bounded, yaml.SafeLoader):
    """YAML's core types."""


class _TextLoader(_Bounded, yaml.BaseLoader):
    """Text, as it was written."""


def _bound(root: yaml.Node) -> None:
    """Raise BadYamlError for a document that aliases make endless or too large."""
    pending: list[tuple[yaml.Node, tuple[int, ...]]] = [(root, ())]
    seen = 0
    while pending:
        node, around = pending.pop()
        seen += 1
        if id(node) in around or seen > MOST_NODES:
            raise BadYamlError(node.start_mark.line + 1, "aliases that make it too large")
        if isinstance(node, yaml.CollectionNode):
            inside = (*around, id(node))
            parts = (part for each in node.value for part in (each if isinstance(each, tuple) else (each,)))
            pending += [(part, inside) for part in parts]


def _walked(root: yaml.Node) -> Iterator[tuple[str, int]]:
    """Yield places and lines, once for each use of a node. Raises BadYamlError for what is said twice."""
    pending: list[tuple[str, yaml.Node]] = [("", root)]
    while pending:
        place, node = pending.pop()
        if isinstance(node, yaml.MappingNode):
            for key, value, line in _pairs(node):
                at = f"{place}.{key}" if place else key
                yield at, line
                pending.append((at, value))
        elif isinstance(node, yaml.SequenceNode):
            for number, item in enumerate(node.value):
                yield f"{place}[{number}]", item.start_mark.line + 1
                pending.append((f"{place}[{number}]", item))


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[str, yaml.Node, int]]:
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BadYamlError(line, "a key that is no word; write KEY: VALUE")
        if key.tag == "tag:yaml.org,2002:merge" or key.value == "<<":
            raise BadYamlError(line, "'<<' takes keys from elsewhere; write them here")
        if key.value in first:
            raise BadYamlError(line, f"{key.value!a} stands here again; it is on line {first[key.value]} already")
        first[key.value] = line
        yield key.value, value, line


def _explained(text: str, error: yaml.MarkedYAMLError) -> BadYamlError:
    mark = error.problem_mark or error.context_mark
    problem = error.problem or error.context or "it is no YAML"
    meaning = next((plain for said, plain in _MEANINGS if said in problem), problem)
    if mark is None:
        return BadYamlError(0, meaning)
    shown = _shown(text.splitlines(), mark.line)
    return BadYamlError(mark.line + 1, f"{meaning}{shown} (column {mark.column + 1})")


def _shown(lines: list[str], number: int) -> str:
    """Return the beginning of a line, and how far it and its neighbours are indented."""
    if number >= len(lines) or ":" not in lines[number]:
        return ""
    beginning = lines[number].partition(":")[0].strip()
    around = (*reversed(lines[:number]), *lines[number + 1 :])
    near = next((_indent(line) for line in around if line.strip() and not line.lstrip().startswith("#")), 0)
    own = _indent(lines[number])
    how = f" is indented by {own}, its neighbour by {near}" if own != near else ""
    return f": '{beginning[:60]}: …'{how}"


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
