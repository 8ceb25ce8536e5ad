"""Requirements, cases and the guide hold on to each other."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import pytest

from foreign.yaml_text import read_yaml
from harness import guide, requirements
from harness.requirements import BadRequirementsError
from harness.tracebacks import SUITES
from tests.harness.collected import Case, collect

_FENCE = re.compile(r"^\s*```.*?^\s*```\s*$", re.DOTALL | re.MULTILINE)
_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`])")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
RECORD = """\
- id: DEPLOY-01
  claim: A cluster pulls its image.
  section: Introduction
  level: must
  phases: [deploy]
"""


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Collect the suites as a run would, nightly cases too."""
    return collect(tmp_path_factory.mktemp("collected") / "cases.json", "suites")


def test_every_requirement_has_a_case(cases: list[Case]) -> None:
    """No statement of the guide is listed without a case that proves it."""
    proven = {name for case in cases for name in case.requirements}

    assert [name for name in requirements.load() if name not in proven] == []


def test_every_case_proves_a_requirement_that_exists(cases: list[Case]) -> None:
    """Each case names at least one requirement, and none that is not listed."""
    known = requirements.load()

    assert [case.name for case in cases if not case.requirements] == []
    assert [(case.name, name) for case in cases for name in case.requirements if name not in known] == []


def test_every_case_is_about_a_phase_of_its_requirements(cases: list[Case]) -> None:
    """A case in a phase that its requirement does not list would be evidence for something that nobody claims."""
    known = requirements.load()
    strange = [
        (case.name, name, case.phase)
        for case in cases
        for name in case.requirements
        if name in known and case.phase not in known[name].phases
    ]

    assert strange == []


#: What only a witness can give.
OF_A_WITNESS = {"witness", "presenting", "outage", "seen", "present"}


def needs_witness(module: ast.Module, node: ast.AST, looked_at: set[str]) -> bool:
    """Return whether code asks a witness, itself or through what stands at the top of its module."""
    top: dict[str, ast.AST] = {}
    for made in module.body:
        if isinstance(made, ast.FunctionDef | ast.ClassDef):
            top[made.name] = made
        elif isinstance(made, ast.AnnAssign) and isinstance(made.target, ast.Name):
            top[made.target.id] = made
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and part.attr in OF_A_WITNESS:
            return True
        if isinstance(part, ast.Name) and part.id in top and part.id not in looked_at:
            looked_at.add(part.id)
            if needs_witness(module, top[part.id], looked_at):
                return True
    return False


@pytest.mark.parametrize("file", sorted(SUITES.rglob("test_*.py")), ids=lambda file: file.name)
def test_a_case_that_asks_the_witness_says_so(file: Path) -> None:
    """Where no witness can stand a case that asks one is not covered before a host works for it, and no other is."""
    module = ast.parse(file.read_text())
    wrong = []
    for case in (made for made in module.body if isinstance(made, ast.FunctionDef) and made.name.startswith("test_")):
        marked = any(word.arg == "witness" for call in _calls(case) for word in call.keywords)
        if marked is not needs_witness(module, ast.Module(case.body, []), set()):
            wrong.append(case.name)

    assert wrong == []


def sentences(text: str) -> list[str]:
    """Split a Markdown page into sentences: prose only, links as their text, white space folded."""
    body = _FENCE.sub("\n\n", text.partition("\n---\n")[2] or text)
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-\d]+\.?\s)", body):
        words = " ".join(_LINK.sub(r"\1", paragraph).split())
        words = re.sub(r"^([-#*]+|\d+\.)\s+", "", words).replace("**", "").replace("_new_", "new")
        if words and not words.startswith(":::"):
            found += _END.split(words)
    return found


def _calls(case: ast.FunctionDef) -> list[ast.Call]:
    return [mark for mark in case.decorator_list if isinstance(mark, ast.Call)]


def test_every_case_claims_one_sentence(cases: list[Case]) -> None:
    """The docstring of a case is one sentence: what it claims."""
    wrong = [case.name for case in cases if not is_one_sentence(case.docstring)]

    assert wrong == []


def is_one_sentence(text: str) -> bool:
    """Return whether a text begins with a capital, ends with a full stop, and has no other end of a sentence within."""
    folded = " ".join(text.split())
    return bool(re.fullmatch(r"[A-Z`0-9].*[^.]\.", folded)) and not re.search(r"[a-z)`]\. [A-Z]", folded)


@pytest.mark.skipif("GUIDE" not in os.environ, reason="GUIDE names no copy of the guide")
def test_every_requirement_holds_on_to_a_sentence_of_the_guide() -> None:
    """A requirement from the guide names a sentence that is still there; a changed one is to be read again."""
    known = {guide.fingerprint(sentence) for sentence in sentences(Path(os.environ["GUIDE"]).read_text())}
    lost = [each.id for each in requirements.load().values() if each.sentence and each.sentence not in known]

    assert lost == [], f"the guide has changed; read these requirements again: {', '.join(lost)}"


def test_a_requirement_has_a_source() -> None:
    """A requirement without a sentence of the guide says where it comes from."""
    homeless = [each.id for each in requirements.load().values() if not each.sentence and each.source == "guide"]

    assert homeless == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: DEPLOY-01", "id: deploy", "[0][id]: 'deploy' does not match"),
        ("level: must", "level: should", "[0][level]: 'should' is not one of ['must',"),
        ("phases: [deploy]", "phases: []", "[0][phases]: [] "),
        ("  section: Introduction\n", "", "[0]: 'section' is a required property"),
        (
            "  level: must",
            "  level: must\n  clam: x",
            "[0]: Additional properties are not allowed ('clam' was unexpected)",
        ),
    ],
)
def test_a_wrong_record_is_named(tmp_path: Path, old: str, new: str, said: str) -> None:
    """A record that breaks the schema is refused with the file, its place, and what is wrong with it."""
    file = tmp_path / "requirements.yaml"
    file.write_text(RECORD.replace(old, new))

    with pytest.raises(BadRequirementsError) as refused:
        requirements.load(file)
    assert str(refused.value).startswith(f"requirements.yaml: {said}")


def test_the_file_says_nothing_twice() -> None:
    """No record has a key twice, of which every run would take the last one without a word."""
    assert len(read_yaml(requirements.FILE.read_bytes()).value) == len(requirements.load())


def test_a_requirement_stands_there_once(tmp_path: Path) -> None:
    """Two records with one id are refused by that id."""
    file = tmp_path / "requirements.yaml"
    file.write_text(RECORD * 2)

    with pytest.raises(BadRequirementsError, match=r"requirements\.yaml: DEPLOY-01 stands there twice"):
        requirements.load(file)


def test_sentences_are_those_a_reader_sees() -> None:
    """Links count as their text, code blocks and list marks not at all, and white space makes no difference."""
    page = (
        "# Title\n\n---\n1. Open the [profile](/x). Choose **Save**\n   now.\n\n```yaml\na: 1. B\n```\n\n- A point.\n"
    )

    assert sentences(page) == ["Open the profile.", "Choose Save now.", "A point."]
    assert guide.fingerprint("Choose  Save\nnow.") == guide.fingerprint("Choose Save now.")
