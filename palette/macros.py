"""Macros of a project or of the tenant, referenced as ``{{.spectro.macro.NAME}}``.

The project's macro wins over the tenant's of the same name. A macro's value is YAML text once it is filled in, see
:func:`palette.os_layer.inside_double_quotes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from palette.once import do_once
from palette.reading import items, text
from palette.transport import Call, Scope
from protected import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Macros:
    """The macros under one path; values are texts or protected secrets.

    Requests for macros of a project or tenant carry no project header: the path says whose they are.
    """

    scope: Scope
    path: str
    in_project: bool = False

    def list(self) -> dict[str, str]:
        """Read names and values; whether Palette masks values is not documented."""
        return {text(item, "name"): text(item, "value") for item in items(self.scope.ask(self._call("GET")), "macros")}

    def create(self, values: Mapping[str, str | Secret]) -> None:
        """Add macros. Raises ConflictError or BadRequestError when a name is taken."""
        call = self._call("POST", _body(values))
        do_once(self.scope, lambda: self.scope.send(call), lambda: self._are_set(values) or None)

    def update(self, values: Mapping[str, str | Secret]) -> None:
        """Change the named macros and leave the others (PATCH)."""
        self.scope.send(self._call("PATCH", _body(values)))

    def delete(self, names: Iterable[str]) -> None:
        """Delete the named macros (a DELETE with a body)."""
        self.scope.send(self._call("DELETE", {"macros": [{"name": name} for name in names]}))

    def _call(self, method: str, body: object = None) -> Call:
        repeatable = None if method == "POST" else True
        return Call(method, self.path, body=body, in_project=self.in_project, repeatable=repeatable)

    def _are_set(self, values: Mapping[str, str | Secret]) -> bool:
        there = self.list()
        plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in values.items()}
        return all(there.get(name) == value for name, value in plain.items())


def _body(values: Mapping[str, str | Secret]) -> dict[str, object]:
    return {"macros": [{"name": name, "value": value} for name, value in values.items()]}
