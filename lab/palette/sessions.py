"""Session tokens of ``/v1/auth/authenticate``."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field


@dataclass
class Sessions:
    """Session tokens, alive for :attr:`Settings.session_s` from their issue."""

    ends: dict[str, float] = field(default_factory=dict, repr=False)

    def issue(self, seconds: float) -> str:
        """Return a new token."""
        token = secrets.token_urlsafe(32)
        self.ends[token] = time.monotonic() + seconds
        return token

    def know(self, token: str) -> bool:
        """Return whether the token is alive."""
        return time.monotonic() < self.ends.get(token, 0)
