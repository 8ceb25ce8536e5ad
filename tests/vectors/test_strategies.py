"""What Hypothesis draws beside the deck: depends on the seed alone, reaches the known issue, and shrinks to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from fixtures.strategies import for_more_passwords
from harness.drawing import settings_for_hosts
from registry.htpasswd import unusable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    """Draw with a run's settings, and more examples, for they cost nothing here."""
    settings.register_profile("strategies", settings_for_hosts(400), database=None, derandomize=True)
    settings.load_profile("strategies")
    yield
    settings.load_profile("own")


def test_a_change_of_alphanumeric_passwords_is_found_and_shrunk() -> None:
    """The password that is reported is the simplest that shows the known issue."""
    drawn = []

    def check(password: str) -> None:
        drawn.append(password)
        assert not password.isalnum()

    with pytest.raises(AssertionError):
        for_more_passwords(check)
    assert drawn[-1] == "0000"


def test_what_is_drawn_can_be_an_account() -> None:
    """Every password that is drawn is accepted by the registry, and many are drawn."""
    drawn: set[str] = set()
    for_more_passwords(drawn.add)

    assert len(drawn) > 50
    assert [password for password in drawn if unusable("user", password)] == []
