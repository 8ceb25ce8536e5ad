"""Lists in pages of at most 50, sorted and filtered the way the API documentation writes it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lab.palette.errors import invalid
from lab.palette.settings import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Json = dict[str, Any]

_CLAUSE = re.compile(r"^([A-Za-z][\w.]*)(!?=)(.*)$", re.DOTALL)


@dataclass(frozen=True)
class Page:
    """What part of a list is asked for. ``until`` is the newest item that the first page knew."""

    limit: int = PAGE_SIZE
    offset: int = 0
    until: int | None = None

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Page:
        """Read ``limit``, ``offset`` and ``continue``. Raises ApiError 400."""
        limit = min(_number(query, "limit", PAGE_SIZE) or PAGE_SIZE, PAGE_SIZE)
        token = query.get("continue", "")
        if token:
            offset, until = _read_token(token)
            return cls(limit, offset, until)
        return cls(limit, _number(query, "offset", 0))

    def of(self, items: Sequence[Any], *, until: int | None = None) -> tuple[Sequence[Any], Json]:
        """Cut the page out of ``items`` and give it with its ``listmeta``."""
        end = self.offset + self.limit
        shown = items[self.offset : end]
        more = end < len(items)
        token = _write_token(end, until) if more else ""
        meta = {"continue": token, "count": len(items), "limit": len(shown), "offset": end if more else len(items)}
        return shown, meta


def listing(items: Sequence[Any], page: Page, shape: Callable[[Any], Json]) -> Json:
    """Return one page of ``items`` in the shape of a published list."""
    shown, meta = page.of(items)
    return {"items": [shape(item) for item in shown], "listmeta": meta}


def pick(item: Any, path: str) -> Any:  # noqa: ANN401 - any JSON
    """Return the field at a dotted path, None where there is none."""
    for name in path.split("."):
        item = item.get(name) if isinstance(item, dict) else None
    return item


def filtered(items: Sequence[Json], filters: str) -> list[Json]:
    """Keep what ``filters`` says (``a.b=xANDc=y``, ``OR`` binds weaker). Raises ApiError 400."""
    if not filters:
        return list(items)
    groups = [
        [_clause(part) for part in re.split(r"AND(?=[a-z])", group)] for group in re.split(r"OR(?=[a-z])", filters)
    ]
    return [item for item in items if any(all(test(item) for test in group) for group in groups)]


def ordered(items: Sequence[Json], order: str) -> list[Json]:
    """Sort by ``orderBy`` (``metadata.name=1,metadata.uid=-1``). Raises ApiError 400.

    Equal items keep their order, and are in the opposite one where the order descends: ``items`` come oldest first.
    """
    result = list(items)
    for clause in reversed([part for part in order.split(",") if part]):
        path, _, direction = clause.partition("=")
        if direction not in {"1", "-1", ""}:
            raise invalid("query parameter orderBy", f"'{clause}' is no order; write field=1 or field=-1")
        if direction == "-1":
            result.reverse()
        result.sort(key=lambda item, path=path: str(pick(item, path) or ""), reverse=direction == "-1")  # type: ignore[misc]
    return result


def projected(item: Json, fields: str) -> Json:
    """Keep only the fields named in ``fields`` (comma separated paths) and the identity; all when it is empty.

    Items of a list must differ (``uniqueItems`` in the published description), so the identity always stays.
    """
    if not fields:
        return item
    kept: Json = {}
    for path in ("metadata.uid", *fields.split(",")):
        value = pick(item, path)
        if value is not None:
            _put(kept, path.split("."), value)
    return kept


def _put(into: Json, names: list[str], value: Any) -> None:  # noqa: ANN401 - any JSON
    for name in names[:-1]:
        into = into.setdefault(name, {})
    into[names[-1]] = value


def _clause(text: str) -> Callable[[Json], bool]:
    match = _CLAUSE.match(text)
    if match is None:
        raise invalid("query parameter filters", f"'{text}' is no filter; write field=value, joined by AND or OR")
    path, operator, value = match.groups()
    return lambda item: (str(pick(item, path) or "") == value) is (operator == "=")


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise invalid(f"query parameter {name}", f"'{text}' is no whole number of 0 or more")
    return int(text)


def _write_token(offset: int, until: int | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([offset, until]).encode()).decode()


def _read_token(token: str) -> tuple[int, int | None]:
    try:
        offset, until = json.loads(base64.urlsafe_b64decode(token))
        valid = isinstance(offset, int) and offset >= 0 and (until is None or isinstance(until, int))
    except (binascii.Error, ValueError, TypeError):
        valid = False
    if not valid:
        raise invalid(
            "query parameter continue", "this is no token of an earlier page; pass listmeta.continue as it came"
        )
    return offset, until
