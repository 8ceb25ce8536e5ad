"""Character sets, Unicode normal forms and letter case."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal

from registry.transforms.base import Transform, on_text, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

_NON_ASCII = re.compile("[^\x00-\x7f]")
_SPECIAL = re.compile("[^A-Za-z0-9]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")
_CODE_PAGE_1252 = [
    bytes([code]).decode("cp1252") if code not in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else chr(code) for code in range(256)
]


def _encoded(charset: str, errors: str = "strict") -> Callable[[str], str | None]:
    def apply(text: str) -> str | None:
        try:
            return text_of(text.encode(charset, errors))
        except UnicodeEncodeError:
            return None

    return apply


def _mistaken_for_latin_1(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _mistaken_for_1252(text: str) -> str:
    return "".join(_CODE_PAGE_1252[code] for code in text.encode("utf-8", "surrogateescape"))


def _normal(form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> Callable[[str], str]:
    def apply(text: str) -> str:
        return text if text.isascii() else unicodedata.normalize(form, text)

    return apply


def _visible(text: str) -> str:
    return text if text.isascii() else "".join(char for char in text if unicodedata.category(char) != "Cf")


def _without_marks(text: str) -> str:
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _charset(
    name: str, said: str, title: str, rule: Callable[[str], str | None], source: str, *changes: str
) -> Transform:
    return Transform(name, said, title, on_text(rule), source, changes)


CHARSETS = (
    _charset(
        "latin-1",
        "sent as Latin-1",
        "sent as Latin-1, an error where that cannot be",
        _encoded("latin-1"),
        "requests' basic authentication: requests#4564, #3662",
        "non-ascii",
    ),
    _charset(
        "latin-1-replaced",
        "sent as Latin-1",
        "sent as Latin-1 with ? for what is not in it",
        _encoded("latin-1", "replace"),
        "Java's getBytes(ISO_8859_1)",
        "non-ascii",
    ),
    _charset(
        "code-page-1252",
        "sent as Windows-1252",
        "sent as Windows-1252, an error where that cannot be",
        _encoded("cp1252"),
        "Windows clients: for-win#12367",
        "non-ascii",
    ),
    _charset(
        "utf-16",
        "sent as UTF-16",
        "sent as little-endian UTF-16",
        _encoded("utf-16-le", "surrogatepass"),
        "PowerShell's [Text.Encoding]::Unicode",
        "any",
    ),
    _charset(
        "utf-8-as-latin-1",
        "mojibake",
        "UTF-8 taken for Latin-1 and encoded again",
        _mistaken_for_latin_1,
        "headers read as Latin-1: mwclient#316",
        "non-ascii",
    ),
    _charset(
        "utf-8-as-1252",
        "mojibake",
        "UTF-8 taken for Windows-1252 and encoded again",
        _mistaken_for_1252,
        "files read with the locale of Windows",
        "non-ascii",
    ),
    _charset(
        "nfc", "NFC-normalised", "composed (NFC)", _normal("NFC"), "browsers and PRECIS: RFC 8265 §4.2", "non-ascii"
    ),
    _charset(
        "nfd", "NFD-normalised", "decomposed (NFD)", _normal("NFD"), "macOS file names and pasteboards", "non-ascii"
    ),
    _charset(
        "nfkc",
        "NFKC-normalised",
        "composed by compatibility (NFKC)",
        _normal("NFKC"),
        "SASLprep: RFC 4013 §2.2",
        "non-ascii",
    ),
    _charset(
        "nfkd",
        "NFKD-normalised",
        "decomposed by compatibility (NFKD)",
        _normal("NFKD"),
        "slug makers and search indexes",
        "non-ascii",
    ),
    _charset(
        "accents-lost",
        "accents lost",
        "combining marks removed",
        _without_marks,
        "transliteration: unaccent, iconv //TRANSLIT",
        "non-ascii",
    ),
    _charset(
        "ascii-only",
        "non-ASCII removed",
        "everything beyond ASCII removed",
        lambda text: _NON_ASCII.sub("", text),
        "encode('ascii', 'ignore'); mwclient#316",
        "non-ascii",
    ),
    _charset(
        "ascii-replaced",
        "non-ASCII replaced by ?",
        "? for each character beyond ASCII",
        lambda text: _NON_ASCII.sub("?", text),
        "C locale; Java's getBytes(US_ASCII)",
        "non-ascii",
    ),
    _charset(
        "astral-lost",
        "characters beyond U+FFFF lost",
        "cut at the first character beyond U+FFFF",
        lambda text: _ASTRAL.split(text, maxsplit=1)[0],
        "MySQL's three-byte utf8",
        "non-ascii",
    ),
    _charset(
        "invisible-removed",
        "invisible characters removed",
        "format characters (zero width, direction marks) removed",
        _visible,
        "input cleaners: class P-23",
        "non-ascii",
    ),
    _charset(
        "specials-removed",
        "special characters removed",
        "everything but ASCII letters and digits removed",
        lambda text: _SPECIAL.sub("", text),
        "input sanitisers: distribution-library-image#87",
        "special",
    ),
    _charset(
        "lower-case",
        "lower-cased",
        "turned to lower case",
        str.lower,
        "case-insensitive stores; environment names",
        "letters",
    ),
    _charset("upper-case", "upper-cased", "turned to upper case", str.upper, "caps lock; Windows variables", "letters"),
    _charset(
        "case-folded",
        "case-folded",
        "case-folded by Unicode",
        str.casefold,
        "user name comparison: RFC 8265 §3.3",
        "letters",
    ),
    _charset(
        "capitalised",
        "capitalised",
        "first letter turned to upper case",
        _capitalised,
        "the keyboard of a phone",
        "letters",
    ),
)
