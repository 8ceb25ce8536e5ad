"""Who is asking, and in which project (docs/palette.md §3.1)."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from lab.palette.errors import ApiError, unauthorized

if TYPE_CHECKING:
    from aiohttp import web

    from lab.palette.context import ApiContext


class Access:
    """Checks the headers of published operations."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context

    def project_of(self, request: web.Request) -> str | None:
        """Return the project of an authenticated request, None for the tenant's scope. Raises ApiError 401, 404.

        The header counts; the query parameter of the API documentation's examples is read where it is absent.
        """
        self._authenticate(request)
        uid = request.headers.get("ProjectUid") or request.query.get("ProjectUid") or None
        if uid is not None and uid not in self._context.store.projects:
            raise ApiError(404, "ProjectNotFoundInTenant", f"header ProjectUid: this tenant has no project '{uid}'")
        return uid

    def _authenticate(self, request: web.Request) -> None:
        key = request.headers.get("ApiKey")
        if key is not None:
            if not any(_same(key, known) for known in self._context.settings.api_keys):
                raise unauthorized("header ApiKey: no such API key")
            return
        session = request.headers.get("Authorization")
        if session is None:
            raise unauthorized("send the header ApiKey, or Authorization with a session token")
        if not self._context.sessions.know(session):
            raise unauthorized("header Authorization: no such session, or it has ended")


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))
