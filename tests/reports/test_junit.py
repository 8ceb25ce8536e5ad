from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from reports import junit, results
from reports.verdicts import Verdict
from tests.reports import samples

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("junit-10.xsd")))
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
EXPECTED = {
    Verdict.PASS: None,
    Verdict.FAIL: "failure",
    Verdict.FIXED: "failure",
    Verdict.ERROR: "error",
    Verdict.DEAD: "error",
    Verdict.VACUOUS: "error",
    Verdict.KNOWN: "skipped",
    Verdict.NOT_COVERED: "skipped",
}


def parsed(*records: object) -> etree._Element:
    """Render records and read the file as its consumers do, against the schema."""
    root = etree.fromstring(junit.render(results.of(records)))  # type: ignore[arg-type]  # records of any kind
    SCHEMA.assertValid(root)
    return root


def properties(part: etree._Element) -> dict[str | None, str | None]:
    """Return the properties of a suite or a case by name."""
    return {entry.get("name"): entry.get("value") for entry in part.findall("properties/property")}


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_becomes_the_element_that_tools_show_right(verdict: Verdict) -> None:
    """Failures, errors and skipped cases are told apart, and each names its verdict."""
    case = parsed(samples.started(), samples.case(verdict, reason="because"), samples.finished()).find(".//testcase")

    assert case is not None
    outcomes = [(child.tag, child.get("type")) for child in case if child.tag not in {"system-out", "properties"}]
    assert outcomes == ([(EXPECTED[verdict], verdict.value)] if EXPECTED[verdict] else [])


def test_counts_are_those_of_the_elements() -> None:
    """The numbers at the root and at each suite are the numbers of their elements."""
    root = parsed(*samples.one_of_each())

    for level in (root, *root):
        assert level.get("tests") == str(len(level.findall(".//testcase")))
        assert level.get("failures") == str(len(level.findall(".//failure")))
        assert level.get("errors") == str(len(level.findall(".//error")))


def test_a_case_has_its_properties() -> None:
    """Requirement, phase, vector, host and verdict stand in the case, where pytest's record_property puts them."""
    case = parsed(samples.started(), samples.failing(), samples.finished())[1][0]

    assert properties(case) == {
        "verdict": "fail",
        "requirement": "REPAVE-03",
        "phase": "repave",
        "vector": "PW-017",
        "vector-class": "alphanumeric",
        "host": "edge-1",
        "expected": "the password 'Passw0rdPassw0rd', unchanged",
        "observed": "base64-decode(password)",
        "examples": "12",
        "reproduce": "./run conformance -k repave_presents --hypothesis-seed 20261122",
    }


def test_the_facts_of_the_run_are_properties_of_the_first_suite() -> None:
    """Versions and digests of product, hosts and images are readable without any case."""
    facts = properties(parsed(*samples.all_green())[0])

    assert samples.FACTS.items() <= facts.items()
    assert facts["exit-code"] == "0 OK"
    assert facts["result"] == "Conforms: all 8 requirements hold."


def test_the_causes_stand_in_the_first_suite() -> None:
    """Why a run is red is told once, in a sentence for each cause, the product's first."""
    told = [entry.get("value") for entry in parsed(*samples.one_of_each())[0].findall("properties/property")]

    assert told[0] == (
        "product: the node's runtime presents the password base64-decoded at repave: 1 requirement, 1 case"
    )
    assert len([value for value in told if value and value.startswith(("product", "infrastructure:"))]) == 3


def test_a_failure_has_its_whole_report() -> None:
    """The text of a failure is its report: what was presented at each pull, and the line to reproduce it."""
    failure = parsed(samples.started(), samples.failing(), samples.finished()).find(".//failure")

    assert failure is not None
    assert failure.text is not None
    assert failure.text.splitlines() == [
        "REPAVE-03  host edge-1 presented base64-decode(password) at repave; the profile says 'Passw0rdPassw0rd'",
        "  deploy  agent  (skopeo/1.9.3)       intact",
        "  repave  node   (containerd/1.6.20)  base64-decoded  401 Unauthorized  <- here",
        "  reproduce: ./run conformance -k repave_presents --hypothesis-seed 20261122",
    ]


def test_attachments_are_marked_by_path() -> None:
    """Attachments are named in the way that GitLab and Jenkins collect them."""
    output = parsed(samples.started(), samples.failing(), samples.finished()).findtext(".//system-out")

    assert output == "[[ATTACHMENT|reports/runs/20261122-030000-5eed/attachments/edge-1/journal.txt]]"


@given(text=ANY_TEXT)
def test_hostile_text_does_not_break_the_file(text: str) -> None:
    """Whatever a vector, a host or an event says, the file is well-formed, valid, and says it visibly."""
    case = samples.failing(
        case=f"suites/test_x.py::test_x[{text}]", title=text, vector=text, observed=text, story=(text,)
    )

    root = parsed(samples.started(command=text), case, samples.finished())
    assert len(root.findall(".//testcase")) == 1


def test_characters_that_xml_forbids_are_shown_as_escapes() -> None:
    """A NUL, an escape character and a lone surrogate are shown, not dropped; markup is text."""
    case = parsed(
        samples.started(), samples.failing(vector="a\0\x1b[31m\ud800]]><b>&amp;\r\n\u202e"), samples.finished()
    )[1][0]

    assert properties(case)["vector"] == "a\\x00\\x1b[31m\\ud800]]><b>&amp;\\r\\n\\u202e"


def test_the_same_results_give_the_same_bytes() -> None:
    """Rendering twice gives the same file."""
    assert junit.render(results.of(samples.one_of_each())) == junit.render(results.of(samples.one_of_each()))


def test_there_is_one_suite_for_each_area_of_the_suites() -> None:
    """A build server shows a handful of groups, not one for each case."""
    names = (
        "suites/credentials/test_a.py::test_one",
        "suites/lifecycle/test_b.py::test_two",
        "suites/credentials/x::y",
    )
    cases = [samples.case(Verdict.PASS, case=name) for name in names]
    root = parsed(samples.started(), *cases, samples.finished())

    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        ("run", "0"),
        ("credentials", "2"),
        ("lifecycle", "1"),
    ]


def test_notes_of_a_passing_case_are_cut_and_equal_ones_stand_once() -> None:
    """A recorded answer of Palette with 283 KB costs one line; a hundred equal notes cost one, too."""
    long = "GET /v1/clusterprofiles has in the password's place: " + "x" * 283_000
    case = samples.case(Verdict.PASS, notes=(long, *["same"] * 100, *[f"note {number}" for number in range(99)]))
    lines = (parsed(samples.started(), case, samples.finished()).findtext(".//system-out") or "").splitlines()

    assert lines[0].endswith("…")
    assert max(map(len, lines)) <= 160
    assert lines.count("same") == 1
    assert lines[-1] == "… and 89 more notes"


def test_a_file_of_500_cases_stays_under_1_mb() -> None:
    """However a run of 500 cases went, build servers take its file."""
    assert len(junit.render(results.of(samples.many(500, red_every=2)))) < 1_000_000
