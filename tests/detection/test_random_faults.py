"""Faults made at random: reproducible, and each a fault file of its own."""

from __future__ import annotations

import inspect

from detection.random_faults import WRONG, made
from lab import injection
from lab.faults import load
from lab.injection import Point


def test_a_seed_makes_the_same_faults_every_time() -> None:
    """The same seed gives the same sources, another one others, and no two faults of a seed are alike."""
    first, again, other = ([each["source"] for each in made(50, seed)] for seed in (7, 7, 8))

    assert first == again
    assert len({source.partition("at=")[2] for source in first}) == 50
    assert first != other


def test_more_faults_than_there_are_is_all_of_them() -> None:
    """A number that is too large ends as any other."""
    every = list(made(10**6, 1))

    assert 1000 < len(every) == len({each["source"].partition("at=")[2] for each in every})


def test_every_random_fault_can_be_loaded_and_called() -> None:
    """Whatever is made is a fault of an existing injection point, with a replacement that takes what that gives."""
    assert [name for name in WRONG if not isinstance(getattr(injection, name, None), Point)] == []
    for each in made(1000, 1):
        fault = load(each)
        ((point, replacement),) = fault.replacements.items()
        arguments = point.meaning[1 : point.meaning.index(")")].split(", ")

        inspect.signature(replacement).bind(None, *filter(None, arguments), where=injection.Where())
        assert fault.catches == ()
