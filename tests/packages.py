"""The project's packages, from the one list of them: that of the import rules."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES: tuple[str, ...] = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["root_packages"]
)


def copy_to(place: Path) -> None:
    """Copy the project without its tests and without what runs have left in it."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__", "runs", "latest"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, place)
