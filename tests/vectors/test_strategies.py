"""The strategies: every class holds what it says, and the seeded faults are found within the budget of examples."""

from __future__ import annotations

import importlib
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, seed, settings
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from fixtures.credential_classes import PASSWORD_CLASSES, USERNAME_CLASSES, CredentialClass
from fixtures.strategies import passwords, usernames
from fixtures.vectors.catalogue import KINDS
from harness.drawing import EXAMPLES, settings_for_hosts
from registry.htpasswd import unusable
from registry.transforms import Context, transform
from registry.transforms.classes import classes_of

BUDGET = EXAMPLES["default"]  # of the property case in a default run
SEEDS = range(40)
MEMBERS = [*range(80), *random.Random(20261122).choices(range(1 << 24), k=300)]  # noqa: S311 - test data


class Run(NamedTuple):
    """What became of one run of a property case."""

    found_at: int | None
    executions_after: int
    minimal: str


def run(fault: str, number: int, *, ignoring: str | None = None) -> Run:
    """Run the property "is presented unchanged" once, as a case does, against a pure transform."""
    executed: list[tuple[bool, str]] = []

    @seed(number)
    @settings(settings_for_hosts(BUDGET), database=None)
    @given(passwords())
    def presented_unchanged(password: str) -> None:
        changed = password != ignoring and transform(fault).changed(Context(password, "user", "old", "other"))
        executed.append((changed, password))
        assert not changed

    try:
        presented_unchanged()
    except AssertionError:
        first = next(index for index, (changed, _) in enumerate(executed) if changed)
        return Run(first + 1, len(executed) - first - 1, executed[-1][1])
    return Run(None, 0, "")


def drawn(strategy: SearchStrategy[str]) -> list[str]:
    """Return what 300 examples with one seed are."""
    found: list[str] = []

    @seed(1)
    @settings(settings_for_hosts(300), database=None)
    @given(strategy)
    def case(credential: str) -> None:
        found.append(credential)

    case()
    return found


def test_what_is_drawn_depends_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever numbers stand in the modules that a run has loaded, a seed draws the same credentials."""
    strategies = passwords(), usernames(), passwords(accepted_by_registry=False)
    before = [drawn(strategy) for strategy in strategies]
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {[*range(300)]}")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("full_of_numbers")

    assert [drawn(strategy) for strategy in strategies] == before


@pytest.mark.parametrize("fault", ["base64-alphanumeric-prefix", "base64-standard"])
def test_the_seeded_faults_are_found_and_shrunk(fault: str) -> None:
    """Either seeded fault is found in every run of 15 examples and shrinks to 0000 in at most 5 further executions."""
    runs = [run(fault, number) for number in SEEDS]

    assert all(each.found_at for each in runs)
    assert {each.minimal for each in runs} == {"0000"}
    assert max(each.executions_after for each in runs) <= 5


@pytest.mark.parametrize("fault", ["base64-alphanumeric-prefix", "base64-standard"])
def test_the_seeded_faults_are_found_without_the_simplest_example(fault: str) -> None:
    """Even where the simplest example shows nothing, nearly every run of 15 examples finds either fault."""
    runs = [run(fault, number, ignoring="0000") for number in SEEDS]

    assert sum(each.found_at is not None for each in runs) >= 0.85 * len(runs)
    assert all(each.minimal.isalnum() and len(each.minimal) % 4 == 0 for each in runs if each.found_at)


@pytest.mark.parametrize(
    "fault", ["trimmed", "cut-at-dollar", "percent-decoded", "latin-1", "yaml-unquoted", "json-escaped-go"]
)
def test_other_changes_are_found_too(fault: str) -> None:
    """A change that only special characters show is found in nearly every run, because one password holds many."""
    runs = [run(fault, number) for number in SEEDS]

    assert sum(each.found_at is not None for each in runs) >= 0.85 * len(runs)


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
from tests.vectors.test_strategies import MEMBERS, PASSWORD_CLASSES, USERNAME_CLASSES
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


@settings(max_examples=300, database=None, deadline=None)
@given(passwords(), usernames())
def test_drawn_credentials_are_accepted(password: str, username: str) -> None:
    """What is drawn by default can always be an account of the registry, and is never empty or a mask."""
    assert unusable(username, password) is None
    assert username
    assert password
    assert set(password) != {"*"} or len(password) == 1


@settings(max_examples=50, database=None, deadline=None)
@given(passwords(["nul", "too-long"], accepted_by_registry=False))
def test_what_the_registry_refuses_can_be_asked_for(password: str) -> None:
    """Classes that the registry cannot hold are drawn where they are asked for by name."""
    assert unusable("user", password) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alfanumeric"], "unknown class 'alfanumeric'; valid classes: alphanumeric, "),
        (["nul"], "registry:2 does not accept class 'nul'; pass accepted_by_registry=False"),
        ([], "no class to draw from"),
    ],
)
def test_wrong_classes_are_refused_early(arguments: list[str], message: str) -> None:
    """A class that does not exist, or that the registry cannot hold, is refused before anything is drawn."""
    with pytest.raises(InvalidArgument, match=message):
        passwords(arguments)
