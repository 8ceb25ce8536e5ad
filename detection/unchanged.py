"""What a row of the matrix depends on, as a hash: a row whose hash is the same need not be found out again."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import TYPE_CHECKING

from detection.collecting import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

#: Everything that runs when a fault is tried, except the faults themselves and the cases.
GROUND = (
    "conftest.py", "pyproject.toml", "engine", "edge", "fixtures", "harness", "detection", "lab", "palette",
    "protected", "registry",
    "suites/requirements.yaml", "suites/known_issues.yaml",
)  # fmt: skip
#: The same, where other files lie beside them: what judges, and what cases stand on.
BESIDE = ("reports/*.py", "suites/**/conftest.py")
FAULTS = ROOT / "lab" / "faults"
ENDINGS = {".py", ".json", ".yaml", ".toml", ".service", ".conf"}
#: What every fault is written with.
WORDS = ("__init__.py", "replacing.py")


def files_below(places: Iterable[Path]) -> list[Path]:
    """Return the source files at or below some places, in a fixed order."""
    found = (path for place in places for path in ([place] if place.is_file() else place.rglob("*")))
    return sorted({p for p in found if p.suffix in ENDINGS and "__pycache__" not in p.parts})


def digest(files: Iterable[Path], *more: str) -> str:
    """Hash the names and contents of files, and some text."""
    whole = hashlib.sha256()
    for path in files:
        whole.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    for text in more:
        whole.update(f"\0{text}".encode())
    return whole.hexdigest()[:24]


@cache
def ground() -> str:
    """Hash what all rows stand on: harness, lab and registry, without faults and suites."""
    files = [p for p in files_below(ROOT / name for name in GROUND) if FAULTS not in p.parents]
    files += sorted(path for pattern in BESIDE for path in ROOT.glob(pattern))
    return digest(files, *(digest([FAULTS / name]) for name in WORDS))


def key(specification: Mapping[str, object] | None, family: str, cases: Iterable[str], how: str) -> str:
    """Hash what a row depends on: the ground, the file its fault stands in, the files of its cases, how it is run."""
    own = FAULTS / f"{family}.py"
    files = [*([own] if own.exists() else []), *(ROOT / name for name in sorted(set(cases)))]
    return digest([f for f in files if f.exists()], ground(), json.dumps(specification, sort_keys=True), how)
