"""What YAML takes an unquoted value for, and how programs write it back as text."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
from typing import TYPE_CHECKING

from registry.transforms import yaml_plain
from registry.transforms.base import Transform, on_text

if TYPE_CHECKING:
    from collections.abc import Callable

Typed = str | bool | int | float | dt.date | None


class _NotScalarError(ValueError):
    """The value has a type that no text field takes: a merge key, the '=' scalar, an impossible date."""


_GO_TRUE_TOO = {"y", "Y"}
_GO_FALSE_TOO = {"n", "N"}
_TRUE = {"yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"}
_FALSE = {"no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"}
_NULL = {"", "~", "null", "Null", "NULL"}
_FLOAT_11 = re.compile(
    r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_INT_11 = re.compile(
    r"[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+"
)
_TIMESTAMP = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]*)?"
    r"(?:[ \t]*(?:Z|[-+][0-9]{1,2}(?::[0-9]{2})?))?"
)
_TIME = re.compile(
    r"(\d{4})-(\d\d?)-(\d\d?)(?:(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d)(?:\.(\d*))?"
    r"(?:[ \t]*(?:Z|([-+])(\d\d?)(?::(\d\d))?))?)?",
    re.ASCII,
)
_INT_12 = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT_12 = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INF = re.compile(r"([-+]?)\.(?:inf|Inf|INF)")
_NAN = {".nan", ".NaN", ".NAN"}
_GO_INT = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_LONGEST_NUMBER = 400  # digits; beyond them Python refuses to convert, and no float holds them
_SIXTY = 60
_INT64 = 1 << 63
_GO_LEAST_POWER = -4  # strconv.FormatFloat, format 'g', shortest: exponents outside -4..5 are written as e+06
_GO_POWERS = 6
_CLOSING = re.compile(r'^(?:[^"\\]|\\.)*"', re.DOTALL)


def _sexagesimal(digits: str) -> int | float:
    value: float | int = 0
    for part in digits.split(":"):
        value = value * _SIXTY + (float(part) if "." in part else int(part))
    return value


def _int_11(text: str) -> int | float:
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").replace("_", "")
    if digits.startswith("0b"):
        return sign * int(digits[2:] or "0", 2)
    if digits.startswith("0x"):
        return sign * int(digits[2:] or "0", 16)
    if ":" in digits:
        return sign * _sexagesimal(digits)
    return sign * int(digits, 8 if digits.startswith("0") else 10)


def _infinite(text: str) -> float | None:
    if text in _NAN:
        return math.nan
    found = _INF.fullmatch(text)
    return None if not found else -math.inf if found[1] == "-" else math.inf


def _float_11(text: str) -> float:
    special = _infinite(text)
    if special is not None:
        return special
    sign = -1.0 if text.startswith("-") else 1.0
    digits = text.lstrip("+-").replace("_", "")
    return sign * float(_sexagesimal(digits) if ":" in digits else digits)


def _date(text: str) -> dt.date:
    found = _TIME.fullmatch(text)
    if not found:
        raise _NotScalarError
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    if found[4] is None:
        return dt.date(year, month, day)
    micro = int((found[7] or "")[:6].ljust(6, "0"))
    zone = None
    if found[8]:
        offset = dt.timedelta(hours=int(found[9]), minutes=int(found[10] or 0))
        zone = dt.timezone(-offset if found[8] == "-" else offset)
    elif text.endswith("Z"):
        zone = dt.UTC
    return dt.datetime(year, month, day, int(found[4]), int(found[5]), int(found[6]), micro, zone)


def _number_11(text: str) -> Typed:
    if _FLOAT_11.fullmatch(text):
        return _float_11(text)
    if _INT_11.fullmatch(text):
        return _int_11(text)
    return _date(text) if _TIMESTAMP.fullmatch(text) else text


def yaml_11(text: str) -> Typed:
    """Type a plain scalar as YAML 1.1 and PyYAML do; raises ValueError for what no text field takes."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text in {"=", "<<"}:
        raise _NotScalarError
    return _number_11(text) if text[0] in "-+.0123456789" and len(text) < _LONGEST_NUMBER else text


def yaml_12(text: str) -> Typed:
    """Type a plain scalar by the core schema of YAML 1.2 (§10.3)."""
    if text in _NULL:
        return None
    if text in {"true", "True", "TRUE", "false", "False", "FALSE"}:
        return text.lower() == "true"
    if len(text) >= _LONGEST_NUMBER:
        return text
    if _INT_12.fullmatch(text):
        return int(text[2:], 8 if text[1] == "o" else 16) if text[:2] in {"0o", "0x"} else int(text)
    if _FLOAT_12.fullmatch(text):
        return float(text)
    special = _infinite(text)
    return text if special is None else special


def _go_int(text: str) -> int | None:
    if not _GO_INT.fullmatch(text):
        return None
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").lower()
    if digits[:2] in {"0x", "0b", "0o"}:
        value = sign * int(digits[2:], {"x": 16, "b": 2, "o": 8}[digits[1]])
    else:
        value = sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
    fits = -_INT64 <= value < (2 * _INT64 if text[0] not in "+-" else _INT64)
    return value if fits else None


def go_yaml(text: str) -> Typed:
    """Type a plain scalar as go-yaml version 2 does, on which sigs.k8s.io/yaml and Helm stand; dates stay text."""
    if text in _NULL:
        return None
    if text in _TRUE | _GO_TRUE_TOO:
        return True
    if text in _FALSE | _GO_FALSE_TOO:
        return False
    if text[0] not in "-+.0123456789" or len(text) >= _LONGEST_NUMBER:
        return text
    bare = text.replace("_", "")
    special = _infinite(text)
    whole = _go_int(bare)
    if whole is not None or special is not None:
        return whole if whole is not None else special
    number = float(bare) if _FLOAT_12.fullmatch(bare) else math.inf
    return number if math.isfinite(number) else text


def _single(value: float) -> float:
    """Round to 32 bits, as sigs.k8s.io/yaml does when it writes a number into a text field."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def _go_float(value: float, digits_needed: int, same: Callable[[float], bool]) -> str:
    """Write a float as Go's ``strconv`` does with format 'g' and the shortest precision that reads back the same."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    written = next(text for text in (f"{value:.{digits}e}" for digits in range(digits_needed)) if same(float(text)))
    mantissa, power = written.split("e")
    if _GO_LEAST_POWER <= int(power) < _GO_POWERS:
        places = max(0, len(mantissa.lstrip("-").replace(".", "")) - 1 - int(power))
        return f"{float(written):.{places}f}"
    return f"{mantissa}e{'-' if int(power) < 0 else '+'}{abs(int(power)):02d}"


def _go_float_32(value: float) -> str:
    value = _single(value)
    return _go_float(value, 9, lambda read: _single(read) == value)


def _go_float_64(value: float) -> str:
    return _go_float(value, 17, lambda read: read == value)


def _said_by_python(value: Typed) -> str:
    return value.isoformat(" ") if isinstance(value, dt.datetime) else str(value)


def _said_by_kubernetes(value: Typed) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return _go_float_32(value) if isinstance(value, float) else str(value)


def _said_by_helm(value: Typed) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _go_float_64(float(value))
    return _said_by_kubernetes(value)


def _said_as_json(value: Typed) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value) if isinstance(value, float) else str(value)


def _unquoted(typing: Callable[[str], Typed], say: Callable[[Typed], str]) -> Callable[[str], str | None]:
    """Read an unquoted value, type it, and write what it was taken for as text."""

    def apply(text: str) -> str | None:
        scalar = yaml_plain.read(text)
        if scalar is None or not scalar.plain:
            return None if scalar is None else scalar.text
        try:
            return say(typing(scalar.text))
        except (ValueError, OverflowError):
            return None

    return apply


def _as_text(text: str) -> str | None:
    scalar = yaml_plain.read(text)
    if scalar is None:
        return None
    return "" if scalar.plain and scalar.text in _NULL else scalar.text


def _in_double_quotes(text: str) -> str | None:
    return None if _CLOSING.search(text) else yaml_plain.unescaped(text)


def _in_single_quotes(text: str) -> str | None:
    return text.replace("''", "'") if text.replace("''", "").count("'") == 0 else None


def _yaml(name: str, said: str, title: str, rule: Callable[[str], str | None], source: str, *changes: str) -> Transform:
    return Transform(name, said, title, on_text(rule), source, changes)


YAML = (
    _yaml(
        "yaml-unquoted",
        "YAML quoting lost",
        "written without quotes and read into a text field; an error where that is not a scalar",
        _as_text,
        "the guide's own snippets; docs/vectors.md §6",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-typed-python",
        "YAML-typed",
        "written without quotes, typed by YAML 1.1 and written back by Python",
        _unquoted(yaml_11, _said_by_python),
        "PyYAML and str(): kapitan#1370",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-typed-json",
        "YAML-typed",
        "written without quotes, typed by YAML 1.1 and written back as JSON",
        _unquoted(yaml_11, _said_as_json),
        "YAML to JSON converters; Ruby's to_json: iac-modules#202",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-typed-kubernetes",
        "YAML-typed",
        "written without quotes, typed by go-yaml and written into a text field",
        _unquoted(go_yaml, _said_by_kubernetes),
        "sigs.k8s.io/yaml: measured with v1.4.0; helm#2707",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-typed-helm",
        "YAML-typed",
        "written without quotes, typed by go-yaml, numbers turned into floats",
        _unquoted(go_yaml, _said_by_helm),
        "Helm values: helm#1707, #2693, #4541, #9162",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-typed-core",
        "YAML-typed",
        "written without quotes, typed by YAML 1.2 and written back as JSON",
        _unquoted(yaml_12, _said_as_json),
        "the core schema of YAML 1.2: hull#262",
        "yaml-special",
        "yaml-typed",
    ),
    _yaml(
        "yaml-double-quoted",
        "backslash escapes processed",
        "pasted into a YAML double-quoted scalar, an error where that cannot be",
        _in_double_quotes,
        'password: "{{ password }}" in a template: class Y-03',
        "backslash",
        "quote",
    ),
    _yaml(
        "yaml-single-quoted",
        "doubled quotes collapsed",
        "pasted into a YAML single-quoted scalar, an error where that cannot be",
        _in_single_quotes,
        "password: '{{ password }}' in a template: class Y-03",
        "quote",
    ),
)
