"""What a run and its cases are called in words: the same in the terminal, on the page and in the certificate."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from reports import causes, pulls
from reports.text import one_line, plural, some
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reports.records import CaseFinished
    from reports.results import RequirementResult, Results


def sentence(results: Results) -> str:
    """Return in one sentence what the run means, for whoever reads nothing else; a second one says what was staged."""
    fault = results.options.get("--lab-fault")
    staged = f" The lab was broken on purpose: {one_line(fault)}." if fault else ""
    return f"{_meaning(results)}{staged}"


def _meaning(results: Results) -> str:
    code = results.exit_code
    if code is ExitCode.OK:
        return _good_news(results)
    if code is ExitCode.NOTHING_RUN:
        return "Nothing was run: no case was collected."
    rest = [
        _counted(results, verdict) for verdict in _LOUD if results.counts[verdict] and verdict.look.code is not code
    ]
    return f"{_BAD_NEWS[code](results)}{'; also ' if rest else ''}{', '.join(rest)}."


def shipping(results: Results) -> str:
    """Return what the run says about releasing what it tested, and where that was."""
    partial, site = bool(results.gaps), one_line(results.started.site)
    if "--lab-fault" in results.options:
        return "Not asked: the lab was broken on purpose"
    if results.exit_code is ExitCode.OK:
        return "Undecided: only a part was tested" if partial else f"Nothing speaks against it on site {site}"
    if results.exit_code in {ExitCode.FAIL, ExitCode.INTERRUPTED} and results.counts[Verdict.FAIL]:
        rest = ", and only a part was tested" if partial else ""
        return f"No: on site {site} the product does not do what its guide says{rest}"
    return _SHIPPING.get(results.exit_code, "Undecided: this run gives no verdict on the product")


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


def _caused(verdict: Verdict, news: str) -> Callable[[Results], str]:
    """Return a function that says what is wrong in words, the cause that concerns most first."""

    def told(results: Results) -> str:
        first, *rest = [cause for cause in causes.of(results) if cause.cases[0].verdict is verdict]
        named = f" ({some(first.requirements)})" if first.requirements else ""
        others = f", and {plural(len(rest), 'other cause')}" if rest else ""
        return f"{news}: {first.words.rstrip('.')}{named}{others}"

    return told


def _broken(results: Results) -> str:
    gate, news = results.leak_gate, "No verdict, the harness went wrong"
    if gate and not gate.canary_found:
        return f"{news}: the leak gate did not find its own canary"
    return _caused(Verdict.ERROR, news)(results)


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
    ExitCode.FAIL: _caused(Verdict.FAIL, "Does not conform"),
    ExitCode.ERROR: _broken,
    ExitCode.VACUOUS: _caused(Verdict.VACUOUS, "Not proven, a phase did not really happen"),
    ExitCode.DEAD: _caused(Verdict.DEAD, "No verdict, infrastructure was gone"),
    ExitCode.FIXED: _caused(Verdict.FIXED, "A waiver is out of date, remove it"),
    ExitCode.LEAK: _leaked,
    ExitCode.UNCOVERED: _uncovered,
    ExitCode.INTERRUPTED: _stopped,
}
_SHIPPING = {
    ExitCode.DEAD: "Undecided: mend the infrastructure, then run again",
    ExitCode.ERROR: "Undecided: the harness itself went wrong",
    ExitCode.INTERRUPTED: "Undecided: the run did not come to its end",
    ExitCode.FIXED: "Nothing in the product speaks against it; remove the waiver and run again",
    ExitCode.LEAK: "Undecided: look at the leak first",
    ExitCode.UNCOVERED: "Undecided: nothing failed, but requirements are open",
}
_QUIET = (Verdict.KNOWN, Verdict.NOT_COVERED)
_LOUD = (Verdict.FAIL, Verdict.ERROR, Verdict.VACUOUS, Verdict.DEAD, Verdict.FIXED)


def _counted(results: Results, verdict: Verdict) -> str:
    hit = _hit(results, verdict)
    return f"{results.counts[verdict]} {verdict.value}{f' ({some(hit)})' if hit else ''}"


def _hit(results: Results, verdict: Verdict) -> list[str]:
    return [result.requirement.id for result in results.requirements if result.counts[verdict]]


def explained(texts: Iterable[str], words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return those of the words that occur in the texts, each with its explanation."""
    every = "\n".join(texts)
    return [(word, meaning) for word, meaning in words.items() if re.search(rf"\b{word}", every)]


#: Words of causes and headlines that a reader may meet for the first time, and their explanations.
HEADLINES = {
    "repave": "the hosts of a running cluster are set up again, from the image of a new profile version, and reboot",
    "the agent": "the program on an Edge host that pulls the image when a cluster is deployed",
    "the node's runtime": "the container runtime of the cluster, which pulls the image of a repave",
    "presents": "sends to the registry as its login",
}
#: The words of the lines that say what each pull presented.
PULL_WORDS = {
    "agent": "pulls on the host, at deployment",
    "node": "the cluster's container runtime, pulls at repave",
    "intact": "the login that the profile says",
    "anonymous": "no login, as each conversation with a registry begins",
    "wrong on purpose": "a login that the case has refused",
}


def report_of(case: CaseFinished) -> tuple[str, ...]:
    """Return a case as docs/reports.md shows it: what the product did, what each pull presented, how to see it again.

    The first lines come from the case itself where it wrote some. Its pulls are told here, so that the decisive one is
    shown however many there were.
    """
    told = [part for line in case.story or (_headline(case),) for part in line.split("\n")]
    own = [line for line in told if "reproduce:" not in line]
    place = next((number for number, line in enumerate(own) if line.startswith(("  event ", "  at "))), len(own))
    own[place:place] = pulls.lines(case.pulls, red=case.verdict.is_red)
    own += [f"  reproduce: {case.reproduce}"] if case.reproduce else []
    return tuple(one_line(pulls.shortened(line)) for line in own)


def _headline(case: CaseFinished) -> str:
    where = f"{' '.join(case.requirements)}  " if case.requirements else ""
    if case.expected or case.observed:
        return f"{where}expected {case.expected or '?'}; observed {case.observed or '?'}"
    return f"{where}{case.reason or case.title or case.case}"


def why(case: CaseFinished) -> str:
    """Return in one line why a case has not passed: its reason, or the first line of its report."""
    if case.reason:
        return one_line(case.reason)
    return report_of(case)[0] if case.story or case.observed else case.verdict.look.meaning


def held(result: RequirementResult) -> str:
    """Return how many of a requirement's cases passed: ``5 of 6``; empty where none ran."""
    return f"{result.counts[Verdict.PASS]} of {len(result.cases)}" if result.cases else ""
