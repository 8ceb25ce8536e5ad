"""The forms in which a host is searched for a password."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from fixtures.traces import traces

PASSWORD = "Pa!ss#w0rd*Clear-ä"


@pytest.mark.parametrize(
    "kept",
    [
        PASSWORD,
        base64.b64encode(f"user:{PASSWORD}".encode()).decode(),
        base64.b64encode(f"another-user:{PASSWORD}".encode()).decode(),
        base64.urlsafe_b64encode(PASSWORD.encode()).decode(),
        base64.b64encode(base64.b64encode(PASSWORD.encode())).decode(),
        PASSWORD.encode().hex(),
        quote(PASSWORD),
        PASSWORD[::-1],
        PASSWORD.upper(),
    ],
)
def test_every_form_that_can_be_turned_back_is_searched_for(kept: str) -> None:
    """A host that keeps a password encoded, alone or beside a user name, is found out."""
    assert [form for form in traces(PASSWORD) if form in kept] != []


def test_no_form_is_an_ordinary_word() -> None:
    """Forms that lose most of a password prove nothing: none is short, empty, a mask, or of several lines."""
    assert min(map(len, traces(PASSWORD, "another!password"))) >= 12
    assert not [form for form in traces(PASSWORD) if "\n" in form or set(form) == {"*"}]
