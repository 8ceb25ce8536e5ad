"""Waivers: known issues that a run may meet, each with an owner, an end, and the fingerprint of the failure it means.

A waiver bites: it covers one failure of one requirement and no other, it ends after 90 days at most, and the day its
failure no longer happens it turns the run red until it is removed.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import jsonschema
import msgspec

from bounded import file_content
from foreign.yaml_text import BadYamlError, read_yaml
from reports import pulls
from reports.records import WaiverInForce, as_dict
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from reports.records import CaseFinished

LONGEST_DAYS = 90


class WaiverError(Exception):
    """A file of waivers that cannot be used; the message names file, record, what was found and what would be right."""


@dataclass(frozen=True, kw_only=True)
class Waiver:
    """One known issue.

    ``fingerprint`` is what its failure shows: ``phase``, ``puller``, ``presented``, ``status`` of a pull, or
    ``vector_class``, ``observed``, ``reason`` of the case. ``case`` is a part of the node ids of the cases it means,
    by default all of its requirement. ``since`` and ``until`` bound the affected Palette versions, both included.
    """

    id: str
    requirement: str
    owner: str
    reason: str
    link: str
    opened: dt.date
    expires: dt.date
    fingerprint: Mapping[str, str]
    case: str = ""
    since: str | None = None
    until: str | None = None

    def is_expired(self, today: dt.date) -> bool:
        """Whether its last day is over; then it covers nothing any more."""
        return self.expires < today

    def affects(self, palette_version: str) -> bool:
        """Whether the issue is known in this version of Palette; a version that is unknown is affected."""
        version = _version(palette_version)
        if not version:
            return True
        above = not self.since or version >= _version(self.since)
        return above and (not self.until or version[: len(_version(self.until))] <= _version(self.until))

    def speaks_of(self, case: CaseFinished) -> bool:
        """Whether the case is one of the requirement and, if the waiver names one, that one."""
        return self.requirement in case.requirements and (not self.case or self.case in case.case)

    def explains(self, case: CaseFinished) -> bool:
        """Whether all that went wrong in the case bears the fingerprint; ``*`` in it stands for anything.

        Every pull that presented something changed must bear it: a second failure beside the known one stays red.
        """
        seen = list(_seen(case))
        return all(fnmatchcase(facts.get(key, ""), value) for facts in seen for key, value in self.fingerprint.items())

    def in_force(self) -> WaiverInForce:
        """Return the waiver as the journal records it."""
        return msgspec.convert(as_dict(self), WaiverInForce)


FINGERPRINT_KEYS = ["phase", "puller", "presented", "status", "vector_class", "observed", "reason"]
_TEXT = {"type": "string", "minLength": 1}
_DATE = {"type": "string", "format": "date", "pattern": r"^\d{4}-\d\d-\d\d$"}
_FINGERPRINT = {
    "type": "object",
    "minProperties": 1,
    "propertyNames": {"enum": FINGERPRINT_KEYS},
    "additionalProperties": _TEXT,
}
_NEEDED = {
    **dict.fromkeys(("id", "requirement", "owner", "reason", "link"), _TEXT),
    **dict.fromkeys(("opened", "expires"), _DATE),
    "fingerprint": _FINGERPRINT,
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["known_issues"],
    "additionalProperties": False,
    "properties": {
        "known_issues": {
            "type": "array",
            "items": {
                "type": "object",
                "required": list(_NEEDED),
                "additionalProperties": False,
                "properties": {**_NEEDED, **dict.fromkeys(("case", "since", "until"), _TEXT)},
            },
        }
    },
}


def load(path: Path, requirements: Collection[str], *, today: dt.date) -> list[Waiver]:
    """Read the file of waivers and check every one of them.

    One that has expired is read like any other, see :meth:`Waiver.is_expired`.

    Raises WaiverError: not YAML, not of the schema, a requirement that does not exist, an id given twice, a beginning
    in the future, an end that lies before the beginning or more than 90 days after it.
    """
    waivers = [_made(entry) for entry in _validated(path)["known_issues"]]
    seen: set[str] = set()
    for place, waiver in enumerate(waivers):
        _check(waiver, f"{path}: known_issues[{place}] ({waiver.id})", requirements, seen, today)
        seen.add(waiver.id)
    return waivers


def _validated(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(file_content(path), only_text=True).value  # a version like 4.10 stays 4.10
        jsonschema.validate({"known_issues": []} if content in (None, "") else content, SCHEMA)
    except FileNotFoundError:
        raise WaiverError(f"{path}: no such file; write 'known_issues: []' if there are none") from None
    except (OSError, BadYamlError) as error:
        raise WaiverError(f"{path}: cannot be read as YAML: {error}") from None
    except jsonschema.ValidationError as error:
        place = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.absolute_path)
        raise WaiverError(f"{path}: {place.lstrip('.') or 'the file'}: {error.message}") from None
    return content or {"known_issues": []}


def _made(entry: dict[str, Any]) -> Waiver:
    try:
        dates = {key: dt.date.fromisoformat(entry[key]) for key in ("opened", "expires")}
    except ValueError as error:
        raise WaiverError(f"waiver {entry['id']}: {error}; write a date as 2026-11-22") from None
    return Waiver(**{**entry, **dates})


def _check(waiver: Waiver, where: str, requirements: Collection[str], seen: Collection[str], today: dt.date) -> None:
    if waiver.id in seen:
        raise WaiverError(f"{where}: this id stands here twice; give each waiver its own")
    if waiver.requirement not in requirements:
        raise WaiverError(f"{where}: requirement '{waiver.requirement}' does not exist; name one of requirements.yaml")
    if waiver.opened > today:
        raise WaiverError(f"{where}: opened {waiver.opened} lies in the future; today is {today}")
    latest = waiver.opened + dt.timedelta(days=LONGEST_DAYS)
    if not waiver.opened < waiver.expires <= latest:
        raise WaiverError(
            f"{where}: expires {waiver.expires}; a waiver opened {waiver.opened} ends after that day "
            f"and on {latest} at the latest ({LONGEST_DAYS} days)"
        )


def expired_words(waiver: Waiver) -> str:
    """Return what a reader has to know of a waiver that has expired."""
    return (
        f"waiver {waiver.id} expired on {waiver.expires} and covers nothing any more; "
        f"mend the issue, or ask its owner {waiver.owner} to open it anew"
    )


def recognise(case: CaseFinished, waivers: Sequence[Waiver], expired: Sequence[Waiver] = ()) -> CaseFinished:
    """Return the case as *known* if it failed just as one of the waivers describes; any other case as it is.

    ``waivers`` are those that affect the version under test. A failure that one of the ``expired`` describes stays a
    failure, and says so.
    """
    for waiver in waivers:
        if waiver.speaks_of(case) and case.verdict is Verdict.FAIL and waiver.explains(case):
            reason = f"waiver {waiver.id} ({waiver.reason}), until {waiver.expires}"
            return replace(case, verdict=Verdict.KNOWN, waiver=waiver.id, reason=reason)
    for waiver in expired:
        if waiver.speaks_of(case) and case.verdict is Verdict.FAIL and waiver.explains(case):
            return replace(case, story=(*case.story, f"  {expired_words(waiver)}"))
    return case


def settle(cases: Sequence[CaseFinished], waivers: Sequence[Waiver], *, complete: bool) -> list[CaseFinished]:
    """Return the cases that have to be recorded anew at the end of a run: *fixed*, because their waiver met nothing.

    A waiver is out of date when all of its cases that ran passed. One that names no case speaks of every case of its
    requirement, some of which never failed: only a run that left none of them out (``complete``) can judge it.
    """
    return [
        replace(
            case,
            verdict=Verdict.FIXED,
            waiver=waiver.id,
            reason=_out_of_date(waiver),
            observed="the case passes",
            story=(f"{waiver.requirement}  {_out_of_date(waiver)}",),
        )
        for waiver in waivers
        if complete or waiver.case
        for case in _all_passed([case for case in cases if waiver.speaks_of(case)])
    ]


def _all_passed(cases: list[CaseFinished]) -> list[CaseFinished]:
    ran = [case for case in cases if case.verdict is not Verdict.NOT_COVERED]
    return ran if all(case.verdict is Verdict.PASS for case in ran) else []


def _out_of_date(waiver: Waiver) -> str:
    expected = ", ".join(f"{key} = {value}" for key, value in waiver.fingerprint.items())
    return f"waiver {waiver.id} expects a failure ({expected}), but the case passes; remove the waiver"


def _seen(case: CaseFinished) -> Iterator[dict[str, str]]:
    """Yield what a failing case showed: once for each pull that presented something else, or for the case alone."""
    facts = {"phase": case.phase, "vector_class": case.vector_class, "observed": case.observed, "reason": case.reason}
    changed = [pull for pull in case.pulls if pulls.changed(pull)]
    for pull in changed:
        told = {"phase": pull.phase, "puller": pull.puller, "presented": pull.presented, "status": str(pull.status)}
        yield {**facts, **told}
    if not changed:
        yield facts


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d{1,18}", text.split("-", 1)[0])[:3])
