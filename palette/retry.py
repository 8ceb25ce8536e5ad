"""Which requests to Palette may be repeated; the pauses are :mod:`waiting.retry`'s.

One restriction of ours: a request that must not happen twice is repeated only when it certainly did not happen.
"""

from __future__ import annotations

from palette.errors import PaletteError, RateLimitedError, ServerError, UnreachableError

_NOT_ATTEMPTED = 503
#: Failures that will be the same next time: a plain one, what is not implemented, a version of HTTP.
_LASTING = frozenset({500, 501, 505})


def may_repeat(error: PaletteError, *, repeatable: bool) -> bool:
    """Return whether repeating can help and cannot harm.

    A request that is not ``repeatable`` (a POST that creates something) is repeated after 429 and 503, which say that
    it was not attempted, and when the connection could not be made; never after a reset, a time-out or a gateway's
    502/504, where Palette may have done the work.
    """
    if isinstance(error, RateLimitedError) or (isinstance(error, ServerError) and error.status == _NOT_ATTEMPTED):
        return True
    if isinstance(error, UnreachableError):
        return error.code != "TLS" and (repeatable or not error.outcome_unknown)
    return isinstance(error, ServerError) and repeatable and error.status not in _LASTING
