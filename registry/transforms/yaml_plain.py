"""Reading ``password: VALUE`` as YAML does when nobody quoted the value. Standard library only, as on the hosts.

Follows PyYAML (YAML 1.1), the reader that can be had to check this one against: tests compare the two. What would
raise an error there, or give a mapping or a list, gives :data:`NO_TEXT` here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

NO_TEXT: Final = None

_PRINTABLE = re.compile("[\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
_BREAK = re.compile("[\n\r\x85\u2028\u2029]")
_COMMENT = re.compile(r"[ \t]*(?:(?<=[ \t])#.*)?", re.DOTALL)
_TAGGED = re.compile(r"!(?:!str)?(?:[ ]+(.*))?", re.DOTALL)
_ANCHOR = re.compile(r"&([0-9A-Za-z_-]+)(?:[ ]+(.*))?", re.DOTALL)
_BLOCK = re.compile(r"[|>](?:[+-]?[1-9]?|[1-9][+-])[ ]*(?:(?<=[ ])#.*)?", re.DOTALL)
_SINGLE = re.compile(r"'((?:[^']|'')*)'")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_NEVER_FIRST = set(",[]{}#&*!|>'\"%@`")
_ONLY_BEFORE_TEXT = set("-?:")
_PLAIN_END = re.compile(r":(?=[ \t]|\Z)|(?<=[ ])#|\t")
ESCAPES = {
    "0": "\0",
    "a": "\a",
    "b": "\b",
    "t": "\t",
    "\t": "\t",
    "n": "\n",
    "v": "\v",
    "f": "\f",
    "r": "\r",
    "e": "\x1b",
    " ": " ",
    '"': '"',
    "\\": "\\",
    "/": "/",
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
}
_LAST = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A scalar as it was read; only a plain one can be taken for something else than text."""

    text: str
    plain: bool


def read(value: str) -> Scalar | None:
    """Read an unquoted value of a mapping; None where YAML gives an error or no scalar.

    A value of several lines gives None too: only lines that happen to be indented would be read as one value.
    """
    if not _PRINTABLE.fullmatch(value):
        return NO_TEXT
    body = value.rstrip(" \n\r\x85\u2028\u2029").lstrip(" ")
    if _BREAK.search(body):
        return NO_TEXT
    return _node(body)


def _node(body: str) -> Scalar | None:
    if not body or body.startswith("#"):
        return Scalar("", plain=True)
    if body.startswith("!"):
        return _tagged(body)
    if body.startswith("&"):
        return _anchored(body)
    if body[0] in "'\"":
        return _quoted(body)
    if body[0] in "|>":
        return Scalar("", plain=False) if _BLOCK.fullmatch(body) else NO_TEXT
    return _plain(body)


def _tagged(body: str) -> Scalar | None:
    found = _TAGGED.fullmatch(body)
    rest = found and (found[1] or "").lstrip(" ")
    inner = _content(rest) if rest is not None else NO_TEXT
    return Scalar(inner.text, plain=body == "!") if inner else NO_TEXT


def _anchored(body: str) -> Scalar | None:
    found = _ANCHOR.fullmatch(body)
    rest = found and (found[2] or "").lstrip(" ")
    if rest is None:
        return NO_TEXT
    return _tagged(rest) if rest.startswith("!") else _content(rest)


def _content(body: str) -> Scalar | None:
    """Read what stands after a tag or an anchor: no second one."""
    if body.startswith(("&", "!")):
        return NO_TEXT
    return _node(body)


def _quoted(body: str) -> Scalar | None:
    found = (_SINGLE if body[0] == "'" else _DOUBLE).match(body)
    if not found or not _COMMENT.fullmatch(body, found.end()):
        return NO_TEXT
    if body[0] == "'":
        return Scalar(found[1].replace("''", "'"), plain=False)
    text = unescaped(found[1])
    return NO_TEXT if text is None else Scalar(text, plain=False)


def unescaped(text: str) -> str | None:
    """Process the escapes of a double-quoted scalar; None where one of them is wrong."""
    wrong = False

    def give(found: re.Match[str]) -> str:
        nonlocal wrong
        code = found[1] or found[2] or found[3]
        if code is None:
            wrong = wrong or found[4] not in ESCAPES
            return ESCAPES.get(found[4], "")
        number = int(code, 16)
        wrong = wrong or number > _LAST or number in _SURROGATES
        return "" if wrong else chr(number)

    out = _ESCAPE.sub(give, text)
    return NO_TEXT if wrong else out


def _plain(body: str) -> Scalar | None:
    first = body[0]
    if first == "\t" or first in _NEVER_FIRST:
        return NO_TEXT
    if first in _ONLY_BEFORE_TEXT and (len(body) == 1 or body[1] in " \t"):
        return NO_TEXT
    end = _PLAIN_END.search(body)
    if not end:
        return Scalar(body, plain=True)
    return Scalar(body[: end.start()].rstrip(" "), plain=True) if end[0] == "#" else NO_TEXT
