"""The agent's connection to Palette: registration, orders by long poll, reports."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

#: Seconds to wait for an answer; a long poll is answered after 25 at the latest.
ANSWER = 40
#: Answers that will be the same however often the same is sent.
_NEVER_TAKEN = (http.client.BAD_REQUEST, http.client.REQUEST_ENTITY_TOO_LARGE, http.client.UNPROCESSABLE_ENTITY)


class PaletteUnreachable(Exception):  # noqa: N818 - it names a state of the world
    """Palette did not answer, or not as it should."""


class PaletteRefused(PaletteUnreachable):
    """Palette does not take what was sent, and never will."""


@dataclass
class Channel:
    """One connection, kept open, made anew when it broke."""

    endpoint: str
    token: str
    authority: str
    _connection: http.client.HTTPSConnection | None = None

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a document; return the answer's. Raises PaletteUnreachable."""
        return self._ask("POST", path, json.dumps(body))

    def get(self, path: str) -> dict[str, Any]:
        """Ask for a document. Raises PaletteUnreachable."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        was_open = self._connection is not None
        try:
            status, text = self._exchange(method, path, body)
        except (ConnectionError, ssl.SSLEOFError) as error:
            if not was_open:
                raise PaletteUnreachable(f"{method} {path}: {error}") from error
            return self._ask(method, path, body)  # Palette had closed the idle connection: that is no failure
        except (OSError, http.client.HTTPException) as error:
            raise PaletteUnreachable(f"{method} {path}: {error}") from error
        if status >= http.client.BAD_REQUEST:
            kind = PaletteRefused if status in _NEVER_TAKEN else PaletteUnreachable
            raise kind(f"{method} {path}: {status} {text[:200]!r}")
        try:
            document: dict[str, Any] = json.loads(text) if text else {}
        except ValueError as error:
            raise PaletteUnreachable(f"{method} {path}: the answer is no JSON") from error
        return document

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, bytes]:
        connection = self._connection or self._connect()
        self._connection = None  # unless all goes well
        headers = {"RegistrationToken": self.token, "Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            found = answer.status, answer.read()
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return found

    def _connect(self) -> http.client.HTTPSConnection:
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"https://{self.endpoint}")
        context = ssl.create_default_context(cadata=self.authority)
        return http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=ANSWER, context=context)
