"""Base64 and hexadecimal: guessing that a secret is encoded, and encoding what should have stayed as it is.

The decoders follow Go's ``encoding/base64``, in which Palette is written: CR and LF are ignored everywhere, padding
is required (standard) or refused (raw), stray bits after the last byte are not checked. The letters are those of
docs/palette.md §2.3.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING

from registry.transforms.base import Transform, bytes_of, on_bytes, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_TO_URL = bytes.maketrans(b"+/", b"-_")
_LINE_ENDS = b"\r\n"
_QUARTETS = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_RAW = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2,3})?")
_ALPHANUMERIC = re.compile(rb"[A-Za-z0-9]+")
_PRINTABLE = re.compile(rb"[ -~]*")
_FOREIGN = re.compile(rb"[^A-Za-z0-9+/]")
_NO_ALPHABET = re.compile(rb"[+/]")
_SURROGATE = re.compile("[\udc80-\udcff]")
_LINE = 76


def go_standard(value: bytes) -> bytes | None:
    """Decode as Go's ``base64.StdEncoding.DecodeString``; None where that gives an error."""
    value = value.translate(None, _LINE_ENDS)
    return binascii.a2b_base64(value) if _QUARTETS.fullmatch(value) else None


def go_raw(value: bytes) -> bytes | None:
    """Decode as Go's ``base64.RawStdEncoding.DecodeString``; None where that gives an error."""
    value = value.translate(None, _LINE_ENDS)
    return _padded(value) if _RAW.fullmatch(value) else None


def go_prefix(value: bytes) -> bytes:
    """Decode as Go's ``base64.StdEncoding`` when the error is ignored: the whole groups before the first mistake."""
    found = _QUARTETS.match(value.translate(None, _LINE_ENDS))
    return binascii.a2b_base64(found.group()) if found else b""


def replace_invalid(value: bytes) -> bytes:
    """Put U+FFFD for each byte that is not UTF-8, as Go's ``encoding/json`` does."""
    return bytes_of(_SURROGATE.sub("\ufffd", text_of(value)))


def _padded(value: bytes) -> bytes:
    return binascii.a2b_base64(value + b"=" * (-len(value) % 4))


def _padding_optional(value: bytes) -> bytes | None:
    return go_raw(value) if not value.rstrip().endswith(b"=") else go_standard(value)


def _url(value: bytes) -> bytes | None:
    return None if _NO_ALPHABET.search(value) else go_standard(value.translate(_TO_STANDARD))


def _url_raw(value: bytes) -> bytes | None:
    return None if _NO_ALPHABET.search(value) else go_raw(value.translate(_TO_STANDARD))


def _either_alphabet(value: bytes) -> bytes | None:
    return _padding_optional(value.translate(_TO_STANDARD))


def _lenient(value: bytes) -> bytes | None:
    try:
        return binascii.a2b_base64(value)
    except binascii.Error:
        return None


def _forgiving(value: bytes) -> bytes:
    clean = _FOREIGN.sub(b"", value)
    return _padded(clean[:-1] if len(clean) % 4 == 1 else clean)


def _if_utf8(value: bytes) -> bytes | None:
    decoded = go_standard(value)
    return None if decoded is None or _SURROGATE.search(text_of(decoded)) else decoded


def _if_printable(value: bytes) -> bytes | None:
    decoded = go_standard(value)
    return decoded if decoded is not None and _PRINTABLE.fullmatch(decoded) else None


def _if_canonical(value: bytes) -> bytes | None:
    decoded = go_standard(value)
    return decoded if decoded is not None and _encode(decoded) == value else None


def _replacement(value: bytes) -> bytes | None:
    decoded = go_standard(value)
    return None if decoded is None else replace_invalid(decoded)


def _alphanumeric(value: bytes) -> bytes | None:
    return go_standard(value) if _ALPHANUMERIC.fullmatch(value) else None


def _alphanumeric_or_fail(value: bytes) -> bytes | None:
    return go_standard(value) if _ALPHANUMERIC.fullmatch(value) else value


def _alphanumeric_prefix(value: bytes) -> bytes:
    return go_prefix(value) if _ALPHANUMERIC.fullmatch(value) else value


def _encode(value: bytes) -> bytes:
    return binascii.b2a_base64(value, newline=False)


def _encode_twice(value: bytes) -> bytes:
    return _encode(_encode(value))


def _encode_url(value: bytes) -> bytes:
    return _encode(value).translate(_TO_URL)


def _encode_raw(value: bytes) -> bytes:
    return _encode(value).rstrip(b"=")


def _encode_wrapped(value: bytes) -> bytes:
    encoded = _encode(value)
    return b"".join(encoded[at : at + _LINE] + b"\n" for at in range(0, len(encoded), _LINE))


def _unhex(value: bytes) -> bytes | None:
    try:
        return binascii.unhexlify(value)
    except binascii.Error:
        return None


def _or_as_it_is(rule: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes]:
    def apply(value: bytes) -> bytes:
        decoded = rule(value)
        return value if decoded is None else decoded

    return apply


def _decoded(
    name: str, title: str, rule: Callable[[bytes], bytes | None], source: str, *changes: str, errors: bool = False
) -> Transform:
    apply = on_bytes(rule if errors else _or_as_it_is(rule))
    return Transform(name, "base64-decoded", title, apply, source, changes)


BASE64 = (
    _decoded(
        "base64-standard",
        "decoded when Go's standard decoder accepts it (variant S)",
        go_standard,
        "the vendor SDK's IsBase64; is-base64#9; openeverest#2245",
        "base64",
    ),
    _decoded(
        "base64-alphanumeric-prefix",
        "decoded when alphanumeric, decoding errors ignored (variant I)",
        _alphanumeric_prefix,
        "the guide's known issue as it is worded (PE-3568)",
        "alphanumeric",
    ),
    _decoded(
        "base64-alphanumeric",
        "decoded when alphanumeric and accepted by the standard decoder (variant J)",
        _alphanumeric,
        "the guide's known issue with a fall-back; metrics-toolkit#137",
        "alphanumeric",
    ),
    _decoded(
        "base64-alphanumeric-or-fail",
        "decoded when alphanumeric, an error where that cannot be (variant H)",
        _alphanumeric_or_fail,
        "the guide's known issue with a hard failure",
        "alphanumeric",
        errors=True,
    ),
    _decoded(
        "base64-if-utf8",
        "decoded when the result is UTF-8 (variant U)",
        _if_utf8,
        "'decode if the result is readable': actions-hub/gcloud#13",
        "base64",
    ),
    _decoded(
        "base64-if-printable",
        "decoded when the result is printable ASCII (variant P)",
        _if_printable,
        "'decode if the result is readable': noip-renew#5",
        "base64",
    ),
    _decoded(
        "base64-if-canonical",
        "decoded when encoding gives the value back (variant C)",
        _if_canonical,
        "round-trip checks; external-secrets#5004",
        "base64",
    ),
    _decoded(
        "base64-padding-optional",
        "decoded with or without padding (variant N)",
        _padding_optional,
        "kubelet's decodeDockerConfigFieldAuth; kubernetes#82147",
        "base64",
        "base64-unpadded",
    ),
    _decoded(
        "base64-raw",
        "decoded when the unpadded decoder accepts it",
        go_raw,
        "Go RawStdEncoding; kubernetes PR 82148",
        "base64-unpadded",
    ),
    _decoded(
        "base64-url",
        "decoded with the URL-safe alphabet (variant W)",
        _url,
        "token-looking passwords; hub-feedback#1751",
        "base64",
        "base64-url",
    ),
    _decoded(
        "base64-url-raw",
        "decoded with the URL-safe alphabet, unpadded",
        _url_raw,
        "JWT segments: RFC 7515 §2",
        "base64-unpadded",
        "base64-url",
    ),
    _decoded(
        "base64-either-alphabet",
        "decoded with either alphabet, with or without padding",
        _either_alphabet,
        "Node's Buffer.from(value, 'base64')",
        "base64-either",
    ),
    _decoded(
        "base64-lenient",
        "decoded after foreign characters are dropped (variant L)",
        _lenient,
        "Python's base64.b64decode; MIME decoders: RFC 2045 §6.8",
        "any",
    ),
    _decoded(
        "base64-forgiving",
        "decoded after foreign characters are dropped, an unfinished group is cut",
        _forgiving,
        "PHP's base64_decode; Perl's MIME::Base64",
        "any",
    ),
    _decoded(
        "base64-prefix",
        "always decoded, decoding errors ignored",
        go_prefix,
        "Go: decoded, _ := base64.StdEncoding.DecodeString(value)",
        "any",
    ),
    _decoded(
        "base64-or-fail",
        "always decoded, an error where that cannot be (variant M)",
        go_standard,
        "a Secret's data for stringData; encodedPassword left true: connect-helm-charts#202",
        "any",
        errors=True,
    ),
    Transform(
        "base64-replacement",
        "base64-decoded with U+FFFD",
        "decoded, and bytes that are not UTF-8 replaced by U+FFFD",
        on_bytes(_or_as_it_is(_replacement)),
        "decoded bytes put through Go's encoding/json",
        ("base64",),
    ),
    Transform(
        "base64-encoded",
        "base64-encoded",
        "encoded once more than it is decoded (variant E)",
        on_bytes(_encode),
        "terraform-provider-kubernetes#145; virtual-kubelet#73; hono#2193",
        ("any",),
    ),
    Transform(
        "base64-encoded-twice",
        "base64-encoded twice",
        "encoded twice more than it is decoded",
        on_bytes(_encode_twice),
        "kubernetes-cd-plugin#103",
        ("any",),
    ),
    Transform(
        "base64-encoded-url",
        "base64-encoded",
        "encoded with the URL-safe alphabet",
        on_bytes(_encode_url),
        "Docker's X-Registry-Auth header",
        ("any",),
    ),
    Transform(
        "base64-encoded-raw",
        "base64-encoded",
        "encoded without padding",
        on_bytes(_encode_raw),
        "Go RawStdEncoding; kubernetes#82147",
        ("any",),
    ),
    Transform(
        "base64-encoded-line",
        "base64-encoded",
        "encoded in lines of 76 characters, each with its line end",
        on_bytes(_encode_wrapped),
        "base64(1); Python's base64.encodebytes",
        ("any",),
    ),
    Transform(
        "hex-decoded",
        "hex-decoded",
        "taken for hexadecimal and decoded",
        on_bytes(_or_as_it_is(_unhex)),
        "type sniffers; WEP and WPA key fields",
        ("hexadecimal",),
    ),
    Transform(
        "hex-encoded",
        "hex-encoded",
        "written as hexadecimal",
        on_bytes(binascii.hexlify),
        "%x in place of %s; PostgreSQL bytea output",
        ("any",),
    ),
)
