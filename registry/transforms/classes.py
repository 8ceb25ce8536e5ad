"""The classes of password that transforms change, and how to tell that a password belongs to one."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.transforms import yaml_plain, yaml_typing
from registry.transforms.base import text_of
from registry.transforms.base64_rules import go_raw, go_standard

if TYPE_CHECKING:
    from collections.abc import Callable


#: Lengths in bytes at which software makes differences.
LENGTHS = (8, 16, 32, 40, 64)


@dataclass(frozen=True, slots=True)
class PasswordClass:
    """A set of passwords that software is known to treat in its own way."""

    id: str
    meaning: str
    contains: Callable[[bytes], bool]


def _any_of(characters: bytes) -> Callable[[bytes], bool]:
    wanted = re.compile(b"[" + re.escape(characters) + b"]")

    def contains(value: bytes) -> bool:
        return wanted.search(value) is not None

    return contains


def _pattern(expression: bytes) -> Callable[[bytes], bool]:
    wanted = re.compile(expression, re.DOTALL)

    def contains(value: bytes) -> bool:
        return wanted.search(value) is not None

    return contains


def _over(length: int) -> Callable[[bytes], bool]:
    def contains(value: bytes) -> bool:
        return len(value) > length

    return contains


def _exactly(length: int) -> Callable[[bytes], bool]:
    def contains(value: bytes) -> bool:
        return len(value) == length

    return contains


def _repeated(value: bytes) -> bool:
    text = text_of(value)
    return len(text) > 1 and len(set(text)) == 1


def _twice(value: bytes) -> bool:
    once = go_standard(value)
    return bool(once) and bool(go_standard(once or b""))


def _json(value: bytes) -> bool:
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return False
    return True


def _blank(value: bytes) -> bool:
    return any(char.isspace() for char in text_of(value))


def _letters(value: bytes) -> bool:
    text = text_of(value)
    return not (text == text.lower() == text.upper() == text.casefold())


def _yaml_typed(value: bytes) -> bool:
    text = text_of(value)
    scalar = yaml_plain.read(text)
    return scalar is not None and scalar.plain and not _stays_text(scalar.text)


def _stays_text(text: str) -> bool:
    try:
        return all(typing(text) == text for typing in (yaml_typing.yaml_11, yaml_typing.yaml_12, yaml_typing.go_yaml))
    except ValueError:
        return False


def _yaml_special(value: bytes) -> bool:
    text = text_of(value)
    scalar = yaml_plain.read(text)
    return scalar is None or scalar.text != text


_ALL = (
    PasswordClass("any", "every password", lambda _value: True),
    PasswordClass("alphanumeric", "ASCII letters and digits only", _pattern(rb"\A[A-Za-z0-9]+\Z")),
    PasswordClass("special", "something besides ASCII letters and digits", _pattern(rb"[^A-Za-z0-9]")),
    PasswordClass("base64", "Go's standard decoder accepts it", lambda value: go_standard(value) is not None),
    PasswordClass("base64-unpadded", "Go's raw decoder accepts it", lambda value: go_raw(value) is not None),
    PasswordClass("base64-url", "only the URL-safe alphabet", _pattern(rb"\A[A-Za-z0-9_=\r\n-]+\Z")),
    PasswordClass("base64-either", "only the two base64 alphabets", _pattern(rb"\A[A-Za-z0-9+/_=\r\n-]+\Z")),
    PasswordClass("hexadecimal", "an even number of hexadecimal digits", _pattern(rb"\A(?:[0-9A-Fa-f]{2})+\Z")),
    PasswordClass("letters", "something that has upper and lower case", _letters),
    PasswordClass("blank", "white space", _blank),
    PasswordClass("newline", "a line feed", _any_of(b"\n")),
    PasswordClass("carriage-return", "a carriage return", _any_of(b"\r")),
    PasswordClass("tab", "a tab", _any_of(b"\t")),
    PasswordClass(
        "control", "a control character besides tab and line ends", _pattern(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
    ),
    PasswordClass("control-any", "a control character", _pattern(rb"[\x00-\x1f\x7f]")),
    PasswordClass("nul", "a NUL", _any_of(b"\0")),
    PasswordClass("bom", "a byte order mark at the start", _pattern(rb"\A\xef\xbb\xbf")),
    PasswordClass("quote", "a single or double quote", _any_of(b"'\"")),
    PasswordClass("backslash", "a backslash", _any_of(b"\\")),
    PasswordClass("backquote", "a backquote", _any_of(b"`")),
    PasswordClass("dollar", "a dollar sign", _any_of(b"$")),
    PasswordClass("percent", "a percent sign", _any_of(b"%")),
    PasswordClass("plus", "a plus sign", _any_of(b"+")),
    PasswordClass("ampersand", "an ampersand", _any_of(b"&")),
    PasswordClass("markup", "an angle bracket or ampersand", _any_of(b"<>&")),
    PasswordClass("colon", "a colon", _any_of(b":")),
    PasswordClass("hash", "a hash sign", _any_of(b"#")),
    PasswordClass("equals", "an equals sign", _any_of(b"=")),
    PasswordClass("semicolon", "a semicolon", _any_of(b";")),
    PasswordClass("comma", "a comma", _any_of(b",")),
    PasswordClass("at-sign", "an at sign", _any_of(b"@")),
    PasswordClass("slash", "a slash", _any_of(b"/")),
    PasswordClass("question-mark", "a question mark", _any_of(b"?")),
    PasswordClass("template", "an opening of a template", _pattern(rb"\{[{%#]")),
    PasswordClass(
        "url-special", "something besides the unreserved characters of a URL", _pattern(rb"[^A-Za-z0-9._~-]")
    ),
    PasswordClass("non-ascii", "a byte beyond ASCII", _pattern(rb"[\x80-\xff]")),
    PasswordClass("yaml-typed", "taken for another type by YAML where it is not quoted", _yaml_typed),
    PasswordClass("yaml-special", "read as other text, or refused, by YAML where it is not quoted", _yaml_special),
    PasswordClass("base64-twice", "what Go's standard decoder makes of it, it decodes again", _twice),
    PasswordClass("digits", "decimal digits only", _pattern(rb"\A[0-9]+\Z")),
    PasswordClass("repeated", "one character again and again", _repeated),
    PasswordClass("json", "a JSON document", _json),
    PasswordClass("uuid", "a UUID", _pattern(rb"\A[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\Z")),
    PasswordClass("date", "a date of ISO 8601", _pattern(rb"\A[0-9]{4}-?[0-9]{2}-?[0-9]{2}(?:T.+)?\Z")),
    *(PasswordClass(f"length-{length}", f"exactly {length} bytes", _exactly(length)) for length in LENGTHS),
    *(PasswordClass(f"over-{length}", f"more than {length} bytes", _over(length)) for length in (16, 40, 64)),
    PasswordClass("over-8", "more than 8 bytes", _over(8)),
    PasswordClass("over-32", "more than 32 bytes", _over(32)),
    PasswordClass("over-72", "more than 72 bytes: not accepted by bcrypt as a whole", _over(72)),
)

CLASSES = {known.id: known for known in _ALL}


def classes_of(password: bytes) -> tuple[str, ...]:
    """Name every class that a password belongs to."""
    return tuple(known.id for known in _ALL if known.contains(password))
