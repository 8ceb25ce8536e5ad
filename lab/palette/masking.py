"""Masking: the clear password of ``providerCredentials`` comes back in no answer.

The guide says that the field "will be masked when you provide it"; whether the API masks, and how, is not documented
(docs/palette.md §8.5). The lab's choice: every answer shows ``******`` in its place, the stored clear value is what
hosts are given, a password that is only a reference (``{{.spectro.macro.x}}``) stays readable, and a client that sends
the mask back is refused instead of having it stored.
``Strictness.masks`` has the other two behaviours. A macro's value is shown to whoever may list macros, except in
strict mode.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import yaml

from lab.palette import yaml_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MASK = "******"

_CREDENTIALS = "providerCredentials"
_ONLY_A_REFERENCE = re.compile(r"\{\{[^{}]*\}\}")
_PROPERTIES = re.compile(r"(?:[&!]\S*\s+)*")
#: What ends a line in YAML.
_LINE_ENDS = ("\n", "\r", "\x85", "\u2028", "\u2029")
_PASSWORD_LINE = re.compile(r"(?m)^(?P<indent>[ \t-]*)(?P<key>[\"']?password[\"']?[ \t]*:[ \t]*)(?P<value>\S.*)$")
_FLOW_PASSWORD = re.compile(r"([{,][ \t]*[\"']?password[\"']?[ \t]*:[ \t]*)([^,}\n]+)")
_MASK_LINE = re.compile(r"(?m)password[\"']?[ \t]*:[ \t]*[\"']?\*{6}[\"']?[ \t]*(?:#.*)?$")
_LONG_ENOUGH = 8
"""A secret of fewer characters is too likely to be part of an innocent word to be masked wherever it occurs."""


def mask_values(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask every ``providerCredentials.password`` in YAML values, at whatever level, and what else equals a secret."""
    return _mask_wherever(_mask_structure(text), secrets)


def _mask_wherever(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        if len(secret) >= _LONG_ENOUGH:
            text = text.replace(secret, MASK)
    return text


def mask_text(text: str, secrets: Iterable[str]) -> str:
    """Mask secrets in free text; a short one where it stands behind the word *password* or is all there is."""
    for secret in filter(None, secrets):
        if text == secret:
            return MASK
        if len(secret) >= _LONG_ENOUGH:
            text = text.replace(secret, MASK)
        elif secret in text:  # a lab of a night has a thousand secrets and ten thousand messages
            text = re.sub(rf"(?i)(password\W{{0,4}}){re.escape(secret)}", rf"\g<1>{MASK}", text)
    return text


def holds_mask(text: str) -> bool:
    """Return whether values hold the mask where a password belongs."""
    if MASK not in text:
        return False
    try:
        root = yaml_text.compose(text)
    except yaml_text.YamlError:
        return _MASK_LINE.search(text) is not None
    return any(node.value == MASK for node in _password_nodes(root))


def unmasked(text: str, before: str) -> str:
    """Return values with each mask replaced by the password that ``before`` has in its place.

    They come back as they are where it is not clear which password a mask stands for.
    """
    if _mask_structure(before) == text:
        return before
    try:
        masks = [node for node in _password_nodes(yaml_text.compose(text)) if node.value == MASK]
        hidden = [node.value for node in _password_nodes(yaml_text.compose(before)) if _is_secret(node)]
    except yaml_text.YamlError:
        return text
    if len(masks) != len(hidden):
        return text
    for node, value in reversed(list(zip(masks, hidden, strict=True))):
        start, end = _span(text, node)
        text = text[:start] + json.dumps(value) + text[end:]
    return text


def mask_answer(answer: Any, secrets: frozenset[str], *, more: bool = False) -> Any:  # noqa: ANN401 - any JSON
    """Return ``answer`` with its secrets masked; ``more`` masks certificates and macro values too."""
    if isinstance(answer, list):
        return [mask_answer(item, secrets, more=more) for item in answer]
    if not isinstance(answer, dict):
        return answer
    masked = {key: _mask_field(key, value, secrets, more=more) for key, value in answer.items()}
    if masked.get("isSensitive"):
        masked.update({key: MASK for key in ("value", "defaultValue") if masked.get(key)})
    return masked


def _mask_field(key: str, value: Any, secrets: frozenset[str], *, more: bool) -> Any:  # noqa: ANN401 - any JSON
    if key in {"values", "content"} and isinstance(value, str):
        return _mask_certificates(mask_values(value, secrets)) if more else mask_values(value, secrets)
    if key == "message" and isinstance(value, str):
        return mask_text(value, secrets)
    if key == "resolved" and isinstance(value, dict):
        return {name: mask_text(mask_values(str(text), secrets), secrets) for name, text in value.items()}
    if key == "macros" and more and isinstance(value, list):
        return [{**macro, "value": MASK} for macro in value]
    return mask_answer(value, secrets, more=more)


def _mask_certificates(text: str) -> str:
    return re.sub(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", MASK, text, flags=re.DOTALL)


@lru_cache(maxsize=512)
def _mask_structure(text: str) -> str:
    if "password" not in text:
        return text
    try:
        root = yaml_text.compose(text)
    except yaml_text.YamlError:
        return _mask_lines(text)
    secret = [node for node in _password_nodes(root) if _is_secret(node)]
    for start, end in sorted({_span(text, node) for node in secret}, reverse=True):
        text = _replace(text, start, end)
    return _mask_wherever(text, [node.value for node in secret])  # a comment may repeat it


def _is_secret(node: yaml.ScalarNode) -> bool:
    return bool(node.value) and not _ONLY_A_REFERENCE.fullmatch(node.value.strip())


def _span(text: str, node: yaml.ScalarNode) -> tuple[int, int]:
    """Where the scalar stands, without its anchor and tag: an alias elsewhere must stay valid."""
    start, end = node.start_mark.index, node.end_mark.index
    properties = _PROPERTIES.match(text, start, end)
    return (properties.end() if properties else start), end


def _replace(text: str, start: int, end: int) -> str:
    newline = "\n" if text[start:end].endswith(_LINE_ENDS) else ""
    return f'{text[:start]}"{MASK}"{newline}{text[end:]}'


def _mask_lines(text: str) -> str:
    """Mask text that is not YAML (an unquoted reference, the guide's own snippet) line by line."""
    lines = text.split("\n")
    kept: list[str] = []
    deeper_than: int | None = None
    for line in lines:
        indent = len(line) - len(line.lstrip(" "))
        if deeper_than is not None and (indent > deeper_than or not line.strip()):
            continue
        match = _PASSWORD_LINE.match(line)
        secret = match is not None and not _ONLY_A_REFERENCE.fullmatch(match["value"].strip())
        deeper_than = len(match["indent"]) if match and secret else None
        kept.append(_PASSWORD_LINE.sub(_masked_line, line) if secret else _FLOW_PASSWORD.sub(rf"\1{MASK}", line))
    return "\n".join(kept)


def _masked_line(match: re.Match[str]) -> str:
    return f'{match["indent"]}{match["key"]}"{MASK}"'


def _password_nodes(root: yaml.Node | None) -> Iterator[yaml.ScalarNode]:
    for node in _credential_mappings(root, set()):
        for key, value in yaml_text.pairs(node):
            if key == "password" and isinstance(value, yaml.ScalarNode):
                yield value


def _credential_mappings(
    node: yaml.Node | None, seen: set[tuple[int, bool]], *, inside: bool = False
) -> Iterator[yaml.Node]:
    """Every mapping under a key named ``providerCredentials``, at any level, through sequences and merge keys."""
    if node is None or (id(node), inside) in seen:
        return
    seen.add((id(node), inside))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _credential_mappings(item, seen, inside=inside)
    elif isinstance(node, yaml.MappingNode):
        if inside:
            yield node
        for key, value in yaml_text.pairs(node):
            yield from _credential_mappings(value, seen, inside=key == _CREDENTIALS or (inside and key == "<<"))
