"""What a fault is told at an injection point, and what is kept of what it did there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from lab.faults import fault
from lab.faults.replacing import afterwards, beforehand, when
from lab.injection import DEPLOY_CREDENTIAL, UPGRADE_PULL, Behaviour, FaultError, Point, Touch, Where


def touches(replacement: Callable[..., Any], healthy: Callable[..., Any], point: Point, *args: object) -> list[bool]:
    """Return for each thing that was noted whether it was something else than the healthy thing."""
    noted: list[Touch] = []
    wrong = fault("wrong", at=point, replace=replacement, catches=[], because="a test")
    behaviour = Behaviour((wrong,), note=noted.append)
    for _twice in range(2):
        try:
            behaviour.at(point, healthy, *args)
        except ValueError:
            continue
    assert {(touch.fault, touch.point) for touch in noted} == {("wrong", point.name)}
    return [touch.differed for touch in noted]


def test_a_fault_that_asks_is_told_where_it_is() -> None:
    """A keyword-only ``where`` has what is known everywhere and at this injection point; without it, nothing."""
    told: list[Where] = []

    def asks(healthy: Callable[..., str], found: str, *, where: Where) -> str:
        told.append(where)
        return healthy(found)

    wrong = fault("asks", at=DEPLOY_CREDENTIAL, replace=asks, catches=[], because="a test")
    behaviour = Behaviour((wrong,), Where(node="edge-2", attempt=1))

    assert behaviour.at(DEPLOY_CREDENTIAL, str.upper, "x", phase="deploy", attempt=2) == "X"
    assert told == [Where(node="edge-2", attempt=2, phase="deploy")]


def test_a_fault_of_some_places_is_healthy_elsewhere() -> None:
    """``when`` makes a replacement act where its condition is met, on a place or on the healthy value."""
    wrong = fault(
        "gated", at=DEPLOY_CREDENTIAL, replace=when(lambda at, value: at.node == "edge-2" and len(value) > 1,
        lambda _healthy, found: found + "!"), catches=[], because="a test",
    )  # fmt: skip
    behaviour = Behaviour((wrong,))
    given = [behaviour.at(DEPLOY_CREDENTIAL, str, text, node=n) for text in ("a", "ab") for n in ("edge-1", "edge-2")]

    assert given == ["a", "a", "ab", "ab!"]


@pytest.mark.parametrize(
    ("replacement", "healthy", "differed"),
    [
        (lambda healthy, found: healthy(found), list, [False]),
        (lambda healthy, found: [*healthy(found), 1], list, [True]),
        (lambda _healthy, found: found.append(1) or found, lambda found: found, [True]),
        (lambda healthy, found: healthy(found), int, [False]),
        (lambda _healthy, _found: None, int, [True]),
    ],
    ids=["the same", "another", "changed in place", "the same error", "no error"],
)
def test_what_differs_from_the_healthy_value_is_noted_once(
    replacement: Callable[..., Any], healthy: Callable[..., Any], differed: list[bool]
) -> None:
    """Each fault is noted once for every injection point that asked it, again when something else came of it."""
    argument: list[int] | str = "x" if healthy is int else []

    assert touches(replacement, healthy, DEPLOY_CREDENTIAL, argument) == differed


def test_what_has_effects_is_not_done_twice() -> None:
    """A pull is not repeated to see what a fault changes: a fault there counts as different once it is asked."""
    done: list[str] = []

    assert touches(lambda healthy, image: healthy(image), done.append, UPGRADE_PULL, "image") == [True]
    assert done == ["image"] * 2  # once for each time that it was asked


def test_a_watched_fault_changes_nothing_and_is_noted() -> None:
    """What a fault would have done is noted as of one in force, and the healthy thing is done, once where it counts."""
    noted, done = list[Touch](), list[str]()
    gated = when(lambda _at, value: value == "X", lambda _healthy, _found: "!")
    watched = (
        fault("gated", at={DEPLOY_CREDENTIAL: gated}, catches=[], because="a test"),
        fault("pull", at=UPGRADE_PULL, replace=lambda _healthy, _image: None, catches=[], because="a test"),
    )
    behaviour = Behaviour(note=noted.append, watched=watched)

    assert [behaviour.at(DEPLOY_CREDENTIAL, str.upper, text) for text in ("y", "x")] == ["Y", "X"]
    assert [(touch.fault, touch.differed) for touch in noted] == [("gated", False), ("gated", True)]
    behaviour.at(UPGRADE_PULL, done.append, "image")
    assert done == ["image"]
    assert noted[-1] == Touch("pull", "upgrade-pull", differed=True)


@pytest.mark.parametrize("healthy", [str.upper, int], ids=["gives", "raises"])
def test_watched_faults_cost_no_more_of_the_healthy_thing(healthy: Callable[[str], Any]) -> None:
    """However many are watched, it is done once; again only with other arguments, and not for one that differed."""
    asked: list[str] = []

    def asking(found: str) -> object:
        asked.append(found)
        return healthy(found)

    replacements = [afterwards(lambda it: it), beforehand(lambda found: found), beforehand(lambda found: found + "1")]
    watched = [
        fault(f"{number}", at=DEPLOY_CREDENTIAL, replace=replacement, catches=[], because="a test")
        for number, replacement in enumerate(replacements)
    ]
    behaviour = Behaviour(watched=tuple(watched))
    for _twice in range(2):
        with suppress(ValueError):
            behaviour.at(DEPLOY_CREDENTIAL, asking, "x")

    assert asked == ["x", "x1", "x"]
    assert [touch.fault for touch in behaviour.touches if touch.differed] == ["2"]


def test_a_watched_fault_does_not_see_those_in_force() -> None:
    """Beside a fault in force, a watched one is held to the healthy value."""
    in_force, watched = (
        (fault(name, at=DEPLOY_CREDENTIAL, replace=lambda _h, _f: "!", catches=[], because=""),) for name in "ab"
    )
    behaviour = Behaviour(in_force, watched=watched)

    assert behaviour.at(DEPLOY_CREDENTIAL, str.upper, "x") == "!"
    assert behaviour.touches == {Touch(name, "deploy-credential", differed=True) for name in "ab"}


def test_a_fault_that_is_wrong_itself_is_not_told_as_an_outage() -> None:
    """A replacement with a mistake of programming ends as that, with its name, at whatever injection point."""
    wrong = fault(
        "wrong", at=DEPLOY_CREDENTIAL, replace=lambda _healthy, found: found.user_name, catches=[], because=""
    )

    with pytest.raises(FaultError, match="the seeded fault wrong is itself wrong at deploy-credential: Attribute"):
        Behaviour((wrong,)).at(DEPLOY_CREDENTIAL, str.upper, "x")
