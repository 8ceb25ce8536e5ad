"""JUnit XML that Jenkins, GitLab and GitHub tooling read, and that its usual schema (junit-10.xsd) accepts.

The schema knows properties of suites only: a file with ``<properties>`` inside a ``<testcase>`` is refused as a whole
by Jenkins' xUnit plugin. So every case stands in a suite of its own that carries its properties (requirement, phase,
vector, seed, host, verdict); the first suite carries the facts of the run and no case. Readers that ignore suites see
a flat list of cases.

========================  =============================================================================
 verdict                   element
========================  =============================================================================
 pass                      none
 fail, fixed               ``<failure type="fail">``: somebody has to change the product or the waiver
 error, dead, vacuous      ``<error type="dead">``: nothing was proven
 known, not covered        ``<skipped type="known" message="the reason">``
========================  =============================================================================
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

from reports import wording
from reports.text import one_line, visible
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.records import CaseFinished
    from reports.results import Results

_ELEMENTS = {
    Verdict.FAIL: "failure",
    Verdict.FIXED: "failure",
    Verdict.ERROR: "error",
    Verdict.DEAD: "error",
    Verdict.VACUOUS: "error",
    Verdict.KNOWN: "skipped",
    Verdict.NOT_COVERED: "skipped",
}


def render(results: Results) -> bytes:
    """Return the whole file. The same results give the same bytes."""
    root = ET.Element("testsuites", {"name": "palette-edge-conformance", **_totals(results.cases, results.seconds)})
    root.append(_facts(results))
    root.extend(_suite(case, results) for case in results.cases)
    ET.indent(root)
    body: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{body}\n'.encode()


def _totals(cases: Iterable[CaseFinished], seconds: float) -> dict[str, str]:
    elements = [_ELEMENTS.get(case.verdict) for case in cases]
    return {
        "tests": str(len(elements)),
        "failures": str(elements.count("failure")),
        "errors": str(elements.count("error")),
        "time": f"{seconds:.3f}",
    }


def _facts(results: Results) -> ET.Element:
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
        **started.facts,
    }
    suite.append(_properties(facts.items()))
    return suite


def _suite(case: CaseFinished, results: Results) -> ET.Element:
    file, _, name = case.case.partition("::")
    suite = ET.Element(
        "testsuite",
        {
            "name": one_line(" ".join([*case.requirements, case.title or name or file])),
            **_totals((case,), case.seconds),
            "skipped": str(int(_ELEMENTS.get(case.verdict) == "skipped")),
            "timestamp": case.started,
            "file": one_line(file),
        },
    )
    suite.append(_properties(_case_properties(case)))
    suite.append(_testcase(case, results))
    return suite


def _case_properties(case: CaseFinished) -> Iterable[tuple[str, str]]:
    yield "verdict", case.verdict.value
    yield from (("requirement", requirement) for requirement in case.requirements)
    yield "phase", case.phase
    yield "vector", case.vector
    yield "vector-class", case.vector_class
    yield "seed", case.seed
    yield from (("host", host) for host in case.hosts)
    yield "expected", case.expected
    yield "observed", case.observed
    yield "waiver", case.waiver
    yield "examples", str(case.examples or "")
    yield from (("note", note) for note in case.notes)
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
    if kind := _ELEMENTS.get(case.verdict):
        outcome = ET.SubElement(element, kind, {"type": case.verdict.value, "message": wording.why(case)})
        outcome.text = "\n".join(wording.story(case))
    if output := _output(case, results.started.run_id):
        ET.SubElement(element, "system-out").text = output
    return element


def _output(case: CaseFinished, run_id: str) -> str:
    # GitLab and Jenkins find attachments by this mark, relative to the project.
    marks = [f"[[ATTACHMENT|reports/runs/{run_id}/{path}]]" for path in case.attachments]
    return visible("\n".join([*case.notes, *marks]))
