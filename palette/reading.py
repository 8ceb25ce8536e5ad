"""Reading answers tolerantly: unknown fields are ignored, missing ones and nulls become empty values."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote


def at(template: str, **names: str) -> str:
    """Fill a path template; every value is one percent-encoded segment.

    Raises ValueError for an empty value or one made of dots, which would silently name another resource.
    """
    for key, value in names.items():
        if value in ("", ".", ".."):
            raise ValueError(f"{template}: {key} is {value!r}; it must name one object")
    return template.format(**{key: quote(value, safe="") for key, value in names.items()})


def dig(value: object, *keys: str) -> Any:  # noqa: ANN401 - any JSON value
    """Follow keys into nested objects; None where one is missing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text(value: object, *keys: str) -> str:
    """Return the text at a place, empty where there is none."""
    found = dig(value, *keys)
    return _writable(found) if isinstance(found, str) else ""


def _writable(found: str) -> str:
    """Replace halves of surrogate pairs, which JSON may name and no file or request can hold."""
    return found.encode("utf-8", "replace").decode()


def flag(value: object, *keys: str) -> bool:
    """Return the truth at a place, false where there is none."""
    return dig(value, *keys) is True


def items(value: object, *keys: str) -> list[Any]:
    """Return the list at a place, empty where there is none (an empty Go list is written as null)."""
    found = dig(value, *keys)
    return found if isinstance(found, list) else []


def texts(value: object, *keys: str) -> dict[str, str]:
    """Return the map of texts at a place, empty where there is none."""
    found = dig(value, *keys)
    return (
        {_writable(k): _writable(v) for k, v in found.items() if isinstance(v, str)}
        if isinstance(found, Mapping)
        else {}
    )


def moment(value: object, *keys: str) -> datetime | None:
    """Return the time at a place in UTC; None where it is missing, unreadable or Go's zero time."""
    try:
        found = datetime.fromisoformat(text(value, *keys))
        in_utc = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the last is 9999-12-31 west of Greenwich
        return None
    return None if in_utc.year == 1 else in_utc
