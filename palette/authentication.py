"""How a request shows who sends it: an API key, or a session token that is renewed before it ends."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from palette.clock import Clock
from palette.errors import NotPaletteError
from protected import Secret

_LOGIN_PATH = "/v1/auth/authenticate"
_HEADER_VALUE = re.compile(r"[\x21-\x7e]+(?: [\x21-\x7e]+)*")

Login = Callable[[str, Mapping[str, object]], object]
"""Posts a body to a path without authentication and gives the JSON of the answer."""


class Authentication(Protocol):
    """Gives the header that authenticates a request."""

    def header(self, login: Login) -> tuple[str, Secret]:
        """Return the name and the value of the header, logging in first where that is needed."""

    def renew(self) -> bool:
        """Forget what was refused; true when another try with fresh credentials makes sense."""

    def secrets(self) -> tuple[Secret, ...]:
        """Return every secret that must not appear in a message."""


def header_value(secret: Secret, what: str) -> Secret:
    """Refuse a value that cannot be sent as a header, without showing it as the HTTP library would."""
    if not _HEADER_VALUE.fullmatch(secret.reveal()):
        raise ValueError(
            f"{what} ({secret}) is empty or holds blanks at an end, line breaks or characters outside ASCII;"
            " a trailing newline from a file is the usual cause"
        )
    return secret


@dataclass(frozen=True)
class ApiKey:
    """Authentication by the ``ApiKey`` header."""

    key: Secret

    def __post_init__(self) -> None:
        """Refuse a key that cannot be sent."""
        header_value(self.key, "the API key")

    def header(self, login: Login) -> tuple[str, Secret]:  # noqa: ARG002 - a key needs no login
        """Return the ``ApiKey`` header."""
        return "ApiKey", self.key

    def renew(self) -> bool:
        """Say no: a refused key stays refused."""
        return False

    def secrets(self) -> tuple[Secret, ...]:
        """Return the key."""
        return (self.key,)


@dataclass
class SessionToken:
    """Authentication by the ``Authorization`` header with a token from ``v1Authenticate``.

    A token lives 15 minutes; it is renewed after ``renew_after`` seconds. ``organization`` is the tenant's name.
    """

    email: str
    password: Secret
    organization: str = ""
    renew_after: float = 780.0
    clock: Clock = field(default_factory=Clock, repr=False)
    _token: Secret | None = field(default=None, init=False, repr=False)
    _since: float = field(default=0.0, init=False, repr=False)
    _guard: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def header(self, login: Login) -> tuple[str, Secret]:
        """Return the ``Authorization`` header; the token is sent as it came, without a scheme in front."""
        with self._guard:
            if self._token is None or self.clock.now() - self._since >= self.renew_after:
                # The age counts from the question, not from the answer: a slow answer must not lengthen it.
                since = self.clock.now()
                self._token, self._since = self._log_in(login), since
            return "Authorization", self._token

    def renew(self) -> bool:
        """Drop the token, so that the next request logs in again."""
        with self._guard:
            self._token = None
        return True

    def secrets(self) -> tuple[Secret, ...]:
        """Return the password and the current token."""
        return (self.password,) if self._token is None else (self.password, self._token)

    def _log_in(self, login: Login) -> Secret:
        body = {"emailId": self.email, "password": self.password, "org": self.organization}
        answer = login(_LOGIN_PATH, {key: value for key, value in body.items() if value != ""})
        token = answer.get("Authorization") if isinstance(answer, Mapping) else None
        if not isinstance(token, str) or not token:
            raise NotPaletteError(method="POST", path=_LOGIN_PATH, message="the answer to the login holds no token")
        return header_value(Secret(token), "the session token")
