"""Why cases are red: grouped by what the witness saw (change, phase, puller), accidents of infrastructure apart."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports import pulls
from reports.text import one_line, plural
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.records import CaseFinished, PullRecord
    from reports.results import Results

_WHOSE = {
    Verdict.FAIL: "product",
    Verdict.FIXED: "waiver",
    Verdict.ERROR: "harness",
    Verdict.DEAD: "infrastructure",
    Verdict.VACUOUS: "infrastructure",
}
_PULLERS = {"node": "the node's runtime", "agent": "the agent"}
_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|\b(?:sha256:)?[0-9a-f]*\d[0-9a-f]*\b|\bedge-\S+")


@dataclass(frozen=True)
class Cause:
    """What several red cases have in common: in words, whose it is, and the cases with the best example first."""

    words: str
    whose: str
    cases: tuple[CaseFinished, ...]

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements that its cases speak of."""
        return tuple(dict.fromkeys(name for case in self.cases for name in case.requirements))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it was seen on."""
        return tuple(sorted({host for case in self.cases for host in case.hosts}))

    @property
    def reach(self) -> str:
        """How much it concerns: ``3 requirements, 4 cases``."""
        named = [plural(len(self.requirements), "requirement")] if self.requirements else []
        return ", ".join([*named, plural(len(self.cases), "case")])


def of(results: Results) -> list[Cause]:
    """Group the red cases of a run: the product's causes first, and what concerns most before the rest."""
    groups: dict[tuple[str, str], list[CaseFinished]] = defaultdict(list)
    for case in results.red:
        groups[_WHOSE[case.verdict], words(case)].append(case)
    found = [
        Cause(_in_example(said, cases), whose, tuple(sorted(cases, key=lambda case: not case.pulls)))
        for (whose, said), cases in groups.items()
    ]
    order = list(dict.fromkeys(_WHOSE.values()))
    return sorted(found, key=lambda cause: (order.index(cause.whose), -len(cause.requirements), -len(cause.cases)))


def summed(whose: str, found: Sequence[Cause]) -> str:
    """Return how much is whose: ``product: 2 causes, 3 cases``."""
    return f"{whose}: {plural(len(found), 'cause')}, {plural(sum(len(cause.cases) for cause in found), 'case')}"


def words(case: CaseFinished) -> str:
    """Return what went wrong so that cases of one cause have the same words."""
    if case.verdict is Verdict.FAIL and (place := pulls.decisive(case.pulls)) is not None:
        return _of_pull(case.pulls[place])
    return _VARIABLE.sub("…", _reason(case))


def _in_example(said: str, cases: Sequence[CaseFinished]) -> str:
    """Return the words of a cause; those of its only case as they are, numbers and names included."""
    return _reason(cases[0]) if len(cases) == 1 and not said.startswith(tuple(_PULLERS.values())) else said


def _of_pull(pull: PullRecord) -> str:
    who = _PULLERS.get(pull.puller, pull.puller)
    phase = f" at {pull.phase}" if pull.phase else ""
    if pulls.changed(pull):
        what = one_line(pull.presented.partition(" or ")[0])
        return f"{who} presents the password {what}{phase}" if _of_password(what) else f"{who} presents {what}{phase}"
    shown = "no credential" if pull.presented == "anonymous" else "the right credential"
    return f"{who} presents {shown}{phase} and is answered {pulls.answer(pull.status)}"


def _of_password(what: str) -> bool:
    return "user name" not in what and not what.startswith(("malformed", "other scheme", "unknown"))


def _reason(case: CaseFinished) -> str:
    told = case.observed if case.verdict is Verdict.FAIL else case.reason or case.observed
    if case.title and told.startswith("assert "):  # pytest's own words say nothing to who has not read the case
        told = f"does not hold: {case.title}"
    text = one_line(told or case.title or case.case)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


_LONGEST = 160


def since(cause: Cause, earlier: Sequence[Results]) -> str:
    """Return the id of the first of the runs in a row, up to this one, in which the cause was seen, in whatever case.

    Empty if it is new: it was not seen in the run before.
    """
    names = {case.case for case in cause.cases}
    same = words(cause.cases[0])
    first = ""
    for run in reversed(earlier):
        # A history file keeps no pulls and no reasons: there a red case counts by its name.
        if not any(words(case) == same or (case.case in names and not case.observed + case.reason) for case in run.red):
            break
        first = run.started.run_id
    return first
