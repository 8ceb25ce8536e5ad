"""Text that arrived from anywhere, made visible.

Passwords are generated to be hostile: control characters, lone surrogates, characters that turn the line around.
A report must show them, survive them, and not be steered by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from foreign import one_line, visible
from reports.records import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["duration", "one_line", "plural", "some", "visible", "when"]


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
