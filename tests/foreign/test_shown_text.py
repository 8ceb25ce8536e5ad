"""What is shown of foreign text: nothing invisible, no command of a build server, and in a time that ends."""

from __future__ import annotations

import time

import pytest

from edge import HostUnreachable
from edge.access import SshAccess, _trouble
from edge.conversation import Said, Script
from foreign import one_line, visible
from harness.errors import is_of_the_machine
from harness.sites.base_profile import _EXTERNAL, NO_IMAGE
from palette.versions import version_key
from reports.waivers import _version


@pytest.mark.parametrize("blank", ["\u034f", "\u115f", "\u1160", "\u2800", "\u3164", "\ufe0f", "\uffa0", "\U000e0100"])
def test_a_letter_without_a_shape_is_seen(blank: str) -> None:
    """Two texts that differ look different, also where Unicode calls what differs a letter or a mark."""
    assert visible(f"edge{blank}1") == f"edge{blank.encode('unicode_escape').decode()}1"


@pytest.mark.parametrize("text", [" ::error::x", "\u00a0::error::x", "\n\n::notice file=::x", "a\n\t::x::", "##vso[x]"])
def test_no_line_is_a_command(text: str) -> None:
    """Whatever white space stands before it."""
    assert "::" not in visible(text).rpartition("\\x3a")[0]
    assert visible(text) != text


@pytest.mark.parametrize(
    "text",
    [
        "::a" + "a" * 200_000,
        "\n" * 200_000 + "::",
        "#" * 200_000,
        "sudo " * 50_000,
        "lookup a: " * 20_000,
        " : " * 70_000,
    ],
    ids=["word", "lines", "hashes", "sudo", "lookups", "colons"],
)
def test_a_long_text_is_looked_at_in_no_time(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No pattern that is held against foreign text takes time by the square of its length."""
    access = SshAccess("10.0.0.1", "qa", tmp_path_factory.getbasetemp())
    began = time.process_time()
    one_line(text)
    NO_IMAGE.search(text)
    _EXTERNAL.search(text)
    is_of_the_machine(text[:100_000])
    trouble = _trouble(access, Said(1, b"", text.encode()), Script.of("true"))

    assert isinstance(trouble, HostUnreachable)
    assert time.process_time() - began < 5


def test_a_version_of_thousands_of_digits_is_a_version() -> None:
    """Python refuses to make a number of them; a tag or a Palette may have them."""
    assert version_key("9" * 5000) > version_key("1.33.10-k3s" + "9" * 5000)
    assert _version("9" * 5000)
