"""Another value in its place: the user name, a mask, nothing, an older password, another registry's."""

from __future__ import annotations

import binascii
import hashlib
from typing import TYPE_CHECKING

from registry.transforms.base import Context, Transform

if TYPE_CHECKING:
    from collections.abc import Callable

SWAPPED = "swapped"


def _constant(value: bytes) -> Callable[[Context], bytes]:
    def apply(_context: Context) -> bytes:
        return value

    return apply


def _username(context: Context) -> bytes:
    return context.username or context.password


def _previous(context: Context) -> bytes:
    return context.password if context.previous is None else context.previous


def _other(context: Context) -> bytes:
    return context.password if context.other is None else context.other


def _stars(context: Context) -> bytes:
    return b"*" * len(context.text)


def _pair(context: Context) -> bytes:
    return context.username + b":" + context.password


def _encoded_pair(context: Context) -> bytes:
    return binascii.b2a_base64(_pair(context), newline=False)


def _fingerprint(context: Context) -> bytes:
    return hashlib.sha256(context.password).hexdigest().encode()


def _bytes_literal(context: Context) -> bytes:
    return repr(context.password).encode()


def _go_bytes(context: Context) -> bytes:
    return ("[" + " ".join(map(str, context.password)) + "]").encode()


def _slice(context: Context) -> bytes:
    return b"[" + context.password + b"]"


def _instead(name: str, said: str, title: str, rule: Callable[[Context], bytes], source: str) -> Transform:
    return Transform(name, said, title, rule, source, ("any",))


SUBSTITUTION = (
    _instead(
        "emptied",
        "emptied",
        "replaced by an empty password",
        _constant(b""),
        "an error dropped; a masked field posted back empty; testcontainers",
    ),
    _instead(
        SWAPPED,
        "user name and password swapped",
        "user name and password swapped",
        _username,
        "arguments in the wrong order",
    ),
    _instead(
        "user-name",
        "replaced by the user name",
        "replaced by the user name",
        _username,
        "split(':') that takes the same half twice",
    ),
    _instead(
        "previous",
        "replaced by the previous password",
        "replaced by the password before the rotation",
        _previous,
        "the first reading cached: kairos#1042, class P-33",
    ),
    _instead(
        "other-registry",
        "replaced by the other registry's password",
        "replaced by the password of another registry",
        _other,
        "one slot for all registries: docs/palette.md §1.3",
    ),
    _instead(
        "masked",
        "replaced by the mask ******",
        "replaced by the mask that Palette shows",
        _constant(b"******"),
        "a masked value posted back on edit: the guide's step 6, class P-30",
    ),
    _instead(
        "masked-eight",
        "replaced by a mask",
        "replaced by eight stars",
        _constant(b"********"),
        "masks of web consoles and CI logs",
    ),
    _instead("masked-three", "replaced by a mask", "replaced by three stars", _constant(b"***"), "masks of CI logs"),
    _instead(
        "masked-each", "replaced by a mask", "each character replaced by a star", _stars, "masks that keep the length"
    ),
    _instead(
        "redacted",
        "replaced by a mask",
        "replaced by <redacted>",
        _constant(b"<redacted>"),
        "client-go's and Vault's loggers used as a value",
    ),
    _instead(
        "null-word", "replaced by a word for nothing", "replaced by null", _constant(b"null"), "jq -r of a missing key"
    ),
    _instead(
        "none-word", "replaced by a word for nothing", "replaced by None", _constant(b"None"), "Python's str(None)"
    ),
    _instead(
        "nil-word", "replaced by a word for nothing", "replaced by <nil>", _constant(b"<nil>"), "Go's fmt.Sprint(nil)"
    ),
    _instead(
        "undefined-word",
        "replaced by a word for nothing",
        "replaced by undefined",
        _constant(b"undefined"),
        "JavaScript's String(undefined)",
    ),
    _instead(
        "object-word",
        "replaced by a word for an object",
        "replaced by [object Object]",
        _constant(b"[object Object]"),
        "JavaScript's String({})",
    ),
    _instead(
        "whole-pair",
        "user name and password in one",
        "user:password in place of the password",
        _pair,
        "a decoded auth field used as password: containerd's ParseAuth",
    ),
    _instead(
        "auth-field",
        "auth field in place of the password",
        "base64 of user:password in place of the password",
        _encoded_pair,
        "a docker config's auth used as password: kubernetes#73803",
    ),
    _instead(
        "fingerprint",
        "replaced by its hash",
        "replaced by its SHA-256 in hexadecimal",
        _fingerprint,
        "stores that keep a digest; redaction used as a value",
    ),
    _instead(
        "bytes-literal",
        "written as a literal",
        "written as a Python bytes literal, b'…'",
        _bytes_literal,
        "Python's str(bytes)",
    ),
    _instead("go-bytes", "written as a literal", "written as Go's list of bytes", _go_bytes, "%v of a []byte in Go"),
    _instead("go-slice", "written as a list", "put in square brackets", _slice, "%v of a []string in Go"),
)
