"""Provider images on their way into the private registry."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness import provider_images
from harness.provider_images import MIB, Copying


def test_a_long_copy_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, and no more often, somebody who waits hears how much is there and how far a layer is."""
    clock = iter([1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr(provider_images, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said: list[str] = []
    copying = Copying(said.append)
    for digest, moved in (("sha256:aa", 10), ("sha256:aa", 100), ("sha256:bb", 50), ("sha256:bb", 150)):
        copying(digest, moved * MIB, 200 * MIB)

    assert said == [
        "100 MiB of the provider image are there; a layer of 200 MiB: 50%",
        "250 MiB of the provider image are there; a layer of 200 MiB: 75%",
    ]
