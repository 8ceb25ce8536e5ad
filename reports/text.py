"""Text that arrived from anywhere, made visible.

Passwords are generated to be hostile: control characters, lone surrogates, characters that turn the line around.
A report must show them, survive them, and not be steered by them.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

from reports.records import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

# Control, format (invisible, or turns the line around), surrogate, private use, unassigned, line and paragraph
# separator: none of them has a shape of its own.
_SHAPELESS = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_PLAIN = re.compile(r"[\n\x20-\x7e]*\Z")
# What build servers obey in a log: "::error::" at the beginning of a line (GitHub), "##[error]", "##vso[…]" (Azure),
# "##teamcity[…]".
_COMMAND = re.compile(r"^(\s*)::(?=[A-Za-z][\w-]*[^\n]*::)|##(?=\w*\[)", re.MULTILINE)


def visible(text: str) -> str:
    r"""Return the text with every character that has no shape as its escape (``\x1b``, ``\u202e``, ``\ud800``).

    Line feeds stay: reports are made of lines. What a build server would take for a command of the job is broken by an
    escape, too (``\x3a:error::``). The result can be written into XML, HTML, a terminal and a log.
    """
    text = _COMMAND.sub(_broken, text)
    if _PLAIN.match(text):
        return text
    return "".join(_escape(character) for character in text)


def one_line(text: str) -> str:
    r"""Return the text as :func:`visible` does, on one line: line feeds too become ``\n``."""
    return visible(text).replace("\n", "\\n")


def _broken(command: re.Match[str]) -> str:
    return "#\\x23" if command[0] == "##" else f"{command[1]}\\x3a:"


def _escape(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _SHAPELESS:
        return character
    return character.encode("unicode_escape").decode("ascii")


def plural(number: int, noun: str) -> str:
    """Return ``1 case``, ``2 cases``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def some(names: Sequence[str], most: int = 4) -> str:
    """Return ``A, B, C, D and 7 more``."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def when(time: str) -> str:
    """Return a time of the journal as a person reads it: ``22 November 2026, 06:35 UTC``."""
    parsed = moment(time)
    return f"{parsed:%d %B %Y, %H:%M} UTC".lstrip("0") if parsed else time


def duration(seconds: float) -> str:
    """Return a duration as a person says it: ``0.42 s``, ``12.3 s``, ``2 min 05 s``, ``1 h 02 min``."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:  # noqa: PLR2004  a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004  an hour
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
