"""Why cases are red: grouped by what witness and events saw (change, phase, puller), infrastructure apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foreign import cut
from reports import pulls
from reports.text import one_line, plural, when
from reports.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.records import CaseFinished, PullRecord
    from reports.results import Results

_WHOSE = {
    Verdict.FAIL: "product",
    Verdict.VACUOUS: "product or site",
    Verdict.FIXED: "waiver",
    Verdict.ERROR: "harness",
    Verdict.DEAD: "infrastructure",
}
_PULLERS = {"node": "the node's runtime", "agent": "the agent"}
_ADDRESS = r"\b\d+(?:\.\d+){3}(?::\d+)?\b"
_VARIABLE = re.compile(
    rf"(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|{_ADDRESS}|\b(?:sha256:)?[0-9a-f]*\d[0-9a-f]*\b|\b(?:edge|conf)-\S+"
)
_WAITED = re.compile(r"\Awaited for ([^\n]*?): not so within (\d+ s)(?: \([^)]*\))?(?:; states seen: .*)?\Z", re.DOTALL)
#: Further changes that would give the same value; the first one stands for them.
_ALTERNATIVES = re.compile(r" or [^,]*")
_LOGGED = re.compile(r'time="[^"]*" level=\w+ msg="(.*)"', re.DOTALL)
_LONGEST = 160
_DIAGNOSIS = re.compile(r"  .*: everything seen equals what (?P<change>.*) would give")


@dataclass(frozen=True)
class Cause:
    """What several red cases have in common: in words, whose it is, and the cases with the best example first.

    ``first`` is the earliest of the runs in a row, up to this one, in which it was seen, None if it is new;
    ``compared`` tells whether there were runs to compare with.
    """

    words: str
    whose: str
    cases: tuple[CaseFinished, ...]
    first: Results | None = None
    compared: bool = False

    @property
    def meaning(self) -> str:
        """What exactly is done to the password, by its best example as a whole; empty if it is another cause."""
        best = self.cases[0]
        told = [diagnosis(best)[1], *(pull.meaning for pull in best.pulls)]
        return next(filter(None, told), "") if best.verdict is Verdict.FAIL else ""

    @property
    def since(self) -> str:
        """Since when it is there; empty if there is nothing to compare with."""
        if self.first:
            return f"since {when(self.first.started.started)}"
        return "new in this run" if self.compared else ""

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements that its cases speak of."""
        return tuple(dict.fromkeys(name for case in self.cases for name in case.requirements))

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts that it was seen on: where pulls went wrong theirs, or else those of the cases."""
        wrong = {host for case in self.cases if case.verdict is Verdict.FAIL for host in pulls.hosts(case.pulls)}
        return tuple(sorted(wrong or {host for case in self.cases for host in case.hosts}))

    @property
    def reach(self) -> str:
        """How much it concerns, and since when: ``3 requirements, 4 cases, new in this run``."""
        named = plural(len(self.requirements), "requirement") if self.requirements else ""
        return ", ".join(filter(None, [named, plural(len(self.cases), "case"), self.since]))


def of(results: Results, earlier: Sequence[Results] = ()) -> list[Cause]:
    """Group the red cases of a run: the product's causes first, and what concerns most before the rest.

    ``earlier`` are the runs before, oldest first, among which the first with a cause is looked for.
    """
    groups: dict[tuple[str, str], list[CaseFinished]] = defaultdict(list)
    for case in results.red:
        groups[_WHOSE[case.verdict], words(case)].append(case)
    found = [
        Cause(
            said if _seen(cases[0]) else _in_common(cases),
            whose,
            tuple(sorted(cases, key=lambda case: not case.pulls)),
            _first(cases, earlier),
            bool(earlier),
        )
        for (whose, said), cases in groups.items()
    ]
    order = list(dict.fromkeys(_WHOSE.values()))
    return sorted(found, key=lambda cause: (order.index(cause.whose), -len(cause.requirements), -len(cause.cases)))


def summed(found: Sequence[Cause]) -> str:
    """Return how much is whose, the gravest first: ``product: 2 causes, 3 cases; also infrastructure: 1 cause``."""
    first, *others = Counter(cause.whose for cause in found).items()
    cases = sum(len(cause.cases) for cause in found if cause.whose == first[0])
    rest = ", ".join(f"{whose}: {plural(number, 'cause')}" for whose, number in others)
    return f"{first[0]}: {plural(first[1], 'cause')}, {plural(cases, 'case')}{'; also ' if rest else ''}{rest}"


def words(case: CaseFinished) -> str:
    """Return what went wrong so that cases of one cause have the same words."""
    return _seen(case) or cut(_masked(_reason(case), case), _LONGEST)


def _masked(text: str, case: CaseFinished) -> str:
    """Return a text without what differs from case to case: its hosts, numbers, and what it quotes."""
    hosts = "|".join(rf"(?<![\w.-]){re.escape(host)}(?![\w-])" for host in case.hosts)
    return _VARIABLE.sub("…", re.sub(hosts, "…", text) if hosts else text)


def _seen(case: CaseFinished) -> str:
    """Return what pulls or events show of a failure; empty if its own words are all there is.

    The event of a refused pull explains a wait in vain; a case with more to say than that it waited says it itself.
    """
    if case.verdict is not Verdict.FAIL:
        return ""
    own = [pull for pull in case.pulls if not pull.elsewhere]  # what another registry means, the case says itself
    if (place := pulls.decisive(own)) is not None:
        return _of_pull(own[place])
    failed = [event for event in case.events if event.reason.startswith("Failed")]
    if not failed or not case.observed.startswith("waited for "):
        return ""
    phase = f"the {case.phase}" if case.phase else "a deployment or repave"
    return one_line(f"{phase} does not end, {failed[-1].reason}: {_masked(essence(failed[-1].message), case)}")


def diagnosis(case: CaseFinished) -> tuple[str, str]:
    """Return the line of a report that names what all its examples show, and the change; empty unless there is one."""
    told = [found for line in case.story if (found := _DIAGNOSIS.fullmatch(line))]
    return (told[0][0], told[0]["change"]) if len(told) == 1 else ("", "")


def essence(message: str) -> str:
    """Return the end of a chain of errors: what stands behind the last thing that it quotes, without a log's fields."""
    logged = _LOGGED.fullmatch(message)
    return (logged[1] if logged else message).rpartition('": ')[2]


def _in_common(cases: Sequence[CaseFinished]) -> str:
    """Return the reason of cases of one cause, with an ellipsis for each word in which they differ."""
    told = [_reason(case).split(" ") for case in cases]
    if len(set(map(len, told))) > 1:
        return words(cases[0])
    return cut(" ".join(each[0] if len(set(each)) == 1 else "…" for each in zip(*told, strict=True)), _LONGEST)


def _of_pull(pull: PullRecord) -> str:
    who = _PULLERS.get(pull.puller, pull.puller)
    phase = f" at {pull.phase}" if pull.phase else ""
    if pulls.changed(pull):
        what = _ALTERNATIVES.sub("", one_line(pull.presented))
        return f"{who} presents the password {what}{phase}" if _of_password(what) else f"{who} presents {what}{phase}"
    shown = "no credential" if pull.presented == "anonymous" else "the right credential"
    return f"{who} presents {shown}{phase} and is answered {pulls.answer(pull.status)}"


def _of_password(what: str) -> bool:
    return not what.startswith(("user name", "malformed", "other scheme", "unknown", "the login of "))


def _reason(case: CaseFinished) -> str:
    told = case.observed if case.verdict is Verdict.FAIL else case.reason or case.observed
    if case.title and told.startswith("assert "):  # pytest's own words say nothing to who has not read the case
        told = f"does not hold: {case.title}"
    return one_line(_WAITED.sub(r"waited \2 in vain for \1", told) or case.title or case.case)


def _first(cases: Sequence[CaseFinished], earlier: Sequence[Results]) -> Results | None:
    """Return the first of the runs in a row, up to this one, in which the cause was seen, in whatever case."""
    names, same = {case.case for case in cases}, words(cases[0])
    first = None
    for run in reversed(earlier):
        # A history file keeps no pulls and no reasons: there a red case counts by its name.
        if not any(words(case) == same or (case.case in names and not case.observed + case.reason) for case in run.red):
            break
        first = run
    return first
