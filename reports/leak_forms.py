"""In which forms a secret can stand in an artefact.

An artefact is read in several *views*: as it is, with percent-encoding, JSON escapes, XML or HTML escapes undone, with
all white space taken out (a token wrapped over two lines), and with what base64 or hexadecimal digits in it hold. In
each view every *needle* of a secret is looked for: bytes that prove that the secret was there.

A change of the catalogue that keeps nine of ten characters of the secret is such a proof. One that loses more (the
first eight characters) is a *hint*: it may be an ordinary word. One that keeps too few (``********``) is nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import html
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from reports.artefacts import DEPTH, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from protected import Secret

    Transform = Callable[[bytes], bytes | None]

SHORTEST_SECRET = 4
SHORTEST_NEEDLE = 6
SHORTEST_HINT = 12  # characters of the secret that a hint keeps
_PROBED = 48  # characters of a long secret that are tried, evenly spread


@dataclass(frozen=True)
class Protected:
    """A secret that must not leave, and what to call it (``api key``)."""

    name: str
    secret: Secret


@dataclass(frozen=True)
class Needle:
    """Bytes whose presence gives a secret away; a *hint* only may."""

    secret: str
    form: str
    value: bytes
    hint: bool = False


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
    found: dict[bytes, Needle] = {}
    for form, value, hint in (*((form, value, False) for form, value in _forms(text)), *_changed(text, transforms)):
        if form == "raw" or (len(value) >= SHORTEST_NEEDLE and not any(known in value for known in found)):
            found[value] = Needle(protected.name, form, value, hint)
    return list(found.values())


def _forms(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode("utf-8", "surrogatepass")
    yield "raw", raw
    yield from (("one line of it", line) for line in _telling_lines(raw))
    yield from (("base64", core) for core in _base64_cores(raw))
    yield from (("base32", core) for core in _base32_cores(raw))
    yield "hex", binascii.hexlify(raw)
    yield "hex", binascii.hexlify(raw).upper()
    yield "reversed", text[::-1].encode("utf-8", "surrogatepass")
    yield "UTF-16", text.encode("utf-16-le", "surrogatepass")
    yield "UTF-16", text.encode("utf-16-be", "surrogatepass")
    yield "htpasswd {SHA}", base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest())
    if all(ord(character) < 256 for character in text):  # noqa: PLR2004  the reach of Latin-1
        yield "Latin-1", text.encode("latin-1")


def _changed(text: str, transforms: Mapping[str, Transform]) -> Iterator[tuple[str, bytes, bool]]:
    """Yield what each transform makes of a secret, proofs first, and whether that is only a hint."""
    raw = text.encode("utf-8", "surrogatepass")
    step = max(1, len(text) // _PROBED)
    probes = [_altered(text, place).encode("utf-8", "surrogatepass") for place in range(0, len(text), step)]
    hints = []
    for name, transform in transforms.items():
        value = apply(transform, raw)
        kept = sum(apply(transform, probe) != value for probe in probes) if value else 0
        if kept * 10 >= len(probes) * 9:
            yield f"transform {name}", value, False
        elif kept * step >= SHORTEST_HINT:
            hints.append((f"transform {name}", value, True))
    yield from hints


def _altered(text: str, place: int) -> str:
    """Return the text with another character of the same kind at one place: its shape stays."""
    character = text[place]
    if character.isascii() and character.isalnum():
        alphabet = "0123456789" if character.isdigit() else "abcdefghijklmnopqrstuvwxyz"
        other = alphabet[(alphabet.index(character.lower()) + 1) % len(alphabet)]
        other = other.upper() if character.isupper() else other
    else:
        other = chr(ord(character) ^ 1)
    return text[:place] + other + text[place + 1 :]


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


def _base32_cores(raw: bytes) -> Iterator[bytes]:
    """Yield what base32 makes of these bytes wherever they begin in a group of five, without the uncertain ends."""
    for shift in range(5):
        yield base64.b32encode(b"\0" * shift + raw)[-(-shift * 8 // 5) : (shift + len(raw)) * 8 // 5]


_JSON_ESCAPE = re.compile(rb'\\(u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|["\\/bfnrt])')
_BYTE_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(['\"\\]))")
_JSON_SHORT = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_SURROGATES = re.compile(rb"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}(?:\r?\n[ \t]*[A-Za-z0-9+/_-]{2,})*")
_HEX = re.compile(rb"(?<![0-9a-fA-F])(?:[0-9a-fA-F]{2}[: ]){7,}[0-9a-fA-F]{2}")


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
        yield "byte-escaped", _BYTE_ESCAPE.sub(lambda match: match[2] or bytes.fromhex(match[1].decode()), content)
    if b"\\\\" in content:  # a log line that quotes JSON, itself written as JSON
        yield "JSON-escaped twice", _unescape_json(unescaped)


def find(content: bytes, wanted: Sequence[Needle], depth: int = DEPTH) -> Iterator[tuple[Needle, str]]:
    """Yield each needle that stands in the content, and the form in which it stands there.

    What base64 or hexadecimal digits hold is searched in the same way, ``depth`` times one in another.
    """
    plain = [needle for needle in wanted if not needle.form.startswith("transform ")]
    for view, text in _views(content):
        for needle in wanted if view in _PLAIN_VIEWS else plain:
            value = _unwrap(needle.value) if view == "wrapped" else needle.value
            if len(value) >= SHORTEST_SECRET and value in text:
                yield needle, f"{needle.form}, {view}" if view else needle.form
    for encoding, text in _decoded(content) if depth else ():
        for needle, form in find(text, wanted, depth - 1):
            yield needle, f"{form}, in {encoding}"


# What a transform made is looked for as it is: the catalogue is long, and views of it would take most of the time.
_PLAIN_VIEWS = {"", "JSON-escaped"}


def _decoded(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what the digits in the content hold: a Kubernetes Secret, ``.dockerconfigjson``, a dump of memory."""
    for encoding, pattern, decode in (("base64", _BASE64, _from_base64), ("hex", _HEX, _from_hex)):
        held = [text for run in set(pattern.findall(content)) if _may_hold(run) for text in decode(_unwrap(run))]
        if held:
            yield encoding, b"\n".join([*held, *(member for text in held for member in unpacked(text, 1))])


def _may_hold(run: bytes) -> bool:
    """Whether this may be more than a word, a path or a digest: base64 has capitals."""
    return b":" in run or b" " in run or not (run.islower() or run.isdigit())


def _from_base64(run: bytes) -> Iterator[bytes]:
    """Yield what the digits mean wherever in the run they begin: words may stand before them."""
    run = run.replace(b"-", b"+").replace(b"_", b"/")
    for shift in range(4):
        digits = run[shift:-1] if (len(run) - shift) % 4 == 1 else run[shift:]
        yield base64.b64decode(digits + b"=" * (-len(digits) % 4))


def _from_hex(run: bytes) -> Iterator[bytes]:
    digits = run.replace(b":", b"")
    yield bytes.fromhex(digits[: len(digits) // 2 * 2].decode())
