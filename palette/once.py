"""Doing something that must not happen twice, over a connection that may lose the answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from palette.errors import ConflictError, NotPaletteError, PaletteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from palette.transport import Scope

T = TypeVar("T")

_CLOCK_GRAIN = timedelta(seconds=3)


def do_once(scope: Scope, act: Callable[[], T], look: Callable[[], T | None]) -> T:
    """Act; where the answer got lost, look whether it was done, and only then act again.

    ``look`` returns the result when the request took effect, else None. A conflict after a lost answer means that the
    first attempt succeeded, so it is looked for as well. Raises what ``act`` raised last, with ``outcome_unknown``
    where it was impossible to look.
    """
    policy, clock = scope.transport.retry, scope.transport.clock
    attempt = 0
    lost = False
    while True:
        try:
            return act()
        except PaletteError as error:
            lost = lost or error.outcome_unknown
            if not (error.outcome_unknown or (lost and isinstance(error, ConflictError))):
                raise
            failure = error
        attempt += 1
        clock.sleep(policy.pause(attempt))
        try:
            done = look()
        except PaletteError as trouble:
            # The caller must learn that something may be left behind, not only that Palette could not be asked.
            failure.outcome_unknown = True
            raise failure from trouble
        if done is not None:
            return done
        if attempt >= policy.attempts or isinstance(failure, ConflictError | NotPaletteError):
            raise failure


def made_after(created: datetime | None, asked: datetime | None) -> bool:
    """Return whether an object can be the one that was asked for at ``asked`` (both in Palette's time).

    An object whose age is unknown is not taken for ours: what this run did not create it must never touch.
    """
    return created is not None and asked is not None and created >= asked - _CLOCK_GRAIN
