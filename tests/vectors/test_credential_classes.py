"""The classes of credentials and the deck: each class holds what it says, and every property is drawn."""

from __future__ import annotations

import os
import random
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from fixtures.credential_classes import PASSWORD_CLASSES, USERNAME_CLASSES, CredentialClass
from fixtures.deck import deck, one_round, size_of
from fixtures.members import FRAGMENTS
from fixtures.vectors.catalogue import KINDS
from harness.drawing import EXAMPLES
from registry.htpasswd import unusable
from registry.transforms.base import Context, Transform
from registry.transforms.base64_rules import BASE64
from registry.transforms.classes import CLASSES, classes_of

SEEDS = range(1, 101)
MEMBERS = [*range(80), *random.Random(20261122).choices(range(1 << 24), k=300)]  # noqa: S311 - test data
ROUND = len(one_round())
#: What no password that a registry holds as a whole can be.
BEYOND_REGISTRIES = {"nul", "over-72"}


@pytest.mark.parametrize("drawn", [PASSWORD_CLASSES, USERNAME_CLASSES], ids=["passwords", "usernames"])
def test_every_class_comes_once_before_any_comes_twice(drawn: Mapping[str, CredentialClass]) -> None:
    """A round of the deck has each class as often as it weighs; classes that may not arrive unchanged are not in it."""
    assert Counter(one_round(drawn)) == {name: each.weight for name, each in drawn.items() if each.weight}
    assert all(each.accepted for each in drawn.values() if each.weight)


@cache
def decks() -> list[list[str]]:
    """Return what a default run presents with each seed."""
    return [deck(seed, ROUND) for seed in SEEDS]


@pytest.mark.parametrize("name", sorted(set(CLASSES) - BEYOND_REGISTRIES))
def test_nearly_every_seed_draws_a_password_of_every_property(name: str) -> None:
    """Of 100 seeds at least 95 have a password with the property among those of a default run, and one without it."""
    having = [[CLASSES[name].contains(password.encode()) for password in passwords] for passwords in decks()]

    assert sum(map(any, having)) >= 95
    assert name == "any" or not any(map(all, having))


#: One rule leaves nothing of most passwords.
@pytest.mark.parametrize(
    "change", [each for each in BASE64 if each.id != "base64-prefix"], ids=lambda change: change.id
)
def test_the_first_password_that_is_decoded_shows_that_it_was(change: Transform) -> None:
    """No seed begins with a password that decoding leaves nothing of: a missing login would be named, not decoding."""
    for passwords in decks():
        applied = ((each.encode(), change.apply(Context(each.encode()))) for each in passwords)
        assert next((after for before, after in applied if after != before), None) != b""


def test_a_site_that_asks_for_less_gets_the_beginning_of_the_same_deck() -> None:
    """Fewer examples are the first ones of the same seed; more go on after a whole round."""
    assert size_of(EXAMPLES["default"]) == ROUND
    assert 1 <= size_of(1) < ROUND < size_of(EXAMPLES["nightly"])
    assert deck(7, size_of(1)) == deck(7, 2 * ROUND)[: size_of(1)]


def classes() -> list[tuple[CredentialClass, Callable[[str], tuple[str, str]]]]:
    """Return every class, and how its members make a credential."""
    of_passwords = [(each, lambda value: ("user", value)) for each in PASSWORD_CLASSES.values()]
    of_usernames = [(each, lambda value: (value, "Passw0rd!")) for each in USERNAME_CLASSES.values()]
    return [*of_passwords, *of_usernames]


@pytest.mark.parametrize(("each", "credential"), classes(), ids=lambda value: getattr(value, "name", ""))
def test_a_class_is_accepted_as_a_whole_or_not_at_all(
    each: CredentialClass, credential: Callable[[str], tuple[str, str]]
) -> None:
    """The registry accepts every member of a class that says so, and no member of one that does not."""
    for number in MEMBERS:
        assert (unusable(*credential(each.member(number))) is None) == each.accepted, ascii(each.member(number))


PRINT_MEMBERS = """
from tests.vectors.test_credential_classes import MEMBERS, PASSWORD_CLASSES, USERNAME_CLASSES
for each in (*PASSWORD_CLASSES.values(), *USERNAME_CLASSES.values()):
    print(each.name, ascii([each.member(number) for number in MEMBERS[::8]]))
"""


def test_a_class_makes_the_same_members_in_every_process() -> None:
    """A member has the same value every time, so that an example can be drawn again from its number."""
    first, second = (
        subprocess.run(
            [sys.executable, "-c", PRINT_MEMBERS],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": seed_of_hashes},
            capture_output=True,
            check=True,
        ).stdout.splitlines()
        for seed_of_hashes in ("1", "2")
    )

    assert len(first) == len(PASSWORD_CLASSES) + len(USERNAME_CLASSES)
    assert first == second


@pytest.mark.parametrize(
    ("name", "within"),
    [
        ("alphanumeric", {"alphanumeric", "base64", "base64-unpadded"}),
        ("alphanumeric-unpadded", {"alphanumeric", "base64-unpadded"}),
        ("alphanumeric-odd", {"alphanumeric"}),
        ("base64-text", {"base64"}),
        ("base64-padding", {"equals"}),
        ("base64-twice", {"base64"}),
        ("colon", {"colon"}),
        ("quotes", {"special"}),
        ("backslash", {"backslash"}),
        ("markup", {"markup"}),
        ("blanks", {"blank"}),
        ("latin-1", {"non-ascii"}),
        ("unicode", {"non-ascii"}),
        ("normal-forms", {"non-ascii"}),
        ("yaml-indicators", {"yaml-special"}),
        ("yaml-typed", {"yaml-typed"}),
        ("workaround", {"special"}),
        ("nul", {"nul"}),
        ("too-long", {"over-72"}),
    ],
)
def test_members_belong_to_their_class(name: str, within: set[str]) -> None:
    """Every member of a class has the property for which the class is there."""
    for number in MEMBERS:
        password = PASSWORD_CLASSES[name].member(number)
        assert within <= set(classes_of(password.encode())), ascii(password)


@pytest.mark.parametrize("each", [*PASSWORD_CLASSES.values(), *USERNAME_CLASSES.values()], ids=lambda each: each.name)
def test_no_member_refers_to_a_macro(each: CredentialClass) -> None:
    """Palette replaces ``{{.spectro…}}`` by a macro's value, so no credential with it has to arrive unchanged."""
    assert [member for number in range(3000) if "spectro" in (member := each.member(number))] == []


def test_odd_alphanumerics_are_no_base64() -> None:
    """The control class holds alphanumerics that no strict decoder accepts, the unpadded one those that some do."""
    for number in MEMBERS:
        assert len(PASSWORD_CLASSES["alphanumeric-odd"].member(number)) % 4 == 1
        assert len(PASSWORD_CLASSES["alphanumeric-unpadded"].member(number)) % 4 in {2, 3}
        assert len(PASSWORD_CLASSES["alphanumeric"].member(number)) % 4 == 0


def test_every_row_of_the_research_has_a_class() -> None:
    """Each password row that is about single values has a class; what a class cannot express is listed here."""
    relations = {"P-09", "P-31", "P-33"}  # an API's schema, the user name, a rotation: not a set of passwords
    rows = {row for each in PASSWORD_CLASSES.values() for row in each.rows}

    assert rows | relations == KINDS["passwords"].required_rows


@pytest.mark.parametrize("seed", range(20))
def test_what_is_drawn_is_accepted(seed: int) -> None:
    """What a deck has can always be an account of the registry, and is never empty or a mask."""
    names = deck(seed, len(one_round(USERNAME_CLASSES)), USERNAME_CLASSES)
    for password in deck(seed, ROUND):
        assert [unusable(name, password) for name in names if unusable(name, password)] == []
        assert password
        assert set(password) != {"*"} or len(password) == 1


@pytest.mark.parametrize("seed", range(10))
def test_a_round_begins_and_ends_with_every_special_character(seed: int) -> None:
    """Whatever a program makes of the first or the last character, or of a known fragment, one password shows it."""
    passwords = deck(seed, ROUND)

    assert set(string.punctuation) <= {password[0] for password in passwords}
    assert set(string.punctuation) <= {password[-1] for password in passwords}
    assert [fragment for fragment in FRAGMENTS if not any(fragment in password for password in passwords)] == []
