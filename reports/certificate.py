"""What is certified: the claims of a run that its bundle is signed for, as one JSON document.

The document says nothing that does not follow from the run's journal; whoever verifies a bundle draws the claims from
the journal again and compares all of them (:func:`contradiction`). It is data only: words may change.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

from reports.records import as_dict, moment
from reports.verdicts import ExitCode, Verdict
from reports.waivers import LONGEST_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reports.results import RequirementResult, Results

SCHEMA = "palette-edge-conformance/certificate/v2"


def claims(results: Results) -> dict[str, Any]:
    """Return everything that the certificate claims."""
    started = results.started
    return {
        "schema": SCHEMA,
        "run": started.run_id,
        "started": started.started,
        "ended": results.finished.ended if results.finished else None,
        "site": started.site,
        "level": started.level,
        "command": started.command,
        "result": result(results),
        "exit_code": int(results.exit_code),
        "complete": not results.gaps,
        "cases": {verdict.value: results.counts[verdict] for verdict in Verdict},
        "requirements": {row.requirement.id: _requirement(row) for row in results.requirements},
        "waivers": [as_dict(waiver) for waiver in started.waivers],
        "facts": dict(started.facts),
        "features": list(started.features),
        "seed": started.seed,
        "case_seeds": sorted({case.seed for case in results.cases if case.seed}),
        "leak_gate": as_dict(results.leak_gate) if results.leak_gate else None,
    }


def _requirement(row: RequirementResult) -> dict[str, Any]:
    return {
        "verdict": row.label,
        "claim": row.requirement.claim,
        "section": row.requirement.section,
        "cases": {case.case: case.verdict.value for case in row.cases},
    }


def result(results: Results) -> str:
    """Return the result in a word: ``PASSED``, ``WARNED`` (known, not covered, partial) or ``FAILED``."""
    if results.exit_code is not ExitCode.OK:
        return "FAILED"
    quiet = results.counts[Verdict.KNOWN] or results.counts[Verdict.NOT_COVERED]
    return "WARNED" if quiet or results.gaps else "PASSED"


def write(document: Mapping[str, Any]) -> bytes:
    """Return a JSON document as the one sequence of bytes that it has here."""
    return json.dumps(document, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"


def is_leak_free(results: Results) -> bool:
    """Whether the run's leak gate worked and withheld nothing."""
    gate = results.leak_gate
    return bool(gate and gate.canary_found and not gate.hits)


def contradiction(claimed: Mapping[str, Any], results: Results) -> str | None:
    """Return where the claims are not what the journal says, ``None`` if nowhere."""
    if results.gaps and claimed.get("complete") is not False:
        return f"a partial run is presented as complete: {results.gaps[0]}"
    drawn = json.loads(write(claims(results)))
    for key in [*drawn, *claimed]:
        if key not in drawn or claimed.get(key) != drawn[key]:
            return _told(key, claimed.get(key), drawn.get(key))
    return None if is_leak_free(results) else "its leak gate did not run or did not pass"


def _told(key: str, claimed: object, drawn: object) -> str:
    if key == "requirements" and isinstance(claimed, dict) and isinstance(drawn, dict):
        wrong = next(name for name in [*drawn, *claimed] if claimed.get(name) != drawn.get(name))
        return f"requirement {wrong} is not as the journal tells it"
    return f"'{key}' is {claimed!r}, the journal says {drawn!r}"


def waiver_trouble(results: Results, on: dt.date | None = None) -> str | None:
    """Return which waiver had ended, or was given for too long; ``on`` judges by another day than the run's own."""
    begin = moment(results.started.started)
    day = on or (begin.date() if begin else dt.date.max)
    return next(_troubles(results, day), None)


def _troubles(results: Results, day: dt.date) -> Iterator[str]:
    for waiver in results.started.waivers:
        try:
            opened, expires = dt.date.fromisoformat(waiver.opened), dt.date.fromisoformat(waiver.expires)
        except ValueError:
            yield f"waiver {waiver.id} has no proper dates"
            continue
        if expires < day:
            yield f"waiver {waiver.id} expired on {expires}, before {day}"
        elif (opened - day).days > 1:  # a day apart may be two places' ways to tell one moment
            yield f"waiver {waiver.id} was opened on {opened}, after {day}"
        elif expires - opened > dt.timedelta(days=LONGEST_DAYS):
            yield f"waiver {waiver.id} runs from {opened} to {expires}, longer than {LONGEST_DAYS} days"
