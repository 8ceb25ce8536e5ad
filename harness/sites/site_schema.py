"""What is wrong with a site file by its schema: every mistake, each at its place and with what would be right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

from foreign import host_address, is_ip
from palette.transport import checked_url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jsonschema.exceptions import ValidationError

SCHEMA = json.loads((Path(__file__).parent / "site.schema.json").read_text("utf-8"))
#: The words that ``./run site-init`` leaves to be replaced, and what to write there.
TEMPLATE_WORDS = {
    "PROJECT": "the project's name",
    "EDGE-HOST-UID": "the Edge host's uid in Palette",
    "USER@ADDRESS": "user@host[:port]",
    "THIS-MACHINE": "this machine's address, as the hosts reach it",
}
#: Those that it leaves where Palette was asked.
MORE_WORDS = {"PROFILE": "the name of one of the profiles that can be cloned"}
_USER = "USER@"
_LONGEST_QUOTE = 80
#: What the schema's formats stand for. A format holds where its check returns true and raises nothing.
FORMATS = FormatChecker(formats=())


def _holds_of_text(holds: Callable[[str], object], value: object) -> bool:
    return not isinstance(value, str) or bool(holds(value))  # another type is another mistake


def _is_line(text: str) -> bool:
    return text.isprintable() and text == text.strip() != ""


def _is_url(text: str) -> bool:
    host = host_address(str(urlsplit(checked_url(text)).hostname))
    return bool(host) and text.isprintable() and not text.rstrip("/").endswith(":")


def is_proxy(text: str) -> bool:
    """Return whether a text is the URL of a proxy. Raises ValueError for what is no URL at all."""
    url = urlsplit(text)
    return bool(url.scheme == "http" and host_address(str(url.hostname)) and url.port) and text.isprintable()


def is_a_hosts(text: str) -> bool:
    """Return whether a host can have this name or address. Raises foreign.UnsafeTextError for what is neither."""
    if not is_ip(host_address(text)):
        return True
    address = ip_address(text)
    return not (address.is_unspecified or address.is_multicast or text == "255.255.255.255")


def _is_mask(text: str) -> bool:
    return text.isdecimal() or str(ip_network(f"0.0.0.0/{text}").netmask) == text


for _name, _holds in {
    "line": _is_line, "url": _is_url, "proxy": is_proxy, "address": host_address, "ip": is_ip, "host": is_a_hosts,
    "mask": _is_mask,
}.items():  # fmt: skip
    FORMATS.checks(_name, raises=ValueError)(partial(_holds_of_text, _holds))
#: ``5443.0`` is no whole number here: what counts with it would not take it.
_Validator = extend(  # type: ignore[no-untyped-call] # of jsonschema's stubs
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int),
)


def mistakes_of(document: object) -> Iterator[tuple[str, str]]:
    """Yield place and text of every mistake; the place of a key that is missing is where it would stand."""
    if not isinstance(document, Mapping):
        yield "", "the file is no mapping of keys; see docs/real-sites.md"
        return
    found = list(_left_words(document, ""))
    for error in _Validator(SCHEMA, format_checker=FORMATS).iter_errors(document):
        found += _explained(error)
    told: set[str] = set()
    for place, said in found:  # one place is told once: a value of a wrong type has a wrong form as well
        if place not in told:
            told.add(place)
            yield place, said


def _left_words(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _left_words(part, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _left_words(part, f"{place}[{number}]")
    elif isinstance(value, str) and value in TEMPLATE_WORDS | MORE_WORDS:
        yield place, f"{value} is still the template's word; write {(TEMPLATE_WORDS | MORE_WORDS)[value]}"
    elif isinstance(value, str) and value.startswith(_USER):
        yield place, f"USER in {value!a} is still the template's word; write the user that logs in there"


def _explained(error: ValidationError) -> Iterator[tuple[str, str]]:
    place = _place(error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    within = f"{place}." if place else ""
    if error.validator == "additionalProperties":
        for key in (key for key in instance if key not in schema["properties"]):
            yield f"{within}{key}", f"unknown key; {nearest(str(key), list(schema['properties']))}"
    elif error.validator == "required":
        for key in (key for key in schema["required"] if key not in instance):
            yield f"{within}{key}", f"it is missing; write {_right_of(schema, key)}"
    else:
        yield place, _wrong_value(place, schema, instance, error.message)


def _wrong_value(place: str, schema: Any, instance: object, message: str) -> str:  # noqa: ANN401 - a part of a JSON schema
    right = schema.get("right") if isinstance(schema, Mapping) else None
    if place.endswith(".ssh") and isinstance(instance, str) and "@" not in instance:
        return f"{_quoted(place, schema, instance)} has no user; write it as {right}"
    return f"found {_quoted(place, schema, instance)}; write {right or message}"


def _quoted(place: str, schema: object, instance: object) -> str:
    """Quote what stands in the file, unless it may be a secret or have one in it."""
    if schema is SCHEMA["$defs"]["secret"]:
        return "something else than where the secret is kept"
    text = ascii(instance) if isinstance(instance, str) else json.dumps(instance, default=str)
    hides = place.startswith("registry.existing") and not isinstance(instance, int)
    if hides or len(text) > _LONGEST_QUOTE or "-----" in text or (place.endswith(("url", "proxy")) and "@" in text):
        return "something else"
    return text


def nearest(unknown: str, known: list[str]) -> str:
    """Return advice about a name that is not known."""
    near = get_close_matches(unknown, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _right_of(schema: Any, key: str) -> str:  # noqa: ANN401 - a part of a JSON schema
    part = schema.get("properties", {}).get(key, {})
    part = SCHEMA["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part
    return f"{key}: {part.get('right', '…')}"


def _place(path: Any) -> str:  # noqa: ANN401 - jsonschema's deque of keys and numbers
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text
