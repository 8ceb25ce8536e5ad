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
MOST_PAGES = 1000
"""No project has 50,000 of anything; a list that goes on is not Palette's."""


def pages(scope: Scope, call: Call, *, size: int = PAGE) -> Iterator[list[Any]]:
    """Yield the items page by page.

    Raises NotPaletteError when the pages do not end: a token comes a second time, or there are too many.
    """
    seen: set[str] = set()
    token = ""
    for _page in range(MOST_PAGES):
        query: dict[str, str | int | bool | None] = {**call.query, "limit": size, "continue": token or None}
        answer = scope.ask(replace(call, query=query))
        yield items(answer, "items")
        token = text(answer, "listmeta", "continue")
        if not token:
            return
        if token in seen:
            raise _endless(call, "a token came twice")
        seen.add(token)
    raise _endless(call, f"there are more than {MOST_PAGES} pages")


def _endless(call: Call, why: str) -> NotPaletteError:
    return NotPaletteError(method=call.method, path=call.path, message=f"paging does not end: {why}")


def every(scope: Scope, call: Call, *, size: int = PAGE) -> Iterator[Mapping[str, Any]]:
    """Yield the items of all pages, one by one."""
    for page in pages(scope, call, size=size):
        yield from (item for item in page if isinstance(item, Mapping))
