"""Published operations that the lab does not serve: they are answered with 501, so that nobody takes them for empty.

``unserved.txt`` is a tree of paths, one first segment a line: ``segment:methods(children…)``, ``*`` for a variable. Its
test writes it anew from the published description. ``GET /v1/projects`` is not in it: Palette 4.10 has it no more.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

LETTERS = {"g": "GET", "c": "POST", "u": "PUT", "p": "PATCH", "d": "DELETE"}
TABLE = Path(__file__).with_name("unserved.txt")
_TOKEN = re.compile(r"[^\s():]+|:[gcupd]+|[()]")


@cache
def operations() -> frozenset[tuple[str, str]]:
    """Return method and path of each operation, with ``*`` for what varies."""
    return frozenset(found for line in TABLE.read_text("ascii").splitlines() for found in _read(line))


def _read(line: str) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    above, path = ["/v1"], "/v1"
    for token in _TOKEN.findall(line):
        if token == "(":  # noqa: S105 - a bracket, no password
            above.append(path)
        elif token == ")":  # noqa: S105 - as above
            above.pop()
        elif token[0] == ":":
            found |= {(LETTERS[letter], path) for letter in token[1:]}
        else:
            path = f"{above[-1]}/{token}"
    return found


def is_unserved(method: str, path: str) -> bool:
    """Return whether a request is for such an operation."""
    return any(verb == method and pattern.fullmatch(path.rstrip("/")) for verb, pattern in _patterns())


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (method, re.compile("/".join("[^/]+" if part == "*" else re.escape(part) for part in path.split("/"))))
        for method, path in sorted(operations())
    )
