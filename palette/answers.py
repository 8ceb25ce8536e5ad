"""What came back: a value, or Palette's refusal in its own words."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from foreign import cut
from palette.errors import NotPaletteError, PaletteError, ServerError, error_type
from waiting.retry import asked_pause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_SHOWN = 160
_GATEWAY = frozenset({502, 504})


def decoded(read: Callable[[], T]) -> T | None:
    """Return what ``read`` makes of foreign content, or None: the one door for whatever a decoder raises."""
    with suppress(ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        return read()
    return None


@dataclass(frozen=True)
class Answer:
    """A complete HTTP answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)
    reason: str = ""
    scrub: Callable[[str], str] = field(default=str, repr=False)
    """Takes protected values out of what is shown; Palette, or what stands in its place, may quote them."""

    def header(self, name: str) -> str:
        """Return a header by its name in any case, or an empty text."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), "")

    def json(self, method: str, path: str) -> Any:  # noqa: ANN401 - any JSON value
        """Return the JSON value. Raises NotPaletteError when the content is something else."""
        value = decoded(lambda: (json.loads(self.content),))
        if value is not None:
            return value[0]
        # Raised out here, because the decoder's own exception keeps the whole text.
        raise NotPaletteError(
            method=method, path=path, status=self.status, message=f"expected JSON, got {self.shown()}"
        )

    def object(self, method: str, path: str) -> dict[str, Any]:
        """Return the JSON object. Raises NotPaletteError when the content is something else."""
        value = self.json(method, path)
        if not isinstance(value, dict):
            raise NotPaletteError(
                method=method, path=path, status=self.status, message=f"expected a JSON object, got {self.shown()}"
            )
        return value

    def shown(self) -> str:
        """Return the type and the beginning of the content, safe to print."""
        # Protected values go before anything is cut or escaped, or a part of one would be left.
        text = self.scrub(self.content.decode("utf-8", "replace"))
        return f"{self.header('Content-Type') or 'no content type'}: {text[:_SHOWN]!r}"


def refusal(method: str, path: str, answer: Answer) -> PaletteError | None:
    """Return the error that an answer means, or None for a success (2xx)."""
    success, redirect, client_error = range(200, 300), range(300, 400), 400
    if answer.status in success:
        return None
    if answer.status in redirect or answer.status < client_error:
        place = _host_of(answer.scrub(answer.header("Location")))
        message = f"redirects to {place}, which is not followed: the key would go there too"
        return NotPaletteError(method=method, path=path, status=answer.status, message=message)
    envelope = _envelope(answer)

    def field_of(key: str) -> str:
        return cut(answer.scrub(envelope.get(key, "")))

    kind = error_type(answer.status)
    return kind(
        method=method,
        path=path,
        status=answer.status,
        code=field_of("code"),
        message=field_of("message") or f"{answer.reason[:_SHOWN] or 'refused'}; {answer.shown()}",
        ref=field_of("ref"),
        # A gateway that got no answer in time cannot know what happened behind it.
        outcome_unknown=kind is ServerError and answer.status in _GATEWAY,
        retry_after=asked_pause(answer.header("Retry-After"), answer.header("Date")),
    )


def _host_of(location: str) -> str:
    target = decoded(lambda: urlsplit(location))
    return f"{target.scheme}://{target.hostname}" if target is not None and target.hostname else repr(location[:_SHOWN])


def _envelope(answer: Answer) -> dict[str, str]:
    value = decoded(lambda: json.loads(answer.content))
    return {key: text for key, text in value.items() if isinstance(text, str)} if isinstance(value, dict) else {}
