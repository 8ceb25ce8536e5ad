"""Leaving out what cannot have changed: a row's key follows everything it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from detection import unchanged

CASES = ["suites/lifecycle/test_repave.py"]
BESIDE = ["reports/verdicts.py", "suites/known_issues.yaml", "suites/limits/conftest.py"]


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small project in place of this one."""
    for name in ("lab/site.py", "lab/faults/host.py", "lab/faults/api.py", "lab/faults/replacing.py", *CASES, *BESIDE):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    (tmp_path / "lab/faults/__init__.py").touch()
    monkeypatch.setattr(unchanged, "ROOT", tmp_path)
    monkeypatch.setattr(unchanged, "FAULTS", tmp_path / "lab/faults")
    return tmp_path


def key(**different: object) -> str:
    """Return the key of a row."""
    unchanged.ground.cache_clear()
    given = {"specification": {"name": "x"}, "family": "host", "cases": CASES, "how": "seed 1", **different}
    return unchanged.key(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["lab/site.py", "lab/faults/host.py", "lab/faults/replacing.py", *CASES, *BESIDE])
def test_a_row_is_found_out_again_when_something_it_stands_on_changed(copy: Path, name: str) -> None:
    """The lab, the file of the fault, the words of faults, the files of the cases and what judges them all count."""
    before = key()
    (copy / name).write_text("# another\n")

    assert key() != before


@pytest.mark.parametrize("name", ["lab/faults/api.py", "suites/other.py", "docs/new.md"])
def test_a_row_is_kept_when_something_else_changed(copy: Path, name: str) -> None:
    """Faults of another family, cases of other requirements and documents do not count."""
    before = key()
    (copy / name).parent.mkdir(exist_ok=True)
    (copy / name).write_text("# another\n")

    assert key() == before


def test_how_the_row_is_made_counts_and_so_does_a_fault_from_outside(copy: Path) -> None:
    """Another seed, or another text of a fault that is not part of the project, is another row."""
    assert copy.exists()
    assert len({key(), key(how="seed 2"), key(specification={"name": "x", "source": "..."})}) == 3
