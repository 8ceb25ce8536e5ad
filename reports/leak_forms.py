"""In which forms a secret can stand in an artefact.

An artefact is read in several *views*: as it is, with percent-encoding, JSON escapes, XML or HTML escapes undone, and
with all white space taken out (a token wrapped over two lines). In each view every *needle* of a secret is looked for:
its bytes, what base64 makes of them wherever they begin within a group of three, hexadecimal digits, the bytes
reversed, and what each transform of the catalogue makes of them.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from protected import Secret

    Transform = Callable[[bytes], bytes | None]

SHORTEST_SECRET = 4
SHORTEST_NEEDLE = 6


@dataclass(frozen=True)
class Protected:
    """A secret that must not leave, and what to call it (``api key``)."""

    name: str
    secret: Secret


@dataclass(frozen=True)
class Needle:
    """Bytes whose presence gives a secret away."""

    secret: str
    form: str
    value: bytes


def needles(protected: Protected, transforms: Mapping[str, Transform]) -> list[Needle]:
    """List all that would give this secret away; what contains a simpler form is found by that one.

    Raises ValueError for a secret that is too short to be told from ordinary text.
    """
    text = protected.secret.reveal()
    if len(text) < SHORTEST_SECRET:
        raise ValueError(
            f"protected secret '{protected.name}' has {len(text)} characters; "
            f"fewer than {SHORTEST_SECRET} cannot be told from ordinary text"
        )
    found: dict[bytes, str] = {}
    for form, value in _forms(text, transforms):
        if form == "raw" or (len(value) >= SHORTEST_NEEDLE and not any(known in value for known in found)):
            found[value] = form
    return [Needle(protected.name, form, value) for value, form in found.items()]


def _forms(text: str, transforms: Mapping[str, Transform]) -> Iterator[tuple[str, bytes]]:
    raw = text.encode("utf-8", "surrogatepass")
    yield "raw", raw
    yield from (("one line of it", line) for line in _telling_lines(raw))
    yield from (("base64", core) for core in _base64_cores(raw))
    yield "hex", binascii.hexlify(raw)
    yield "hex", binascii.hexlify(raw).upper()
    yield "reversed", text[::-1].encode("utf-8", "surrogatepass")
    yield "UTF-16", text.encode("utf-16-le", "surrogatepass")
    if all(ord(character) < 256 for character in text):  # noqa: PLR2004  the reach of Latin-1
        yield "Latin-1", text.encode("latin-1")
    decoy = secrets.token_urlsafe(len(raw)).encode()[: len(raw)]
    for name, transform in transforms.items():
        if (changed := apply(transform, raw)) != apply(transform, decoy):  # "masked as ******" gives nothing away
            yield f"transform {name}", changed


def apply(transform: Transform, raw: bytes) -> bytes:
    """Return what a transform makes of these bytes; nothing if it does not take them."""
    try:
        return transform(raw) or b""
    except (ValueError, LookupError):  # a decoder that does not take this secret makes nothing of it
        return b""


def _telling_lines(raw: bytes) -> Iterator[bytes]:
    """Yield the lines of a key that are its own: not its banner, nor the head that all keys of a kind share."""
    for line in raw.splitlines()[1:-1]:
        if len(line) >= 32 and not line.startswith(b"b3BlbnNzaC1rZXktdjE"):  # noqa: PLR2004  half a line of a key
            yield line


def _base64_cores(raw: bytes) -> Iterator[bytes]:
    """Yield what base64 makes of these bytes wherever they begin in a group of three, without the uncertain ends."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + raw)
        core = encoded[(0, 2, 3)[shift] : (shift + len(raw)) * 8 // 6]
        yield core
        yield core.replace(b"+", b"-").replace(b"/", b"_")


_JSON_ESCAPE = re.compile(rb'\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|["\\/bfnrt])')
_BYTE_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")
_JSON_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_SURROGATES = re.compile(rb"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)


def _unescape_json(content: bytes) -> bytes:
    return _JSON_ESCAPE.sub(_json_character, _SURROGATES.sub(_json_pair, content))


def _json_pair(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex((match[1] + match[2]).decode()).decode("utf-16-be").encode()


def _json_character(match: re.Match[bytes]) -> bytes:
    escape = match[1]
    if len(escape) == 1:
        return _JSON_SHORT.get(escape, escape)
    return chr(int(escape[1:], 16)).encode("utf-8", "surrogatepass")


def _unescape_markup(content: bytes) -> bytes:
    return html.unescape(content.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogatepass")


def _unescape_percent(content: bytes) -> bytes:
    return unquote_to_bytes(content.replace(b"+", b" "))


def _unwrap(content: bytes) -> bytes:
    return content.translate(None, b" \t\r\n")


def _views(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the content as it is and in every way of reading it that makes a difference."""
    yield "", content
    if b"%" in content:
        yield "percent-encoded", unquote_to_bytes(content)
        yield "form-encoded", _unescape_percent(content)
    unescaped = content
    if b"\\" in content:
        unescaped = _unescape_json(content)
        yield "JSON-escaped", unescaped
        yield from _deeper(content, unescaped)
    if b"&" in unescaped:
        yield "XML- or HTML-escaped", _unescape_markup(content)
        yield "JSON- and HTML-escaped", _unescape_json(_unescape_markup(content))
    yield "wrapped", _unwrap(unescaped)


def _deeper(content: bytes, unescaped: bytes) -> Iterator[tuple[str, bytes]]:
    if b"\\x" in content:
        yield "byte-escaped", _BYTE_ESCAPE.sub(lambda match: bytes.fromhex(match[1].decode()), content)
    if b"\\\\" in content:  # a log line that quotes JSON, itself written as JSON
        yield "JSON-escaped twice", _unescape_json(unescaped)


def find(content: bytes, wanted: Sequence[Needle]) -> Iterator[tuple[Needle, str]]:
    """Yield each needle that stands in the content, and the form in which it stands there."""
    for view, text in _views(content):
        for needle in wanted:
            value = _unwrap(needle.value) if view == "wrapped" else needle.value
            if len(value) >= SHORTEST_SECRET and value in text:
                yield needle, f"{needle.form}, {view}" if view else needle.form
