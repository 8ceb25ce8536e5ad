"""Escaping done once too often or once too rarely: percent, HTML, XML, JSON, backslashes, quotes."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes, unquote_to_bytes

from registry.transforms.base import Transform, on_bytes, on_text, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_XML_REFERENCE = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_XML_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_JSON_ESCAPE = re.compile(r'\\(?:(["\\/bfnrt])|u([0-9A-Fa-f]{4}))')
_SIMPLE = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "a": "\a", "v": "\v", "e": "\x1b"}
_ECHO_ESCAPE = re.compile(r"\\(?:([\\abefnrtv])|0([0-7]{1,3})|x([0-9A-Fa-f]{1,2}))")
_TOML_ESCAPE = re.compile(r'\\(?:(["\\bfnrt])|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8}))')
_TAG = re.compile(r"<[^<>]*>")
_SURROGATES = range(0xD800, 0xE000)
_LAST = 0x10FFFF
_HTML_OF_GO = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}
_HTML_OF_PYTHON = _HTML_OF_GO | {'"': "&quot;", "'": "&#x27;"}
_XML = _HTML_OF_GO | {'"': "&quot;", "'": "&apos;"}
_JSON_OF_GO = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def character(code: int) -> str:
    """Return the character of a numeric escape; U+FFFD where there is none, as Go's and HTML's readers do."""
    return "\ufffd" if code in _SURROGATES or code > _LAST else chr(code)


def _replacing(table: dict[str, str]) -> Callable[[str], str]:
    codes = str.maketrans(table)

    def apply(text: str) -> str:
        return text.translate(codes)

    return apply


def _strictly_percent_decoded(value: bytes) -> bytes | None:
    return None if _BAD_PERCENT.search(value) else unquote_to_bytes(value)


def _form_decoded(value: bytes) -> bytes:
    return unquote_to_bytes(value.replace(b"+", b" "))


def _percent_encoded(value: bytes) -> bytes:
    return quote_from_bytes(value, safe="-_.~").encode()


def _user_info(value: bytes) -> bytes:
    return quote_from_bytes(value, safe="-_.~$&+,;=").encode()


def _form_encoded(value: bytes) -> bytes:
    return quote_from_bytes(value, safe="-_.~ ").replace(" ", "+").encode()


def _xml_unescaped(text: str) -> str:
    def read(found: re.Match[str]) -> str:
        if found[1]:
            return _XML_NAMED[found[1]]
        return character(int(found[2]) if found[2] else int(found[3], 16))

    return _XML_REFERENCE.sub(read, text)


def _json(*, ascii_only: bool) -> Callable[[str], str]:
    def apply(text: str) -> str:
        return json.dumps(text, ensure_ascii=ascii_only)[1:-1]

    return apply


def _json_of_go(text: str) -> str:
    # json.dumps leaves U+007F alone, as Go does, and writes \b and \f short, as Go does since 1.22.
    return _replacing(_JSON_OF_GO)(json.dumps(text, ensure_ascii=False)[1:-1])


def _json_unescaped(text: str) -> str | None:
    if _JSON_ESCAPE.sub("", text).count("\\"):
        return None
    pairs = re.compile(r"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})|" + _JSON_ESCAPE.pattern)

    def read(found: re.Match[str]) -> str:
        if found[1]:
            return chr(0x10000 + ((int(found[1], 16) - 0xD800) << 10) + int(found[2], 16) - 0xDC00)
        return character(int(found[4], 16)) if found[4] else _SIMPLE.get(found[3], found[3])

    return pairs.sub(read, text)


def _echo(text: str) -> str:
    def read(found: re.Match[str]) -> str:
        if found[1]:
            return _SIMPLE.get(found[1], found[1])
        return _byte(int(found[2], 8) & 0xFF if found[2] else int(found[3], 16))

    return _ECHO_ESCAPE.sub(read, text)


def _byte(code: int) -> str:
    return text_of(bytes([code]))


def _toml(text: str) -> str | None:
    def read(found: re.Match[str]) -> str:
        return _SIMPLE.get(found[1], found[1]) if found[1] else character(int(found[2] or found[3], 16))

    rest = _TOML_ESCAPE.sub("", text)
    return None if "\\" in rest or '"' in rest or "\n" in rest else _TOML_ESCAPE.sub(read, text)


def _backslashes_removed(text: str) -> str:
    return re.sub(r"\\(.?)", r"\1", text, flags=re.DOTALL)


def _slashes_added(text: str) -> str:
    return re.sub(r"(['\"\\])", r"\\\1", text)


def _bytes(
    name: str, said: str, title: str, rule: Callable[[bytes], bytes | None], source: str, *changes: str
) -> Transform:
    return Transform(name, said, title, on_bytes(rule), source, changes)


def _text(name: str, said: str, title: str, rule: Callable[[str], str | None], source: str, *changes: str) -> Transform:
    return Transform(name, said, title, on_text(rule), source, changes)


ESCAPING = (
    _bytes(
        "percent-decoded",
        "percent-decoded",
        "percent escapes decoded, others left",
        unquote_to_bytes,
        "URL user-info read by Python: docker-registry-manager#87",
        "percent",
    ),
    _bytes(
        "percent-decoded-strict",
        "percent-decoded",
        "percent escapes decoded, an error where one is wrong",
        _strictly_percent_decoded,
        "Go's url.PathUnescape and url.Parse: moby#12332",
        "percent",
    ),
    _bytes(
        "form-decoded",
        "form-decoded",
        "+ becomes a blank, percent escapes decoded",
        _form_decoded,
        "query strings and form bodies: moby#12332",
        "percent",
        "plus",
    ),
    _bytes(
        "plus-to-space",
        "+ turned into a blank",
        "+ becomes a blank",
        lambda value: value.replace(b"+", b" "),
        "query strings: class P-06",
        "plus",
    ),
    _bytes(
        "percent-encoded",
        "percent-encoded",
        "everything but unreserved characters percent-encoded",
        _percent_encoded,
        "encodeURIComponent-like: RFC 3986 §2.3",
        "url-special",
    ),
    _bytes(
        "user-info-encoded",
        "percent-encoded",
        "percent-encoded as the password of a URL",
        _user_info,
        "Go's url.UserPassword: f%xq&PT of moby#12332",
        "url-special",
    ),
    _bytes(
        "form-encoded",
        "form-encoded",
        "percent-encoded, a blank becomes +",
        _form_encoded,
        "application/x-www-form-urlencoded token requests",
        "url-special",
    ),
    _text(
        "html-escaped-go",
        "HTML-escaped",
        "escaped by Go's html.EscapeString",
        _replacing(_HTML_OF_GO),
        "html/template over a configuration file",
        "markup",
        "quote",
    ),
    _text(
        "html-escaped",
        "HTML-escaped",
        "escaped by Python's html.escape",
        _replacing(_HTML_OF_PYTHON),
        "web forms that store what they escaped",
        "markup",
        "quote",
    ),
    _text(
        "xml-escaped",
        "XML-escaped",
        "escaped for XML",
        _replacing(_XML),
        "XML configuration written twice",
        "markup",
        "quote",
    ),
    _text(
        "html-unescaped",
        "HTML-unescaped",
        "HTML character references decoded",
        html.unescape,
        "pages that decode what nobody encoded",
        "ampersand",
    ),
    _text(
        "xml-unescaped",
        "XML-unescaped",
        "XML's five references and numeric ones decoded",
        _xml_unescaped,
        "a secret pasted into an XML file as it is",
        "ampersand",
    ),
    _text(
        "tags-stripped",
        "tags stripped",
        "everything from < to > removed",
        lambda text: _TAG.sub("", text),
        "input sanitisers: PHP's strip_tags",
        "markup",
    ),
    _text(
        "json-escaped-go",
        "JSON-escaped",
        "written as a JSON string by Go, \\u0026 and all, and never read back",
        _json_of_go,
        "kubernetes#73803",
        "markup",
        "quote",
        "backslash",
        "control-any",
        "non-ascii",
    ),
    _text(
        "json-escaped",
        "JSON-escaped",
        "written as a JSON string and never read back",
        _json(ascii_only=False),
        "JavaScript's JSON.stringify into a plain field",
        "quote",
        "backslash",
        "control-any",
    ),
    _text(
        "json-escaped-ascii",
        "JSON-escaped",
        "written as an ASCII JSON string and never read back",
        _json(ascii_only=True),
        "Python's json.dumps",
        "quote",
        "backslash",
        "control-any",
        "non-ascii",
    ),
    _text(
        "json-unescaped",
        "JSON-unescaped",
        "read as the inside of a JSON string, an error where that cannot be",
        _json_unescaped,
        "a secret pasted into a JSON file as it is: class P-14",
        "backslash",
    ),
    _text(
        "backslashes-processed",
        "backslash escapes processed",
        "\\n, \\t, \\x41, \\0101 … become what they stand for",
        _echo,
        "echo of dash and zsh, echo -e: class P-14",
        "backslash",
    ),
    _text(
        "toml-unescaped",
        "backslash escapes processed",
        "read as a TOML basic string, an error where that cannot be",
        _toml,
        "containerd's and telegraf's TOML: telegraf#13845",
        "backslash",
        "quote",
        "newline",
    ),
    _text(
        "backslashes-removed",
        "backslashes removed",
        "each backslash removed, what follows it kept",
        _backslashes_removed,
        "read without -r; PHP's stripslashes",
        "backslash",
    ),
    _text(
        "backslashes-doubled",
        "backslashes doubled",
        "each backslash doubled",
        lambda text: text.replace("\\", "\\\\"),
        "escaped twice: ksail#5623",
        "backslash",
    ),
    _text(
        "slashes-added",
        "quotes escaped",
        "a backslash before each quote and backslash",
        _slashes_added,
        "PHP's addslashes and magic quotes",
        "backslash",
        "quote",
    ),
    _text(
        "single-quotes-doubled",
        "quotes escaped",
        "each single quote doubled",
        lambda text: text.replace("'", "''"),
        "escaped for SQL or a YAML single-quoted scalar, and never read back",
        "quote",
    ),
    _text(
        "typographic-quotes",
        "quotes made typographic",
        "straight quotes become typographic ones",
        lambda text: text.replace("'", "\u2019").replace('"', "\u201d"),
        "passwords sent through a word processor or chat",
        "quote",
    ),
)
