"""What is reported of a case that did not pass: what the product did, not what Python compared.

The leak gate searches every artefact and withholds what shows a secret. Before that, a password that a client, a host
or an assertion quoted becomes the name of what it is, and the rest of the report can still be read.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import msgspec
import requests

from bounded.failures import connection_failure
from harness.levels import NIGHTLY, depth_of
from harness.private_registry import presented_sentence
from harness.tracebacks import lines_of, place_of
from lab.settings import LabSettings
from registry.classify import meaning
from reports import causes
from reports import pulls as judged
from reports.records import CaseFinished
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from harness.evidence import Evidence
    from harness.options import Options
    from reports.leak_forms import Protected
    from reports.records import PullRecord

MOST_EVENTS = 6


@dataclass(frozen=True)
class FailureReport:
    """What a record and a report say of a case that did not pass."""

    expected: str = ""
    observed: str = ""
    reason: str = ""
    lines: tuple[str, ...] = ()
    reproduce: str = ""


@dataclass(frozen=True)
class Ending:
    """How a case ended: its exception, the verdict, and what was gone if infrastructure was."""

    error: BaseException | None
    verdict: Verdict
    gone: tuple[str, ...] = ()
    traceback: bool = False

    @property
    def words(self) -> str:
        """The exception's own words."""
        return words_of(self.error) if self.error is not None else ""


def failure_report(
    item: pytest.Item, sentence: str, ended: Ending, evidence: Evidence, options: Options
) -> FailureReport:
    """Return the report of a case, whose docstring is ``sentence``; an empty one when it passed."""
    if ended.verdict is Verdict.PASS:
        return FailureReport(expected=evidence.expected)
    line = reproduction(item, options)
    if ended.verdict is Verdict.NOT_COVERED:
        return FailureReport(reason=ended.words, reproduce=line)
    observed = _observed(ended, evidence)
    marker = item.get_closest_marker("requirement")
    lines = (
        f"{' '.join(marker.args if marker else ()) or item.name}  {observed}",
        *diagnosis_lines(evidence),
        *_own_words(ended, observed),
        *([f"  expected: {evidence.expected}"] if evidence.expected else []),
        *event_lines(evidence),
        *_where(ended),
        f"  reproduce: {line}",
    )
    reason = observed if ended.verdict is not Verdict.FAIL else ""
    return FailureReport(evidence.expected or sentence, observed, reason, lines, line)


def _observed(ended: Ending, evidence: Evidence) -> str:
    if ended.gone:
        return "; ".join(ended.gone)
    return (first_change(evidence) if ended.verdict is Verdict.FAIL else "") or ended.words


def _own_words(ended: Ending, observed: str) -> list[str]:
    """Return the exception's words where the first line does not have them."""
    if not ended.words or ended.words in observed or ended.words.startswith("assert "):
        return []
    return [f"  {ended.words}"]


def _where(ended: Ending) -> list[str]:
    if ended.error is None:
        return []
    place = place_of(ended.error)
    whole = lines_of(ended.error) if ended.traceback or ended.verdict is Verdict.ERROR else []
    return [*([f"  at {place}"] if place else []), *(f"  {line}" for line in whole)]


def reproduction(item: pytest.Item, options: Options) -> str:
    """Return the one line that runs this case again, with the same seed and the same site or fault."""
    name = item.originalname if hasattr(item, "originalname") else item.name
    words = ["./run", "conformance", "--", "-k", str(name or item.name), "--hypothesis-seed", str(options.seed)]
    if depth_of(options.level) == NIGHTLY:
        words += ["--level", NIGHTLY]
    if options.site is None:
        words += [] if options.lab_hosts == LabSettings.hosts else ["--lab-hosts", str(options.lab_hosts)]
        words += [] if options.lab_kind == LabSettings.kind else ["--lab-kind", options.lab_kind]
        words += [] if options.lab_mode == LabSettings.mode else ["--lab-mode", options.lab_mode]
        words += ["--lab-kubernetes"] if options.lab_kubernetes else []
        words += ["--lab-current-openssh"] if options.lab_current_openssh else []
        words += [] if options.lab_version == LabSettings.version else ["--lab-version", options.lab_version]
    if options.site is not None:
        words += ["--site", str(options.site.path)]
    for fault in options.lab_faults:
        words += ["--lab-fault", f"{fault['path']}:{fault['name']}" if "path" in fault else str(fault["name"])]
    return shlex.join(words)


def words_of(error: BaseException) -> str:
    """Return an exception's own words: of an assertion its message, without Python's comparison below it.

    Those of a connection that failed are ours, and the same for every path that was asked for.
    """
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    if isinstance(error, (requests.ConnectionError, requests.Timeout)):
        place = urlsplit(getattr(error.request, "url", None) or "").netloc
        return f"{place or 'the registry'} does not answer: {connection_failure(error).message}"
    lines = str(error).strip().splitlines()
    text = lines[0] if lines else type(error).__name__
    return text if isinstance(error, AssertionError) or len(lines) == 1 else f"{type(error).__name__}: {text}"


def pulls_of(evidence: Evidence) -> list[PullRecord]:
    """Return the pulls of the case's clusters in the order they happened."""
    return [pull for cluster in evidence.clusters for pull in cluster.all_pulls]


def first_change(evidence: Evidence) -> str:
    """Return which host presented what in place of the password, at the first pull that did; empty when none did.

    What was presented to another registry than the run's is for its case to judge.
    """
    for cluster in evidence.clusters:
        for pull in filter(judged.changed, cluster.pulls):
            said = f"; the profile says {cluster.vector}" if cluster.vector else ""
            return f"{presented_sentence(pull.host, pull.presented, pull.phase)}{said}"
    return ""


def diagnosis_lines(evidence: Evidence) -> list[str]:
    """Name the change that would give everything the case saw, over all its examples, for each phase and path."""
    if evidence.witness is None:
        return []
    return [
        f"  {phase}, {found.puller} of {' and '.join(found.hosts)}: everything seen equals what"
        f" {meaning(found.transforms)} would give"
        for phase in dict.fromkeys(pull.phase for pull in pulls_of(evidence))
        for found in evidence.witness.diagnosis(evidence.case, phase)
    ]


def event_lines(evidence: Evidence) -> list[str]:
    """Quote how the last events that report something wrong end; of those that differ in numbers only, the last.

    Where a changed login is what failed, a tag that the case asked for in vain, with the right one, is left out.
    """
    asked = judged.in_vain(pulls_of(evidence)) if first_change(evidence) else set()
    errors = [
        f"  event {event.reason}: {causes.essence(event.message)}"
        for cluster in evidence.clusters
        for event in cluster.events
        if event.severity.lower() == "error" or event.reason.startswith("Failed")
        if not any(f"{what}: not found" in event.message for what in asked)
    ]
    return list({re.sub(r"\d+", "", line): line for line in errors}.values())[-MOST_EVENTS:]


# --- secrets

#: The fields that quote what others said; what the harness itself named stays as it is.
_TOLD = ("vector", "expected", "observed", "reason", "story", "reproduce", "pulls", "timeline", "events", "notes")


def masked(case: CaseFinished, protected: Iterable[Protected]) -> CaseFinished:
    """Return a record in which no protected secret stands, neither as it is nor as Python, JSON or a URL quote it."""
    forms = {form: f"[{known.name}]" for known in protected for form in _forms(known.secret.reveal())}
    if not forms:
        return case
    longest_first = {form: forms[form] for form in sorted(forms, key=len, reverse=True)}
    plain = msgspec.to_builtins(case)
    told = {key: _replaced(plain[key], longest_first) for key in _TOLD}
    return msgspec.convert({**plain, **told}, CaseFinished)


def _forms(secret: str) -> set[str]:
    quoted = (repr(secret)[1:-1], ascii(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""))
    return {secret, *quoted} - {""}


def _replaced(value: object, forms: dict[str, str]) -> object:
    if isinstance(value, str):
        for form, name in forms.items():
            value = value.replace(form, name)
        return value
    if isinstance(value, dict):
        return {key: _replaced(part, forms) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(part, forms) for part in value]
    return value
