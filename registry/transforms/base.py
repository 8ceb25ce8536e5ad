"""What a transform is, and what it may look at.

A value is what travels on the wire: bytes. A typed password is its UTF-8. Rules about text read the bytes as UTF-8
and keep whatever is not UTF-8 (as Go's strings do), so that a change of a change is still exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def wire(value: str | bytes) -> bytes:
    """Return the bytes of a typed value: its UTF-8.

    Raises ValueError, without the value in it, for text that has no UTF-8 (a lone surrogate).
    """
    if isinstance(value, bytes):
        return value
    lone = next((at for at, char in enumerate(value) if "\ud800" <= char <= "\udfff"), None)
    if lone is not None:
        raise ValueError(f"character {lone} is a lone surrogate, which has no UTF-8; write a whole character or bytes")
    return value.encode()


def text_of(value: bytes) -> str:
    """Read bytes as text; a byte that is not UTF-8 becomes a surrogate of its own (PEP 383)."""
    return value.decode("utf-8", "surrogateescape")


def bytes_of(text: str) -> bytes:
    """Write what :func:`text_of` read."""
    return text.encode("utf-8", "surrogateescape")


class Context:
    """An account as a transform sees it: the value that is changed, and the ones it may be mixed up with.

    ``previous`` is the password before the last rotation, ``other`` the one of another registry; None where there is
    none. The text of a context shows no value.
    """

    __slots__ = ("other", "password", "previous", "text", "username")

    def __init__(
        self,
        password: str | bytes,
        username: str | bytes = b"",
        previous: str | bytes | None = None,
        other: str | bytes | None = None,
    ) -> None:
        self.password = wire(password)
        self.text = text_of(self.password)
        self.username = wire(username)
        self.previous = None if previous is None else wire(previous)
        self.other = None if other is None else wire(other)

    def holding(self, password: bytes) -> Context:
        """Return the same account with another password: what a first change left for a second one."""
        return Context(password, self.username, self.previous, self.other)

    def __repr__(self) -> str:
        return f"<Context: password of {len(self.password)} bytes>"


@dataclass(frozen=True, slots=True)
class Transform:
    """One way in which software changes a secret.

    ``apply`` gives the changed value, the same value where this software leaves it alone, or None where it fails with
    an error instead of presenting anything. ``name`` is what a table of pulls says ('base64-decoded'), ``title`` what
    exactly happens, ``source`` where this is seen in the wild, and ``changes`` the classes of password (see
    :data:`registry.transforms.CLASSES`) outside of which nothing is changed.
    """

    id: str
    name: str
    title: str
    apply: Callable[[Context], bytes | None]
    source: str
    changes: tuple[str, ...]

    def changed(self, context: Context) -> bool:
        """Return whether this software would present something else than the context's password, or nothing."""
        return self.apply(context) != context.password


def on_bytes(rule: Callable[[bytes], bytes | None]) -> Callable[[Context], bytes | None]:
    """Make a rule about bytes a rule about an account's password."""

    def apply(context: Context) -> bytes | None:
        return rule(context.password)

    return apply


def on_text(rule: Callable[[str], str | None]) -> Callable[[Context], bytes | None]:
    """Make a rule about text a rule about an account's password."""

    def apply(context: Context) -> bytes | None:
        text = rule(context.text)
        if text is context.text:
            return context.password
        return None if text is None else bytes_of(text)

    return apply
