"""Passwords that tell changes apart: short ones aimed at one change each, and dense ones that hold many hazards."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_PASSWORD = 72  # bytes: bcrypt takes no more

# Fragments that one program or another treats in its own way.
HAZARDS = (
    *("$w", ":", " #", "'", "%41", "\\n", "{{.a}}", "&amp;", "\u00e4", '"', "\u20ac", "<b>", "$$", "\t", "=", ","),
    *("  ", "\r\n", "@", "/", "?", ";", "+", "''", "${X}", "$(x)", "$$(X)", "`x`", "%%", "%s", "%X%", "{#a#}"),
    *("\\\\", "\\", "\u00e9", "e\u0301", "\ufb01", "\U0001f600", "\u200b", "\xa0", "\n", "\r", "\x07", "[", "}"),
    *("%", "$"),
)

_QUOTED = "quoted"
_BEFORE = (" ", "\t", "\n", "\ufeff", "\ufeff", _QUOTED)
_AFTER = ("\n", "\n", "\r\n", " ", "=", _QUOTED)
_ROOM = LONGEST_PASSWORD - len("\ufeffa0\r\n".encode())


def dense(number: int) -> str:
    """Make a password of many hazards: the first numbers give one, two, three … of them.

    Larger numbers give as many as bcrypt's 72 bytes hold, in any order, with something at the edges.
    """
    if number < len(HAZARDS):
        return "a" + _fitting(HAZARDS[: number + 1]) + "0"
    dice = random.Random(number)  # noqa: S311 - examples, not secrets
    before, after = dice.choice(_BEFORE), dice.choice(_AFTER)
    if _QUOTED in {before, after}:
        before = after = dice.choice("'\"")
    return crowded(dice, before, after)


def crowded(dice: random.Random, before: str, after: str) -> str:
    """Make a password of as many hazards as fit, in any order, between two given edges."""
    return f"{before}a{_fitting(dice.sample(HAZARDS, k=len(HAZARDS)))}0{after}"


def _fitting(hazards: Sequence[str]) -> str:
    text = ""
    for hazard in hazards:
        if len((text + hazard).encode()) <= _ROOM:
            text += hazard
    return text


# Base64 and hexadecimal: docs/palette.md §2.4, and what tells the remaining decoders apart.
_ENCODED = (
    *("Passw0rdPassw0rd", "Passw0rdPassw0rdX", "Passw0rdPassw0rdXy", "Passw0rdPassw0rdXyZ", "SGFybmVzc1Byb2Jl"),
    *("1234567890123456", "abcdefghijklmnop", "Pass+w0rd/Passw0", "SGFybmVzc1ByeA==", "Passw0rdPassw0==", "aB3="),
    *("Pass-w0rd_Passw0", "Passw0rd!Passw0r", "Passw0rd!Passw0rd", "Pa!sw#rd*Passw0r", "Passw0rdPassw0rd\n", "ab"),
    *(
        "cWhIZEJ0ZEHDqcOx",
        "ab-_Zg",
        "ab+_Zg==",
        "Passw0rdYWI=",
        "deadbeef",
        "4142",
        "123e4567-e89b-12d3-a456-4266141740",
    ),
    *("a?>~", "x" * 60, "=", "==", "a=", "YR==", "QQ==X", "!", "a", "0", "\n", " ", "WVdKag==", "-x", "--"),
)
_EDGES = (
    *(
        " a",
        "a ",
        " a ",
        "a b",
        "a  b",
        "\ta",
        "a\tb",
        "\xa0a",
        "a\n",
        "a\r\n",
        "a\n\r\n",
        "a\r\n\n",
        "a\r\nb\n",
        "a\rb",
    ),
    *("a\nb", "\ufeffa", "a\u2028", "'a'", '"a"', "'a\"'", "a:b:c", "a#b", "a #b", "a=b", "a&b", "a;b", "a,b", "a@b"),
    *(
        "a/b",
        "a?b",
        "a%b",
        "a'b",
        'a"b',
        "123456789",
        "x" * 33,
        "x" * 72,
        "\u00e4" * 36,
        "a\x07b",
        "\x1fa\x1f",
        "a\x7f",
    ),
)
_PROGRAMS = (
    *("a$b", "a$$b", "${a}", "$(a)", "`a`", "$$(A)", "a$1", "$", "\\$a", "a\\ b", "'a b'", "%a%", "%%a", "100%", "%41"),
    *(
        "%zz",
        "%c3",
        "%s",
        "%d",
        "a+b",
        "a%2Bb",
        "{{.a}}",
        "{{a}}",
        '{{"a"}}',
        "{{ .a }}",
        "{#a#}",
        "{% a %}",
        "{{a}}\n",
    ),
    *("<a>", "a<b", "&amp;", "&copy;", "&#38;", "&apos;", "&lt;=", "a\\b", "\\n", "\\u0041", "\\x41", "\\0101", '\\"'),
    *("''", "a''b", "\\", "\\\\", "[a", "a`b", "a~b", "a|b", "a*b", "a!b"),
)
_YAML = (
    *("yes", "no", "on", "y", "true", "null", "~", "0123", "0o17", "0x1F", "0b11", "1_000", "1e3", "1.10", "12:30:45"),
    *("2024-01-01", "2024-01-01T00:00:00Z", ".inf", ".nan", "12345678", "123456789", "1234567.5", "+1", "0.", "08"),
    *("!a", "#a", "*a", "&a", "&a b", "@a", "|", ">", "- a", "? a", "a: b", "{a", ",a", "<<", "!!str a", "1e400"),
    *("123456789012345678901234567890", "16777217", "0474915", "72044e0"),
)
_CHARACTERS = (
    *("\u00e9", "e\u0301", "\ufb01", "\uff21", "\u20ac", "\u0436", "\U0001f600", "a\u200bb", "\u202ea", "\u00df"),
    *(
        "\u017f",
        "\u0130",
        "\u212b",
        "\u00e4b\U0001f600c",
        "A",
        "aB",
        "Ab",
        "\u00c9",
        "a\u00e9b\u20ac",
        "\x80",
        "\u0081",
    ),
)
_DENSE = 400

# What bcrypt takes in part only, or what no careful program passes on: NUL, and more than 72 bytes.
BEYOND = ("a\0b", "\0a\0", "x" * 73, "\0" + "x" * 72 + "\0y")


def pool() -> tuple[str, ...]:
    """Return the passwords among which a probe set is sought; the same ones every time."""
    plain = (*_ENCODED, *_EDGES, *_PROGRAMS, *_YAML, *_CHARACTERS)
    return tuple(dict.fromkeys((*plain, *map(dense, range(len(HAZARDS) + _DENSE)), *BEYOND)))
