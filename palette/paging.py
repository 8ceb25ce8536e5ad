"""Lists in pages of at most 50: the token in ``listmeta.continue`` is followed until it is empty."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from palette.errors import NotPaletteError
from palette.reading import items, text

if TYPE_CHECKING:
    from palette.transport import Call, Scope

PAGE = 50
"""The largest page that Palette gives."""


def pages(scope: Scope, call: Call, *, size: int = PAGE) -> Iterator[list[Any]]:
    """Yield the items page by page.

    Raises NotPaletteError when a token comes a second time: the pages would never end.
    """
    seen: set[str] = set()
    token = ""
    while True:
        query: dict[str, str | int | bool | None] = {**call.query, "limit": size, "continue": token or None}
        answer = scope.ask(replace(call, query=query))
        yield items(answer, "items")
        token = text(answer, "listmeta", "continue")
        if not token:
            return
        if token in seen:
            raise NotPaletteError(
                method=call.method, path=call.path, message="paging does not advance: a token came twice"
            )
        seen.add(token)


def every(scope: Scope, call: Call, *, size: int = PAGE) -> Iterator[Mapping[str, Any]]:
    """Yield the items of all pages, one by one."""
    for page in pages(scope, call, size=size):
        yield from (item for item in page if isinstance(item, Mapping))
