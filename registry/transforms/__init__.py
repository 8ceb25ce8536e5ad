"""The ways in which software changes a secret, as data: ``TRANSFORMS`` and ``transform("base64-standard")``.

Needs the standard library only: the seeded faults of the lab use it on its Edge hosts. The order is that of
plausibility, because the first of several equal explanations is the one a report names first.
"""

from __future__ import annotations

from registry.transforms.base import Context, Transform, wire
from registry.transforms.base64_rules import BASE64, replace_invalid
from registry.transforms.charsets import CHARSETS
from registry.transforms.classes import CLASSES, PasswordClass, classes_of
from registry.transforms.edges import EDGES
from registry.transforms.escaping import ESCAPING
from registry.transforms.expansion import EXPANSION
from registry.transforms.substitution import SUBSTITUTION, SWAPPED
from registry.transforms.yaml_typing import YAML

TRANSFORMS: tuple[Transform, ...] = (*BASE64, *EDGES, *SUBSTITUTION, *EXPANSION, *ESCAPING, *YAML, *CHARSETS)

_BY_ID = {known.id: known for known in TRANSFORMS}

# The letters of docs/palette.md §2.3: what Palette may be doing to an alphanumeric password.
VARIANTS = {
    "S": "base64-standard",
    "U": "base64-if-utf8",
    "P": "base64-if-printable",
    "C": "base64-if-canonical",
    "N": "base64-padding-optional",
    "W": "base64-url",
    "I": "base64-alphanumeric-prefix",
    "J": "base64-alphanumeric",
    "H": "base64-alphanumeric-or-fail",
    "L": "base64-lenient",
    "M": "base64-or-fail",
    "E": "base64-encoded",
}


def transform(name: str) -> Transform:
    """Look a transform up by id; ValueError lists near names for one that does not exist."""
    if name in _BY_ID:
        return _BY_ID[name]
    import difflib  # noqa: PLC0415 - only for the message; the hosts start without it

    near = ", ".join(difflib.get_close_matches(name, _BY_ID, n=3)) or f"one of {len(_BY_ID)} ids, see TRANSFORMS"
    raise ValueError(f"unknown transform {name!r}; near it: {near}")


__all__ = [
    "CLASSES",
    "SWAPPED",
    "TRANSFORMS",
    "VARIANTS",
    "Context",
    "PasswordClass",
    "Transform",
    "classes_of",
    "replace_invalid",
    "transform",
    "wire",
]
