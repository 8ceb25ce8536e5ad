"""Filters of the dashboard's searches (``v1SearchFilterSummarySpec``)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Filter:
    """One property of what is searched, and the values of which one (or none, when ``negated``) must match.

    Properties of Edge hosts: ``state``, ``healthState``, ``name``, ``tags`` (``key:value``), ``architecture``.
    """

    property: str
    values: tuple[str, ...]
    operator: Literal["eq", "contains", "beginsWith"] = "eq"
    negated: bool = False

    def body(self) -> dict[str, Any]:
        """Return the filter in Palette's spelling."""
        match = {"conjunction": "or", "values": list(self.values)}
        condition = {"operator": self.operator, "negation": self.negated, "ignoreCase": False, "match": match}
        return {"property": self.property, "type": "string", "condition": {"string": condition}}

    @staticmethod
    def all(filters: Iterable[Filter]) -> dict[str, Any]:
        """Return the search for what passes every filter; without filters, the search for everything."""
        bodies = [one.body() for one in filters]
        groups = [{"conjunction": "and", "filters": bodies}] if bodies else []
        return {"filter": {"conjunction": "and", "filterGroups": groups}, "sort": []}
