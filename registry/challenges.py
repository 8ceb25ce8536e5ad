"""How a server asks for a login: ``WWW-Authenticate`` by RFC 9110 §11.6.1, with all its challenges.

Libraries: werkzeug and oras read one challenge of a header, www-authenticate has had no release since 2015.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_LONGEST = 16 * 1024
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_BETWEEN = re.compile(r"[ \t,]*")
# a value without quotes may hold what no token may: `realm=https://…` is common
_PARAMETER = re.compile(rf'({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))(?=[ \t]*(?:,|$))')
_SCHEME = re.compile(rf"({_WORD})(?:[ \t]+|(?=,|$))")
_TOKEN68 = re.compile(r"[0-9A-Za-z._~+/-]+=*[ \t]*(?=,|$)")
_TO_COMMA = re.compile(r"[^,]*")


@dataclass(frozen=True)
class Challenge:
    """A way to log in that is offered: its scheme in lower case, and parameters by names in lower case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def challenges(header: str) -> list[Challenge]:
    """Return the challenges of a header; several headers are joined by commas. What cannot be read is passed over."""
    header = header[:_LONGEST]
    found: list[tuple[str, dict[str, str]]] = []
    place = 0
    while (place := _after(_BETWEEN, header, place)) < len(header):
        if found and (parameter := _PARAMETER.match(header, place)):
            name, quoted, plain = parameter.groups()
            found[-1][1].setdefault(name.lower(), plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
            place = parameter.end()
        elif scheme := _SCHEME.match(header, place):
            found.append((scheme[1].lower(), {}))
            place = scheme.end()
            if not _PARAMETER.match(header, place):
                place = _after(_TOKEN68, header, place)
        else:
            place = max(place + 1, _after(_TO_COMMA, header, place))
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _after(pattern: re.Pattern[str], text: str, place: int) -> int:
    found = pattern.match(text, place)
    return found.end() if found else place
