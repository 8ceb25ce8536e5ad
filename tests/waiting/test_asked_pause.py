"""A ``Retry-After`` is understood in every form that servers send it in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from waiting.retry import asked_pause

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("3", 3.0),
        ("3.5", 3.5),
        ("Sun, 06 Nov 1994 08:49:40 GMT", 3.0),
        ("Sunday, 06-Nov-94 08:49:40 GMT", 3.0),
        ("Sun Nov  6 08:49:40 1994", 3.0),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0.0),
        ("9" * 400, None),
        ("soon", None),
    ],
)
def test_each_form_of_a_date_is_compared_with_the_answers_own(retry_after: str, seconds: float | None) -> None:
    """All three forms of HTTP dates, the oldest of which names no zone; seconds also with a fraction."""
    assert asked_pause(retry_after, DATE) == seconds


def test_a_date_without_the_answers_own_is_compared_with_this_clock() -> None:
    """A server without a clock sends no ``Date``; its patience counts all the same."""
    asked = asked_pause(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True), "")

    assert asked is not None
    assert 3500 < asked <= 3600
