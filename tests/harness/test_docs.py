"""The documents and the code hold on to each other, and to nothing outside the repository."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FACTS = (ROOT / "docs" / "palette.md").read_text()


def tracked(*patterns: str) -> list[Path]:
    """Return the tracked files of the repository that match, or every file below it in a copy without git."""
    done = subprocess.run(["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return [ROOT / name for name in done.stdout.splitlines() if (ROOT / name).is_file()]
    return [path for pattern in patterns for path in ROOT.rglob(pattern)]


def test_every_fact_that_code_names_is_in_the_facts() -> None:
    """A comment that names a section or row of docs/palette.md names one that is there."""
    lost = [
        f"{path.relative_to(ROOT)}: {label}"
        for path in tracked("*.py", "*.yaml", "*.json")
        for label in re.findall(r"docs/palette\.md (§[\d.]*\d|R-\d+|X\d)", path.read_text("utf-8"))
        if not re.search(_place(label), FACTS, re.MULTILINE | re.DOTALL)
    ]

    assert lost == []


def _place(label: str) -> str:
    """Return a pattern of the heading, row or numbered line that a label means."""
    if not label.startswith("§"):
        return rf"^\| {label} \|"
    section, _, number = label[1:].partition(".")
    return rf"^## {section}\..*^{number}\. " if section == "8" else rf"^##+ {re.escape(label[1:])}[. ]"


def test_every_file_that_documents_name_is_there() -> None:
    """A path in the documents of this project is a path of this project."""
    packages = {path.relative_to(ROOT).parts[0] for path in tracked("*.py")}
    lost = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in tracked("*.md")
        for name in re.findall(r"`([\w.]+(?:/[\w.-]+)+\.(?:py|yaml|json))`", path.read_text("utf-8"))
        if name.split("/")[0] in packages and not (ROOT / name).exists() and not name.startswith("reports/")
    ]

    assert lost == []


@pytest.mark.parametrize(("walk", "most"), [("One password", 20), ("One site file", 20), ("One seeded fault", 14)])
def test_a_walk_through_the_code_is_short(walk: str, most: int) -> None:
    """What a reader has to open to follow one thing through the project stays within its limit."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    (part,) = re.findall(rf"^### {walk}.*?(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)

    assert 5 < len(set(re.findall(r"`[\w/]+\.py`", part))) <= most


def test_every_public_class_has_a_name_of_its_own() -> None:
    """No two modules define a public class of one name."""
    places: dict[str, list[str]] = {}
    for path in tracked("*.py"):
        for name in re.findall(r"^class ([A-Z]\w*)", path.read_text("utf-8"), re.MULTILINE):
            places.setdefault(name, []).append(str(path.relative_to(ROOT)))

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("word", ["Give", "Tell", "Say", "Let"])
def test_docstrings_speak_as_python_libraries_do(word: str) -> None:
    """No docstring begins with a word that libraries do not begin with: "Return …", not "Give …"."""
    begins = re.compile(rf'^\s*r?"""{word}\b', re.MULTILINE)
    found = [str(path.relative_to(ROOT)) for path in tracked("*.py") if begins.search(path.read_text("utf-8"))]

    assert found == []
