"""Generated passwords for tests that need thousands of them, in milliseconds and the same every time."""

from __future__ import annotations

import random
from collections.abc import Iterator

from fixtures.credential_classes import PASSWORD_CLASSES

_ALPHABETS = (
    "aB3",
    "0123456789._:+-eExob",
    "~yesnoNULLtrueonff",
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ",
    "\t\n\r \x85\xa0\u2028\ufeff",
    "äß\u00e9😀\u0130\u017fK\u0301\u200b",
    "\x00\x01\x07\x1b\x7f",
    "abcdef0123",
    "{{.a}} {%#%}",
    "$(A)${B}$$`x`",
    "\\nutx0141'\"",
    "&amp;&lt;&#38;<b>",
)
_LENGTHS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 40, 73)


def hostile(count: int, *, seed: int) -> Iterator[str]:
    """Make passwords from a few alphabets of special characters each, of any length up to 73 characters."""
    dice = random.Random(seed)  # noqa: S311 - test data
    for _ in range(count):
        alphabet = "".join(dice.choices(_ALPHABETS, k=dice.choice((1, 1, 2, 3))))
        yield "".join(dice.choices(alphabet, k=dice.choice(_LENGTHS)))


def members(count: int, *, seed: int) -> Iterator[str]:
    """Draw members of the classes, each class as often as the other."""
    dice = random.Random(seed)  # noqa: S311 - test data
    for _ in range(count):
        yield dice.choice([*PASSWORD_CLASSES.values()]).member(
            dice.choice((dice.randrange(30), dice.randrange(1 << 24)))
        )


POOL = tuple(dict.fromkeys((*hostile(3000, seed=20261122), *members(1500, seed=20261122))))
