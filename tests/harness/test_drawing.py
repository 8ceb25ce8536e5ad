"""What properties draw follows from level and seed, wherever they run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness.collected import collect

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("environment", [{}, {"CI": "true"}], ids=["here", "build server"])
@pytest.mark.parametrize(("level", "examples"), [("default", 20), ("nightly", 150), ("certification", 150)])
def test_a_level_says_how_many_examples(tmp_path: Path, level: str, examples: int, environment: dict[str, str]) -> None:
    """Every property draws as many examples as its level says, with the run's seed, on a build server as well."""
    cases = collect(tmp_path / "cases.json", "suites/credentials/test_passwords.py", "--level", level, **environment)
    properties = {case.name.rpartition("::")[2]: case.examples for case in cases if "probe" not in case.name}

    assert properties == {
        "test_deploy_presents_the_password_unchanged": examples,
        "test_repave_presents_the_password_unchanged": examples,
    }
