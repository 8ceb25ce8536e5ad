"""What a run and its cases are called in words: the same in the terminal, on the page and in the certificate."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from reports.text import one_line, plural, some
from reports.verdicts import ExitCode, Verdict, exit_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reports.records import CaseFinished, Pull
    from reports.results import RequirementResult, Results


def sentence(results: Results) -> str:
    """Say in one sentence what the run means, for whoever reads nothing else."""
    code = results.exit_code
    if code is ExitCode.OK:
        return _good_news(results)
    if code is ExitCode.NOTHING_RUN:
        return "Nothing was run: no case was collected."
    rest = [
        _counted(results, verdict) for verdict in _LOUD if results.counts[verdict] and _CODE_OF[verdict] is not code
    ]
    return f"{_BAD_NEWS[code](results)}{'; also ' if rest else ''}{', '.join(rest)}."


def _good_news(results: Results) -> str:
    if not (results.counts[Verdict.PASS] or results.counts[Verdict.KNOWN]):
        return f"Nothing was proven: {plural(len(results.cases), 'case')} not covered by this site."
    asides = [f"{results.counts[verdict]} {verdict.value}" for verdict in _QUIET if results.counts[verdict]]
    if results.gaps:
        asides.append("the run is partial")
    news = "Nothing failed of what ran" if results.gaps else "Conforms"
    return f"{news}: {_share_that_holds(results)}{'; ' if asides else ''}{', '.join(asides)}."


def _share_that_holds(results: Results) -> str:
    whole = len(results.requirements)
    if not whole:
        return f"{plural(results.counts[Verdict.PASS], 'case')} passed"
    part = sum(result.verdict in {Verdict.PASS, Verdict.KNOWN} for result in results.requirements)
    subject = (
        f"all {plural(whole, 'requirement')}" if part == whole > 1 else f"{part} of {plural(whole, 'requirement')}"
    )
    return f"{subject} {'hold' if part != 1 else 'holds'}"


def _failed(results: Results) -> str:
    hit = _hit(results, Verdict.FAIL)
    if not hit:
        return f"Does not conform: {_counted(results, Verdict.FAIL)}"
    fails = "fails" if len(hit) == 1 else "fail"
    return f"Does not conform: {len(hit)} of {plural(len(results.requirements), 'requirement')} {fails} ({some(hit)})"


def _broken(results: Results) -> str:
    gate = results.leak_gate
    if gate and not gate.canary_found:
        return "No verdict, the harness went wrong: the leak gate did not find its own canary"
    return f"No verdict, the harness went wrong: {_counted(results, Verdict.ERROR)}"


def _leaked(results: Results) -> str:
    files = {hit.file for hit in results.leak_gate.hits} if results.leak_gate else set()
    return f"Not to be passed on: a protected secret stood in {plural(len(files), 'file')}, now withheld"


def _stopped(results: Results) -> str:
    what = "Interrupted" if results.finished else "Not finished"
    return f"{what}, not a result: {plural(len(results.cases), 'case')} had ended"


def _uncovered(results: Results) -> str:
    number = plural(len(results.uncovered), "requirement")
    return f"Not certified: {number} not covered by this run ({some(results.uncovered)})"


_BAD_NEWS: dict[ExitCode, Callable[[Results], str]] = {
    ExitCode.FAIL: _failed,
    ExitCode.ERROR: _broken,
    ExitCode.VACUOUS: lambda results: f"Not proven, phases did not really happen: {_counted(results, Verdict.VACUOUS)}",
    ExitCode.DEAD: lambda results: f"No verdict, infrastructure was gone: {_counted(results, Verdict.DEAD)}",
    ExitCode.FIXED: lambda results: f"A waiver is out of date, remove it: {_counted(results, Verdict.FIXED)}",
    ExitCode.LEAK: _leaked,
    ExitCode.UNCOVERED: _uncovered,
    ExitCode.INTERRUPTED: _stopped,
}
_QUIET = (Verdict.KNOWN, Verdict.NOT_COVERED)
_LOUD = (Verdict.FAIL, Verdict.ERROR, Verdict.VACUOUS, Verdict.DEAD, Verdict.FIXED)
_CODE_OF = {verdict: exit_code([verdict]) for verdict in Verdict}


def _counted(results: Results, verdict: Verdict) -> str:
    hit = _hit(results, verdict)
    return f"{results.counts[verdict]} {verdict.value}{f' ({some(hit)})' if hit else ''}"


def _hit(results: Results, verdict: Verdict) -> list[str]:
    return [result.requirement.id for result in results.requirements if result.counts[verdict]]


def story(case: CaseFinished) -> tuple[str, ...]:
    """Tell a case as docs/reports.md shows it: what the product did, what each pull presented, how to see it again.

    The first line comes from the case itself where it wrote one; pulls and the line to reproduce are added unless
    its own story has them already.
    """
    lines = list(case.story or (_headline(case),))
    if not any(line.startswith("  ") for line in lines):
        lines += pull_lines(case.pulls)
    if case.reproduce and not any("reproduce:" in line for line in lines):
        lines.append(f"  reproduce: {case.reproduce}")
    return tuple(one_line(part) for line in lines for part in line.split("\n"))


def _headline(case: CaseFinished) -> str:
    where = f"{' '.join(case.requirements)}  " if case.requirements else ""
    if case.expected or case.observed:
        return f"{where}expected {case.expected or '?'}; observed {case.observed or '?'}"
    return f"{where}{case.reason or case.title or case.case}"


def pull_lines(pulls: Sequence[Pull]) -> list[str]:
    """Return one aligned line for each kind of pull: phase, puller, what it presented, what it was answered.

    Pulls that differ in nothing shown are counted, not repeated: a property is tried with many examples.
    """
    kinds = Counter(
        (pull.phase, pull.puller, _agent(pull), pull.elsewhere, pull.presented, answer(pull.status)) for pull in pulls
    )
    rows = [(*kind, f"(x{number})" if number > 1 else "") for kind, number in kinds.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    cells = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True) if width] for row in rows]
    return ["  " + "  ".join(row).rstrip() for row in cells]


def _agent(pull: Pull) -> str:
    return f"({pull.user_agent})" if pull.user_agent else ""


def answer(status: int) -> str:
    """Return an HTTP status as a person reads it: ``401 Unauthorized``; empty for none, success and redirection."""
    if status < HTTPStatus.BAD_REQUEST:
        return ""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def why(case: CaseFinished) -> str:
    """Say in one line why a case has not passed: its reason, or the first line of its story."""
    if case.reason:
        return one_line(case.reason)
    return story(case)[0] if case.story or case.observed else case.verdict.meaning


def held(result: RequirementResult) -> str:
    """Return how many of a requirement's cases passed: ``5 of 6``; empty where none ran."""
    return f"{result.counts[Verdict.PASS]} of {len(result.cases)}" if result.cases else ""
