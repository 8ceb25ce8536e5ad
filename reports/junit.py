"""JUnit XML that Jenkins, GitLab and GitHub tooling read.

One suite for each area of the suites (``credentials``, ``lifecycle`` …), and before them one without a case whose
properties are the facts of the run. A case's own properties (verdict, requirement, phase, vector, host) stand where
pytest's ``record_property`` puts them: inside the case. Jenkins' ``junit`` step shows them with ``keepProperties``.

*fail* and *fixed* are failures: somebody has to change the product or the waiver. *error*, *dead* and *vacuous* are
errors: nothing was proven. *known* and *not covered* are skipped, with their reason.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from typing import TYPE_CHECKING

from foreign import cut
from reports import causes, wording
from reports.text import one_line, plural, visible
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from reports.records import CaseFinished
    from reports.results import Results

_LONGEST_NOTE = 160
_MOST_NOTES = 12


def render(results: Results, earlier: Sequence[Results] = ()) -> bytes:
    """Return the whole file. ``earlier`` are the runs before: since when a cause is there."""
    root = ET.Element("testsuites", {"name": "palette-edge-conformance", **_totals(results.cases, results.seconds)})
    root.append(_facts(results, earlier))
    areas: dict[str, list[CaseFinished]] = defaultdict(list)
    for case in results.cases:
        areas[_area(case)].append(case)
    root.extend(_suite(name, cases, results) for name, cases in areas.items())
    ET.indent(root)
    body: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'.encode()


def _area(case: CaseFinished) -> str:
    """Return the folder of the suites that a case stands in."""
    folders = case.case.partition("::")[0].split("/")[:-1]
    return one_line(folders[-1]) if folders else "cases"


def _totals(cases: Iterable[CaseFinished], seconds: float) -> dict[str, str]:
    elements = [case.verdict.look.element for case in cases]
    return {
        "tests": str(len(elements)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "time": f"{seconds:.3f}",
    }


def _facts(results: Results, earlier: Sequence[Results]) -> ET.Element:
    started = results.started
    suite = ET.Element("testsuite", {"name": "run", **_totals((), 0), "skipped": "0", "timestamp": started.started})
    facts = {
        "run": started.run_id,
        "site": started.site,
        "level": started.level,
        "seed": started.seed,
        "command": started.command,
        "features": " ".join(started.features),
        "exit-code": f"{results.exit_code.value} {results.exit_code.name}",
        "result": wording.sentence(results),
        **started.facts,
    }
    told = [("cause", f"{cause.whose}: {cause.words}: {cause.reach}") for cause in causes.of(results, earlier)]
    suite.append(_properties([*told, *facts.items()]))
    return suite


def _suite(name: str, cases: Sequence[CaseFinished], results: Results) -> ET.Element:
    totals = _totals(cases, sum(case.seconds for case in cases))
    skipped = sum(case.verdict.look.element == "skipped" for case in cases)
    begin = min((case.started for case in cases if case.started), default="")
    suite = ET.Element("testsuite", {"name": name, **totals, "skipped": str(skipped), "timestamp": begin})
    suite.extend(_testcase(case, results) for case in cases)
    return suite


def _case_properties(case: CaseFinished) -> Iterable[tuple[str, str]]:
    yield "verdict", case.verdict.value
    yield from (("requirement", requirement) for requirement in case.requirements)
    yield "phase", case.phase
    yield "vector", case.vector
    yield "vector-class", case.vector_class
    yield from (("host", host) for host in case.hosts)
    yield "expected", case.expected
    yield "observed", case.observed
    yield "waiver", case.waiver
    yield "examples", str(case.examples or "")
    if case.verdict is not Verdict.PASS:
        yield "reproduce", case.reproduce


def _properties(pairs: Iterable[tuple[str, str]]) -> ET.Element:
    element = ET.Element("properties")
    for name, value in pairs:
        if value:
            ET.SubElement(element, "property", {"name": one_line(name), "value": one_line(value)})
    return element


def _testcase(case: CaseFinished, results: Results) -> ET.Element:
    file, _, name = case.case.partition("::")
    module = file.removesuffix(".py").replace("/", ".")
    element = ET.Element(
        "testcase", {"classname": one_line(module), "name": one_line(name or file), "time": f"{case.seconds:.3f}"}
    )
    element.append(_properties(_case_properties(case)))
    if kind := case.verdict.look.element:
        outcome = ET.SubElement(element, kind, {"type": case.verdict.value, "message": wording.why(case)})
        outcome.text = "\n".join(wording.report_of(case))
    if output := _output(case, results.started.run_id):
        ET.SubElement(element, "system-out").text = output
    return element


def _output(case: CaseFinished, run_id: str) -> str:
    # GitLab and Jenkins find attachments by this mark, relative to the project.
    marks = [f"[[ATTACHMENT|reports/runs/{run_id}/{path}]]" for path in case.attachments]
    return visible("\n".join([*folded(case.notes), *marks]))


def folded(notes: Sequence[str]) -> list[str]:
    """Return notes each on one line, cut, equal ones once, and not too many."""
    told = list(dict.fromkeys(cut(one_line(note), _LONGEST_NOTE) for note in notes))
    rest = len(told) - _MOST_NOTES
    return [*told[:_MOST_NOTES], *([f"… and {plural(rest, 'more note')}"] if rest > 0 else [])]
