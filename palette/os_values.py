"""The user's own OS layer with the guide's changes: every other byte of its YAML stays as it is.

A round-trip YAML library was tried (ruamel.yaml): it keeps comments, and normalises indentation, quotes and line ends.
So text is replaced at the positions that the parser reports, and the result is parsed again and compared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from textwrap import indent
from typing import TYPE_CHECKING

import yaml

from foreign.yaml_text import BadYamlError, compose_documents
from palette.os_layer import IMAGE_MACRO, credentials_block, double_quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from palette.os_layer import OsLayer

CREDENTIALS, OPTIONS, URI = "providerCredentials", "options", "system.uri"
#: The three places that the guide changes, as paths from the root of the OS layer.
CHANGED = ((CREDENTIALS,), (OPTIONS, URI), ("pack", "content", "images"))
MASK = "******"
#: A masked value: the whole of a text, or what follows a key or a user within one. Stars of a banner follow nothing.
_MASKED = re.compile(r"""\A\s*\*{6,}\s*\Z|[:=][ \t]*["']?\*{6,}""")


class UnusableValuesError(ValueError):
    """The user's values cannot take the guide's changes; the message names the line and never quotes a value."""


@dataclass(frozen=True)
class OsValues:
    """The OS layer's values of the user's profile, as they are."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        root = _root(self.text)
        if (found := _entry(root, CREDENTIALS)) is not None:
            raise UnusableValuesError(f"line {_line(found[0])}: {CREDENTIALS} is there already; remove it")
        for path in CHANGED[1:]:
            _refuse_flow_style(self.text, path)
        for key, value in _entries(root):
            if _is_masked(key) or _is_masked(value):
                raise UnusableValuesError(f"line {_line(key)}: a value below {key.value!r} is masked ({MASK})")

    def with_layer(self, layer: OsLayer) -> str:
        """Return the values with the image, the credentials and the images to pull of ``layer``.

        A layer whose text a case writes itself keeps the user's other keys below it.

        Raises:
            UnusableValuesError: a place that is to be changed is written so that it cannot be changed alone.

        """
        if layer.is_verbatim:
            return f"{layer.values().rstrip()}\n{self.other_than_the_guides()}"
        written = self.text
        for edit in (_with_images, _with_uri, _with_credentials):
            written = edit(written, layer)
        try:
            result = _root(written)
        except UnusableValuesError as error:
            raise UnusableValuesError(f"with the guide's changes, {str(error).partition(': ')[2]}") from None
        if _without_changes(result) != _without_changes(_root(self.text)):
            raise UnusableValuesError("the changed values would differ elsewhere, too; write the layer in block style")
        return written

    def other_than_the_guides(self) -> str:
        """Return the text of every root key but those that the guide changes something of, to stand below others."""
        keys = [key for key, _value in _entries(_root(self.text))]
        starts = [_start_of_line(self.text, key.start_mark.index) for key in keys]
        ends = [*starts[1:], len(self.text)][: len(starts)]
        changed = {path[0] for path in CHANGED}
        kept = zip(keys, starts, ends, strict=True)
        return "".join(self.text[start:end] for key, start, end in kept if key.value not in changed)


@lru_cache(maxsize=8)  # each edit asks for several places of one text
def _root(text: str) -> yaml.MappingNode | None:
    """Return the root of the only document, None for one without a key. Raises UnusableValuesError."""
    try:
        documents = compose_documents(text)
    except BadYamlError as error:
        raise UnusableValuesError(f"line {max(error.line, 1)}: not YAML: {error.said}") from None
    if len(documents) > 1:
        raise UnusableValuesError(f"{len(documents)} YAML documents; an OS layer is one")
    root = documents[0] if documents else None
    if isinstance(root, yaml.MappingNode) and not root.flow_style:
        return root
    if root is None or (isinstance(root, yaml.ScalarNode) and not root.value):
        return None
    raise UnusableValuesError(f"line {_line(root)}: the root is no mapping in block style")


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _entries(node: yaml.Node | None) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        yield from node.value


def _entry(node: yaml.Node | None, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    found = [pair for pair in _entries(node) if pair[0].value == key]
    if len(found) > 1:
        raise UnusableValuesError(f"line {_line(found[1][0])}: {key} is there twice")
    return found[0] if found else None


def _refuse_flow_style(text: str, path: tuple[str, ...]) -> None:
    for depth in range(1, len(path) + 1):
        node = _value_at(text, path[:depth])
        if path[:depth] == (OPTIONS, URI):  # a macro without quotes reads as one; it is replaced as a whole
            return
        if isinstance(node, yaml.CollectionNode) and node.flow_style and node.value:
            raise UnusableValuesError(
                f"line {_line(node)}: {'.'.join(path[:depth])} is in flow style; write it in lines"
            )


def _is_masked(node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode):
        return bool(_MASKED.search(str(node.value)))
    children = (child for pair in node.value for child in (pair if isinstance(pair, tuple) else (pair,)))
    return any(map(_is_masked, children))


def _start_of_line(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


# --- the three changes -----------------------------------------------------------------------------------------------


def _with_images(text: str, layer: OsLayer) -> str:
    wanted, images = layer.content_images, _value_at(text, CHANGED[2])
    block = "".join(f"- image: {double_quoted(image)}\n" for image in wanted)
    if not isinstance(images, yaml.SequenceNode) or not images.value:
        return _put(text, CHANGED[2], block) if wanted else text
    if wanted == (IMAGE_MACRO,) and any(_is_image(item, IMAGE_MACRO) for item in images.value):
        return text
    start, column = images.start_mark.index, images.start_mark.column
    if wanted == (IMAGE_MACRO,):  # the user's other images stay
        return text[:start] + _lines(block, column) + text[start:]
    return text[:start] + indent(block, " " * column).strip() + text[_end(text, images) :]


def _is_image(item: yaml.Node, image: str) -> bool:
    entry = _entry(item, "image")
    return entry is not None and entry[1].value == image


def _with_uri(text: str, layer: OsLayer) -> str:
    return _put(text, CHANGED[1], double_quoted(layer.image))


def _with_credentials(text: str, layer: OsLayer) -> str:
    if layer.credentials is None:
        return text
    return _with_block(text, credentials_block(layer.credentials, layer.spelling, layer.password_form))


def _with_block(text: str, block: str) -> str:
    """Write a block before the first key of the root: there, no value above or below can be changed by it."""
    root = _root(text)
    if root is None:
        return text + ("" if not text or text.endswith("\n") else "\n") + block
    first = root.value[0][0].start_mark
    return text[: first.index] + _lines(block, first.column) + text[first.index :]


def _lines(block: str, column: int) -> str:
    """Return a block for a place that is indented already, and that a key of the same column follows."""
    ended = block if block.endswith("\n") else block + "\n"
    return indent(ended, " " * column)[column:] + " " * column


def _value_at(text: str, path: tuple[str, ...]) -> yaml.Node | None:
    node: yaml.Node | None = _root(text)
    for key in path:
        found = _entry(node, key)
        node = found[1] if found else None
    return node


def _put(text: str, path: tuple[str, ...], written: str) -> str:
    """Write a value at a path, making the keys on the way that are not there."""
    depth = len(path)
    while depth and _value_at(text, path[:depth]) is None:
        depth -= 1
    missing = path[depth:]
    if not missing:
        return _replaced(text, path, written)
    for key in reversed(missing[1:]):
        written = _keyed(key, written)
    block = _keyed(missing[0], written)
    if depth == 0:
        return _with_block(text, block)
    parent = _value_at(text, path[:depth])
    if isinstance(parent, yaml.MappingNode) and not parent.flow_style:
        first = parent.value[0][0].start_mark
        return text[: first.index] + _lines(block, first.column) + text[first.index :]
    return _replaced(text, path[:depth], block)


def _keyed(key: str, written: str) -> str:
    return f"{key}:\n{indent(written, '  ')}" if written.endswith("\n") else f"{key}: {written}\n"


def _replaced(text: str, path: tuple[str, ...], written: str) -> str:
    node, parent = _value_at(text, path), _value_at(text, path[:-1]) if path[:-1] else _root(text)
    key = _entry(parent, path[-1])
    assert node is not None
    assert key is not None
    start, end = node.start_mark.index, _end(text, node)
    if written.endswith("\n"):  # a block below its key; what follows the value on its line stays on the key's line
        column = int(key[0].start_mark.column) + 2
        line, _, below = text[end:].partition("\n")
        return f"{text[:start].rstrip(' ')}{line}\n{indent(written, ' ' * column)}{below}"
    blank = "" if text[:start].endswith((" ", "\t")) else " "
    return text[:start] + blank + written + text[end:]


def _end(text: str, node: yaml.Node) -> int:
    """Return where a node's own text ends; the parser counts what follows a block up to the next key."""
    end = int(node.end_mark.index)
    block = getattr(node, "style", None) in ("|", ">") or (
        isinstance(node, yaml.CollectionNode) and not node.flow_style
    )
    return len(text[:end].rstrip()) if block else end


# --- looking at the result -------------------------------------------------------------------------------------------


def _without_changes(root: yaml.Node | None) -> object:
    """Return what the values mean without the three places."""
    return _plain(root, CHANGED) or None


def _plain(node: yaml.Node | None, without: tuple[tuple[str, ...], ...]) -> object:
    if isinstance(node, yaml.MappingNode):
        kept = [
            (_plain(key, ()), _plain(value, tuple(path[1:] for path in without if path[0] == key.value)))
            for key, value in node.value
            if (key.value,) not in without
        ]
        return [pair for pair in kept if pair[1] not in ([], None)]  # a mapping that only held a changed place
    if isinstance(node, yaml.SequenceNode):
        return ("list", [_plain(item, ()) for item in node.value])
    if node is None or (node.tag.endswith(":null") and without):
        return None
    return (node.tag, node.value)
