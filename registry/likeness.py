"""What may be said of a value that no change of the catalogue explains: never the value itself."""

from __future__ import annotations

import re
from itertools import takewhile

_CHARACTERS = (
    ("lower case", re.compile(rb"[a-z]")),
    ("upper case", re.compile(rb"[A-Z]")),
    ("digits", re.compile(rb"[0-9]")),
    ("blanks", re.compile(rb"[ \t\r\n]")),
    ("punctuation", re.compile(rb"[!-/:-@\[-`{-~]")),
    ("control characters", re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")),
    ("non-ASCII", re.compile(rb"[\x80-\xff]")),
)


def is_cut(value: bytes, presented: bytes) -> bool:
    """Return whether it is the beginning or the end of the configured value."""
    return 0 < len(presented) < len(value) and (value.startswith(presented) or value.endswith(presented))


def likeness(value: bytes, presented: bytes) -> str:
    """Return how what was presented relates to the value, as far as it can be seen without knowing any software."""
    whole, part = len(value), len(presented)
    lost, added = _left_out(value, presented), _left_out(presented, value)
    differ = sum(one != other for one, other in zip(value, presented, strict=False))
    prefix, suffix = _common(value, presented), _common(value[::-1], presented[::-1])
    seen = (
        (not part, "nothing of it"),
        (prefix == part < whole, f"the first {part} of {whole} bytes"),
        (suffix == part < whole, f"the last {part} of {whole} bytes"),
        (value.lower() == presented.lower(), "the same length, upper and lower case differ"),
        (lost is not None, f"{whole - part} of {whole} bytes lost: {_kinds(lost or b'')}"),
        (added is not None, f"all {whole} bytes and {part - whole} more: {_kinds(added or b'')}"),
        (part == whole, f"the same length, {differ} of {whole} bytes differ"),
        (True, f"{part} bytes for {whole}, the first {prefix} and the last {suffix} as configured"),
    )
    return next(text for holds, text in seen if holds)


def _common(value: bytes, presented: bytes) -> int:
    """Return how many bytes are the same at the beginning."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(value, presented, strict=False)))


def _kinds(value: bytes) -> str:
    return ", ".join(name for name, pattern in _CHARACTERS if pattern.search(value))


def _left_out(long: bytes, short: bytes) -> bytes | None:
    """Return what must be left out of one text to get the other; None where leaving out is not enough."""
    left, at = bytearray(), 0
    for byte in long:
        if at < len(short) and byte == short[at]:
            at += 1
        else:
            left.append(byte)
    return bytes(left) if at == len(short) else None
