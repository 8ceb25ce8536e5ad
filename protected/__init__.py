"""The one type that holds a protected secret: its text is a fingerprint, never the value.

Everything in the house may import this module and nothing of ours is below it.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import NoReturn

_SALT = secrets.token_bytes(16)


class Secret:
    """A secret of a real site (API key, token, password).

    ``str``, ``repr`` and ``format`` give a fingerprint such as ``secret:1f3a9c``, which tells two secrets apart
    within a process and says nothing about either. The value comes out of :meth:`reveal` only, so every place
    that uses it can be found by name. A secret cannot be pickled: it does not travel between processes by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself. The caller must not log it, store it, or put it into an argument list."""
        return self._value

    @property
    def fingerprint(self) -> str:
        """Six hexadecimal digits, salted anew in every process."""
        return hashlib.blake2b(self._value.encode("utf-8", "surrogatepass"), key=_SALT, digest_size=3).hexdigest()

    def __str__(self) -> str:
        return f"secret:{self.fingerprint}"

    def __repr__(self) -> str:
        return f"<{self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._value.encode("utf-8", "surrogatepass"), other._value.encode("utf-8", "surrogatepass")
        )

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a protected secret cannot be pickled; pass a reference to where it is kept instead")
