"""The records of a run: what the journal holds, and all that any report is made from.

Every record is frozen and has a default for whatever an older harness did not write yet. Times are ISO 8601 in UTC,
durations are seconds. Text is kept exactly as it occurred; reports make it visible (``reports.text``), the journal
escapes everything that is not ASCII, so even a lone surrogate returns as it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping  # noqa: TC003  msgspec reads the annotations
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import msgspec

from reports.verdicts import Verdict

SCHEMA = 1
_MOST = 1 << 53


class UnreadableRecordError(Exception):
    """A line of a journal that is not a record; the message says why."""


@dataclass(frozen=True, kw_only=True)
class RequirementRecord:
    """One testable statement of the guide, as it stood when the run began."""

    id: str
    claim: str
    section: str = ""
    level: str = "must"
    phases: tuple[str, ...] = ()
    since: str | None = None
    until: str | None = None
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class WaiverInForce:
    """A known issue that the run was allowed to meet. ``opened`` and ``expires`` are ISO dates."""

    id: str
    requirement: str
    owner: str
    reason: str
    opened: str = ""
    expires: str
    link: str = ""
    fingerprint: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RunStarted:
    """A run began.

    ``facts`` are the versions and digests of everything under test and of the harness (``palette.version``,
    ``host.edge-1.os``, ``image.v1.digest`` …); ``features`` is what the site says it can do.
    """

    run_id: str
    started: str
    seed: str = ""
    command: str = ""
    level: str = "default"
    site: str = "lab"
    harness: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    requirements: tuple[RequirementRecord, ...] = ()
    waivers: tuple[WaiverInForce, ...] = ()
    features: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PullRecord:
    """One pull as the witness saw it: who asked for what, and what credential was presented.

    ``meaning`` says what exactly was done to a password that was changed in a known way.
    """

    time: str
    phase: str
    puller: str
    user_agent: str = ""
    host: str = ""
    repository: str = ""
    reference: str = ""
    presented: str = ""
    meaning: str = ""
    status: int = 0

    @property
    def is_served(self) -> bool:
        """Whether an image, or a part of one, was given."""
        return bool(self.reference) and self.status == HTTPStatus.OK

    @property
    def what(self) -> str:
        """What was asked for."""
        return f"{self.repository}:{self.reference}" if self.reference else self.repository

    @property
    def elsewhere(self) -> str:
        """The registry where it was not the run's own: its address stands before the repository; else empty."""
        first = self.repository.partition("/")[0]
        return first if ":" in first else ""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A point on the timeline of a case. ``lane`` is ``api``, ``host`` or ``pull``."""

    time: str
    lane: str
    label: str
    host: str = ""


@dataclass(frozen=True, kw_only=True)
class EventRow:
    """An event of the cluster, as Palette told it."""

    time: str
    severity: str = ""
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class CaseFinished:
    """One case ended.

    ``case`` is pytest's node id, ``title`` the sentence of its docstring; ``story`` the lines of its failure report;
    ``notes`` what a recording case recorded; ``attachments`` are paths relative to the run's directory; ``waiver`` is
    the id of the waiver that spoke; ``examples`` the number of Hypothesis examples, ``password_classes`` how many of
    them were of each class of passwords (of a red case: the one that failed); ``reason`` says in one line why a case
    that did not fail has not passed either; ``clusters`` and ``repaves`` count what the case did, over all examples.
    """

    case: str
    verdict: Verdict
    title: str = ""
    requirements: tuple[str, ...] = ()
    phase: str = ""
    started: str = ""
    seconds: float = 0.0
    hosts: tuple[str, ...] = ()
    vector: str = ""
    vector_class: str = ""
    password_classes: Mapping[str, int] = field(default_factory=dict)
    seed: str = ""
    expected: str = ""
    observed: str = ""
    reason: str = ""
    story: tuple[str, ...] = ()
    reproduce: str = ""
    pulls: tuple[PullRecord, ...] = ()
    timeline: tuple[Moment, ...] = ()
    events: tuple[EventRow, ...] = ()
    notes: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    waiver: str = ""
    attempts: int = 1
    examples: int = 0
    clusters: int = 0
    repaves: int = 0


@dataclass(frozen=True, kw_only=True)
class LeakHit:
    """A protected secret stood in a file: which file, whose secret, in which form. Never the value."""

    file: str
    secret: str
    form: str


@dataclass(frozen=True, kw_only=True)
class LeakGate:
    """What the leak gate did: how much it searched, whether it found its own canary, and what it found else.

    ``hints`` may be leaks, or ordinary words; ``released`` were hits until a person looked at them.
    """

    files: int = 0
    secrets: int = 0
    forms: int = 0
    canary_found: bool = False
    missed: tuple[str, ...] = ()
    hits: tuple[LeakHit, ...] = ()
    hints: tuple[LeakHit, ...] = ()
    released: tuple[LeakHit, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RunFinished:
    """A run came to its end, or was stopped.

    ``collected`` is the number of cases that were to be run, ``deselected`` the number that the command line left out;
    ``left_behind`` has a line for each thing in Palette that could not be removed; ``medians`` is written in a history,
    which keeps no course of a case: how long a deployment and a repave took.
    """

    ended: str
    interrupted: bool = False
    collected: int = 0
    deselected: int = 0
    left_behind: tuple[str, ...] = ()
    medians: Mapping[str, float] = field(default_factory=dict)
    leak_gate: LeakGate | None = None


Record = RunStarted | CaseFinished | RunFinished

_KINDS: dict[str, type[Record]] = {"run-started": RunStarted, "case": CaseFinished, "run-finished": RunFinished}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_json(record: Record) -> str:
    """Return a record as one line of ASCII, without the line's end."""
    body = msgspec.to_builtins(record)
    return json.dumps({"record": _NAMES[type(record)], "schema": SCHEMA, **body}, separators=(",", ":"))


def from_json(line: str | bytes) -> Record:
    """Read a record; fields that are unknown are left out, fields that are missing have their default.

    A verdict of a later harness that this one does not know is read as *error*.

    Raises UnreadableRecordError: not JSON, not one of our records, or a field of the wrong type.
    """
    try:
        body = json.loads(line, parse_float=_finite, parse_constant=_finite, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise UnreadableRecordError(f"not JSON: {error}") from None
    if not isinstance(body, dict) or body.get("record") not in _KINDS:
        raise UnreadableRecordError(f"not a record: expected one of {', '.join(_KINDS)} in 'record'")
    if isinstance(body.get("verdict"), str):
        body["verdict"] = Verdict.read(body["verdict"]).value
    try:
        return msgspec.convert(body, _KINDS[body["record"]])
    except (msgspec.ValidationError, RecursionError) as error:
        raise UnreadableRecordError(f"{body['record']}: {error}") from None


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no number that was measured")
    return number


def _whole(text: str) -> int:
    if abs(number := int(text)) > _MOST:
        raise ValueError(f"a number of {len(text)} digits was not counted")
    return number


def as_dict(part: object) -> dict[str, Any]:
    """Return a record or a part of one as plain JSON data."""
    data: dict[str, Any] = msgspec.to_builtins(part)
    return data


def utc(moment: datetime | None = None) -> str:
    """Return a moment (default: now) as the journal writes it: ``2026-11-22T06:35:00.123Z``."""
    moment = (moment or datetime.now(UTC)).astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> datetime | None:
    """Read a time of the journal; ``None`` if it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
