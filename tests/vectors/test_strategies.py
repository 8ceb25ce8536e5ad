"""What Hypothesis draws beside the deck: depends on the seed alone, reaches the known issue, and shrinks to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from fixtures.credential_classes import PASSWORD_CLASSES
from fixtures.deck import for_more_passwords
from harness.drawing import settings_for_hosts
from registry.htpasswd import unusable


@pytest.fixture(autouse=True)
def _as_in_a_run() -> Iterator[None]:
    """Draw with a run's settings, and more examples, for they cost nothing here."""
    settings.register_profile("strategies", settings_for_hosts(400), database=None, derandomize=True)
    settings.load_profile("strategies")
    yield
    settings.load_profile("own")


def test_a_password_that_is_changed_is_shrunk() -> None:
    """The one reported last is the first member of the first class that shows the change, and not the one drawn."""

    def is_changed(password: str) -> bool:
        return len(password) > 4 and password.isalnum()

    drawn = []

    def check(password: str) -> None:
        drawn.append(password)
        assert not is_changed(password)

    with pytest.raises(AssertionError):
        for_more_passwords(check)
    changed = [password for password in drawn if is_changed(password)]
    classes = [each for each in PASSWORD_CLASSES.values() if each.weight and each.accepted]
    members = (each.member(number) for each in classes for number in range(10_000))
    assert changed[-1] == next(filter(is_changed, members)) != changed[0]


def test_what_is_drawn_can_be_an_account() -> None:
    """Every password that is drawn is accepted by the registry, and many are drawn."""
    drawn: set[str] = set()
    for_more_passwords(drawn.add)

    assert len(drawn) > 50
    assert [password for password in drawn if unusable("user", password)] == []
