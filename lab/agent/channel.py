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


class PaletteUnreachable(Exception):
    """Palette did not answer, or not as it should."""


@dataclass
class Channel:
    """One connection, kept open, made anew when it broke."""

    endpoint: str
    token: str
    authority: str
    _connection: http.client.HTTPSConnection | None = None

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Send a document; gives the answer's. Raises PaletteUnreachable."""
        return self._ask("POST", path, json.dumps(body))

    def get(self, path: str) -> dict[str, Any]:
        """Ask for a document. Raises PaletteUnreachable."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        headers = {"RegistrationToken": self.token, "Content-Type": "application/json"}
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.request(method, path, body, headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection = None
            raise PaletteUnreachable(f"{method} {path}: {error}") from error
        if answer.status >= http.client.BAD_REQUEST:
            raise PaletteUnreachable(f"{method} {path}: {answer.status} {text[:200]!r}")
        document: dict[str, Any] = json.loads(text) if text else {}
        return document

    def _connect(self) -> http.client.HTTPSConnection:
        parts = urlsplit(self.endpoint if "//" in self.endpoint else f"https://{self.endpoint}")
        context = ssl.create_default_context(cadata=self.authority)
        return http.client.HTTPSConnection(parts.hostname or "", parts.port or 443, timeout=ANSWER, context=context)
