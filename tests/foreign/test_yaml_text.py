"""YAML that says a thing twice, or that is too deep, too large or without end, is refused with its line."""

from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foreign.yaml_text import BadYamlError, read_yaml

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3", 3, "'a' stands here again; it is on line 1 already"),
        ("x:\n  - b: 1\n    'b': 2", 3, "'b' stands here again"),
        ("x: &a {b: 1}\ny:\n  <<: *a", 3, "'<<' takes keys from elsewhere"),
        ("[" * 100, 1, "nested deeper than 30 levels"),
        ("[" * 100_000, 1, "nested deeper than 30 levels"),
        (LAUGHS, 1, "aliases that make it too large"),
        ("a: &a [*a]", 1, "aliases that make it too large"),
        ("a: " + "x" * (1 << 20), 0, "larger than 1024 KiB"),
        ("? [1]\n: 2", 1, "a key that is no word"),
        ("a: !secret 1", 1, "a tag"),
        ("a: !!python/object:os.system x", 1, "a tag"),
        ("a: 1\n---\nb: 2", 2, "a second document"),
        ("a:\n\t- b", 2, "a tab"),
        ("a: \x01", 1, "control character"),
        ("a: 2024-13-45", 1, "month must be in 1..12"),
        ("a: *b", 1, "undefined alias"),
        (b"a: 1\n\xff", 2, "no UTF-8"),
    ],
)
def test_bad_yaml_is_one_line(text: str | bytes, line: int, said: str) -> None:
    """Each is refused at once, with its line and in plain words."""
    began = time.monotonic()
    with pytest.raises(BadYamlError) as refused:
        read_yaml(text)

    assert (refused.value.line, said in refused.value.said) == (line, True), str(refused.value)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - began < 5


def test_each_place_has_its_line() -> None:
    """The line of a key, of an item, and of what is missing: that of what is around it."""
    written = read_yaml("a: 1\nb:\n  - c: 2\n    d: {e: 3}\n  - 4\n")

    assert written.value == {"a": 1, "b": [{"c": 2, "d": {"e": 3}}, 4]}
    places = ("a", "b", "b[0].c", "b[0].d.e", "b[1]", "b[0].gone", "b[7]", "gone", "")
    assert [written.line_of(place) for place in places] == [1, 2, 3, 4, 5, 3, 2, 0, 0]


def test_only_text_stays_as_it_was_written() -> None:
    """A version stays a version and a date a text."""
    assert read_yaml("a: 4.10\nb: 2026-11-22", only_text=True).value == {"a": "4.10", "b": "2026-11-22"}
    assert read_yaml("").value is None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    """Whatever a document says once is read as YAML's own reader reads it."""
    text = yaml.safe_dump(value)
    assert read_yaml(text).value == yaml.safe_load(text)


@given(st.text("ab:-[]{}\"'|>&*!%#, \n\t0", max_size=60) | st.binary(max_size=60))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    """No text ends in another exception."""
    try:
        read_yaml(text)
    except BadYamlError as error:
        assert str(error)  # noqa: PT017 - it may also be right
