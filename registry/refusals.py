"""Why an HTTP parser refuses a request, told from its bytes without repeating any of them.

The parser's own message is not used: it quotes the line, which may be the one with the password.
"""

from __future__ import annotations

import re

_REQUEST = re.compile(rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) (?P<target>\S+) HTTP/\d\.\d\r?")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_SINGLE = ("Host", "Content-Length", "Content-Type", "Transfer-Encoding", "User-Agent", "Referer", "Expect")


def refusal(head: bytes, longest: int, most: int) -> str:
    """Return why a parser with these limits (bytes of a line, header fields) refuses what begins with ``head``."""
    first, *fields = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    if not first:
        return "refused by the parser"
    if max(len(line) for line in (first, *fields)) > longest:
        return f"refused by the parser: a line of more than {longest} bytes"
    request = _REQUEST.fullmatch(first)
    if request is None:
        return "not HTTP"
    if len(fields) > most:
        return f"refused by the parser: more than {most} header fields"
    why = _doubled(fields) or _field(fields) or _first_line(request["method"], request["target"])
    return f"refused by the parser{f': {why}' if why else ''}"


def _doubled(fields: list[bytes]) -> str:
    names = [field.partition(b":")[0].strip().lower() for field in fields]
    return next((f"doubled {name}" for name in _SINGLE if names.count(name.lower().encode()) > 1), "")


def _field(fields: list[bytes]) -> str:
    for field in fields:
        name, colon, value = field.partition(b":")
        if field[:1] in (b" ", b"\t"):
            return "a header field that goes on in a second line"
        if not colon or _TOKEN.fullmatch(name) is None:
            return "a header field without a proper name"
        if _CONTROL.search(value):
            return "a control character in a header field"
    return ""


def _first_line(method: bytes, target: bytes) -> str:
    if not target.isascii():
        return "a byte beyond ASCII in the path"
    return "" if method.isupper() else "a method in lower case"
