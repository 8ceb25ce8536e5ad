"""How an operation is declared, what it is given, and what it may answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lab.injection import MASK_ANSWER
from lab.palette.errors import ApiError, invalid
from lab.palette.masking import mask_answer
from lab.palette.paging import Page

if TYPE_CHECKING:
    from aiohttp import web

    from lab.palette.bodies import Schema
    from lab.palette.context import ApiContext
    from lab.palette.reconciler import Reconciler
    from lab.palette.settings import Masks

Json = dict[str, Any]


@dataclass(frozen=True)
class Created:
    """201 with the identity of what was made."""

    uid: str


@dataclass(frozen=True)
class Accepted:
    """202: it will be done."""


@dataclass(frozen=True)
class File:
    """200 with a file."""

    name: str
    content: bytes


Answer = Json | list[Any] | Created | Accepted | File | None
"""JSON is answered with 200, None with 204."""


@dataclass
class ApiCall:
    """One request, authenticated, its body read and checked."""

    context: ApiContext
    reconciler: Reconciler
    request: web.Request
    project: str | None
    body: Any = None
    secrets: set[str] = field(default_factory=set, repr=False)
    """Clear secrets that the answer must not hold; the operation adds what it knows."""

    def path(self, name: str) -> str:
        """Return a variable part of the path."""
        return self.request.match_info[name]

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return str(self.request.query.get(name, default))

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter. Raises ApiError 400 unless it is ``true`` or ``false``."""
        text = self.choice(name, ("false", "true", ""), default="false")
        return text == "true"

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """Return a query parameter that is one of ``choices``. Raises ApiError 400."""
        value = self.query(name, default)
        if value not in choices:
            raise invalid(f"query parameter {name}", f"'{value}' is not one of {', '.join(filter(None, choices))}")
        return value

    def page(self) -> Page:
        """Return the page that was asked for. Raises ApiError 400."""
        return Page.from_query(self.request.query)

    def in_project(self) -> str:
        """Return the project of the request. Raises ApiError 400 when it has none."""
        if self.project is None:
            message = "this resource belongs to a project; send the header ProjectUid"
            raise ApiError(400, "ProjectUidRequired", message, {"field": "ProjectUid"})
        return self.project

    @property
    def masks(self) -> Masks:
        """What becomes of a mask that a client sends back."""
        return self.context.settings.strictness.masks

    def masked(self, answer: Any) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer as the client may see it."""

        def healthy(answer: Any, secrets: frozenset[str]) -> Any:  # noqa: ANN401 - any JSON
            strictness = self.context.settings.strictness
            return answer if strictness.masks == "clear" else mask_answer(answer, secrets, more=strictness.mask_more)

        return self.context.behaviour.at(MASK_ANSWER, healthy, answer, frozenset(self.secrets))


Operation = Callable[[ApiCall], Answer]


@dataclass(frozen=True)
class Route:
    """One operation with its place in the API and the schema of its body."""

    method: str
    path: str
    operation: Operation
    body: Schema | None
    public: bool

    @property
    def order(self) -> tuple[bool, ...]:
        """Sorts a literal path before one that has a variable in the same place."""
        return tuple(part.startswith("{") for part in self.path.split("/"))


class Table:
    """The operations of one subject."""

    def __init__(self) -> None:
        self.routes: list[Route] = []

    def serves(
        self, method: str, path: str, *, body: Schema | None = None, public: bool = False
    ) -> Callable[[Operation], Operation]:
        """Declare the operation at ``path``; a ``public`` one needs no credentials."""

        def declare(operation: Operation) -> Operation:
            self.routes.append(Route(method, path, operation, body, public))
            return operation

        return declare
