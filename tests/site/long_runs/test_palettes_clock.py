"""The doctor holds Palette's clock against this machine's."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from doctor.findings import Kind
from doctor.in_palette import look_at_palette
from tests.site.long_runs.stage import Stage


@pytest.mark.parametrize(
    ("seconds", "told"), [(86400, "86400 s ahead"), (-600, "600 s behind")], ids=["a day ahead", "ten minutes behind"]
)
def test_a_palette_of_another_time_is_one_finding(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, seconds: int, told: str
) -> None:
    """A Palette whose clock (its ``Date`` header) is off by more than a minute is found once, with which way."""
    monkeypatch.setattr(
        "aiohttp.web_response.rfc822_formatted_time", lambda: formatdate(time.time() + seconds, usegmt=True)
    )
    found = [finding for finding in look_at_palette(stage.site).findings if finding.kind is Kind.CLOCK]

    assert len(found) == 1
    number, unit, way = told.split()
    words = str(found[0]).split()
    assert abs(int(words[words.index("is") + 1]) - int(number)) <= 30
    assert f" {unit} {way} of this machine's; set the clock" in str(found[0])


def test_a_palette_of_the_same_time_is_no_finding(stage: Stage) -> None:
    """Clocks that agree are not mentioned."""
    assert not [finding for finding in look_at_palette(stage.site).findings if finding.kind is Kind.CLOCK]
