"""Every way in which a registry may ask for a login is read as RFC 9110 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.challenges import challenges

BEARER = ("bearer", {"realm": "https://reg.example/v2/token", "service": "c"})
BASIC = ("basic", {"realm": "reg"})


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ('Bearer realm="https://reg.example/v2/token",service="c", Basic realm="reg"', [BEARER, BASIC]),
        ('Basic realm="reg", Bearer realm="https://reg.example/v2/token", service=c', [BASIC, BEARER]),
        ('Negotiate, Basic realm="reg"', [("negotiate", {}), BASIC]),
        ('Negotiate YII+/==, Basic realm="reg"', [("negotiate", {}), BASIC]),
        ("Bearer realm=https://reg.example/v2/token,service=c", [BEARER]),
        ('BASIC Realm = "reg"', [BASIC]),
        (r'Basic realm="a \"b\", Bearer realm=c"', [("basic", {"realm": 'a "b", Bearer realm=c'})]),
        (', ,Basic realm="reg",,', [BASIC]),
        ('Basic realm="reg", "stray", Negotiate', [BASIC, ("negotiate", {})]),
        ("", []),
    ],
)
def test_challenges_are_told_apart(header: str, found: list[tuple[str, dict[str, str]]]) -> None:
    """Several, in any order, with tokens and quoted strings, each has its own parameters."""
    assert [(one.scheme, one.parameters) for one in challenges(header)] == found


@given(st.text(alphabet='abB=",\\ \t/é', max_size=60))
def test_whatever_comes_reading_ends(header: str) -> None:
    """No text makes the reader fail or go on for ever."""
    assert all(one.scheme for one in challenges(header))
