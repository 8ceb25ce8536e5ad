"""The catalogue of seeded faults: what it holds, and who may know of it."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab import injection
from lab.faults import catalogue, families, load, specify
from lab.faults.credentials import ELSEWHERE, INVISIBLE
from registry.hazards import BEYOND, pool
from registry.transforms import TRANSFORMS, Context, transform
from tests.packages import PACKAGES

ROOT = Path(__file__).parents[2]
FEWEST = 180
FAMILIES = 9
MANUAL = ROOT / "docs" / "faults.md"


def test_there_are_enough_faults() -> None:
    """The catalogue has 180 faults beside known changes of a password."""
    assert len(families()) == FAMILIES
    assert sum(not fault.change for fault in catalogue().values()) >= FEWEST


def test_every_known_change_is_seeded_or_explained() -> None:
    """Each transform of the catalogue is a fault on the repave road, or is listed as one that nobody could see."""
    seeded = {fault.change for fault in catalogue().values() if fault.road == "on-repave"}

    assert seeded | INVISIBLE | ELSEWHERE == {known.id for known in TRANSFORMS}
    assert not seeded & (INVISIBLE | ELSEWHERE)


@pytest.mark.parametrize("name", sorted(INVISIBLE))
def test_what_is_called_invisible_is_invisible(name: str) -> None:
    """A change that is left out as invisible alters no password that the registry accepts."""
    rule = transform(name)

    assert [password for password in pool() if password not in BEYOND and rule.changed(Context(password))] == []


def test_every_injection_point_is_asked_by_the_lab_and_taken_over_by_a_fault() -> None:
    """No injection point is documented in vain: the lab asks each, and some fault shows what it is good for."""
    constants = {name: value for name, value in vars(injection).items() if isinstance(value, injection.Point)}
    sources = [
        p
        for p in (ROOT / "lab").rglob("*.py")
        if "faults" not in p.relative_to(ROOT).parts and p.name != "injection.py"
    ]
    asked = set().union(*(re.findall(r"\bat\(\s*(?:injection\.)?([A-Z_]+)", path.read_text()) for path in sources))
    taken = {point for fault in catalogue().values() for point in fault.replacements}

    assert set(constants) - asked == set(), "injection points that the lab never asks"
    assert {name for name, point in constants.items() if point not in taken} == set(), (
        "injection points that no fault takes over"
    )


def test_replacements_take_what_their_injection_point_gives() -> None:
    """A replacement can be called with the healthy function and the arguments that its injection point names."""
    wrong = []
    for fault in catalogue().values():
        for point, replacement in fault.replacements.items():
            arguments = _arguments(point.meaning)
            signature = inspect.signature(replacement)
            try:
                signature.bind(None, *arguments, **{"where": None} if "where" in signature.parameters else {})
            except TypeError as error:
                wrong.append(f"{fault.name} at {point.name}: {error}")
    assert wrong == []


def _arguments(meaning: str) -> list[str]:
    inside = meaning[1 : meaning.index(")")]
    return [part for part in inside.split(", ") if part]


JUDGES = (*(name for name in PACKAGES if name not in {"lab", "detection"}), "conftest.py")


@pytest.mark.parametrize("place", JUDGES)
def test_nobody_who_judges_knows_a_fault(place: str) -> None:
    """No case, fixture, client or report mentions a fault's name: faults are visible to the lab only."""
    known = set(catalogue()) - {"strict-base64"}
    files = [ROOT / place] if (ROOT / place).is_file() else sorted((ROOT / place).rglob("*.py"))
    found = [f"{path.name}: {text}" for path in files for text in _texts(path) if text in known]

    assert found == []


def _texts(path: Path) -> set[str]:
    """Return every text of a module, whole."""
    tree = ast.parse(path.read_text())
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_faults_need_nothing_that_an_edge_host_lacks() -> None:
    """All faults can be loaded with the standard library, PyYAML, the lab's agent and the transforms alone."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "from lab.faults import catalogue; catalogue()\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "rooms = {n for n in sys.modules if n.startswith(('lab.', 'registry.'))}\n"
        "print(sorted(new - set(sys.stdlib_module_names)))\n"
        "print(sorted(n for n in rooms if n.startswith(('lab.palette', 'lab.site', 'lab.hosts', 'lab.images'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)
    foreign, others = map(ast.literal_eval, done.stdout.splitlines())

    foreign = [name for name in foreign if "cython" not in name]  # what PyYAML's own compiled part brings along

    allowed = {"lab", "registry", "yaml", "_yaml"}
    assert [name for name in foreign if name not in allowed and "cython" not in name] == []
    assert others == []


def test_the_manuals_example_is_a_fault(tmp_path: Path) -> None:
    """The ten lines of docs/faults.md, in a file outside the project, are a fault by either of its names."""
    example = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)[0]
    file = tmp_path / "mine.py"
    file.write_text(example)

    assert load(specify(f"{file}:BACKWARDS")).name == "backwards"
    assert load(specify(f"{file}:backwards")).catches == ("REPAVE-03",)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
