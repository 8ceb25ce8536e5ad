"""Versions of packs and profiles, compared as versions: 1.33.10 after 1.33.9, 1.33.5-k3s2 after 1.33.5-k3s1.

``packaging`` knows Python's versions only: it refuses ``1.33.5-k3s1`` and compares ``+k3s10`` with ``+k3s9`` as text.
"""

from __future__ import annotations

import re

_VERSION = re.compile(r"v?(?P<release>\d+(?:\.\d+)*)(?:[-+._]?(?P<rest>.*))?", re.IGNORECASE)
_PARTS = re.compile(r"\d+|[a-z]+")
_EARLY = re.compile(r"alpha|beta|rc|pre|dev")
_DIGITS = 18  # of a number in a version; Python refuses to read thousands of them

Key = tuple[tuple[int, ...], bool, tuple[tuple[int, str], ...]]


def version_key(text: str) -> Key:
    """Return what versions are sorted by; a text that is none comes before all."""
    return release_of(text), not _EARLY.match(revision_of(text)), _parts(revision_of(text))


def release_of(text: str) -> tuple[int, ...]:
    """Return the numbers at the front of a version: ``v1.33.5+k3s1`` is release (1, 33, 5)."""
    found = _VERSION.fullmatch(text)
    return tuple(int(number[:_DIGITS]) for number in found["release"].split(".")) if found else ()


def revision_of(text: str) -> str:
    """Return what follows these numbers: ``k3s1`` of ``v1.33.5+k3s1``, also of ``1.33.5-k3s1``; "" for nothing."""
    found = _VERSION.fullmatch(text)
    return str(found["rest"] or "").lower() if found else ""


def _parts(revision: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part[:_DIGITS]), "") if part.isdecimal() else (-1, part) for part in _PARTS.findall(revision))
