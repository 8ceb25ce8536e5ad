"""What can be said of one case, what that makes of a whole run, and the exit code that says so.

======  ==================  =======================================================================================
 code   name                meaning
======  ==================  =======================================================================================
  0     ``OK``              every case ended as *pass*, *known* or *not covered*
  1     ``FAIL``            at least one case *fail*: the product is wrong
  2     ``INTERRUPTED``     the run was stopped before its end
  3     ``ERROR``           at least one case *error*: the harness is wrong (also: its leak gate does not work)
  4     ``SETUP``           the set-up or the command line was refused; nothing was touched
  5     ``NOTHING_RUN``     no case was run
 10     ``FIXED``           a waiver no longer matches what happens: remove the waiver
 11     ``DEAD``            infrastructure: host lost, registry down, API answering 5xx
 12     ``VACUOUS``         a phase did not really happen, so nothing was proven
 13     ``LEAK``            a protected secret stood in an artefact
 14    ``UNCOVERED``       a certification left a requirement uncovered: nothing failed, nothing is certified
======  ==================  =======================================================================================

Codes 0 to 5 mean what pytest means by them; 6 is left to pytest (too many warnings), so the others begin at 10.
When several classes occur, the code is the first of: leak, interrupted, nothing run, fail, error, vacuous, dead,
fixed, uncovered. A product failure is knowledge that no broken host takes away; everything before it says that the
report as a whole must not be used.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Verdict(Enum):
    """What is said of one case. The order is the order of gravity, mildest first."""

    PASS = "pass"  # noqa: S105  a verdict, not a password
    NOT_COVERED = "not covered"
    KNOWN = "known"
    FIXED = "fixed"
    DEAD = "dead"
    VACUOUS = "vacuous"
    ERROR = "error"
    FAIL = "fail"

    @property
    def gravity(self) -> int:
        """Zero for *pass*; the larger, the worse."""
        return _GRAVITY[self]

    @property
    def is_red(self) -> bool:
        """Whether a run with such a case must not exit 0."""
        return self not in {Verdict.PASS, Verdict.NOT_COVERED, Verdict.KNOWN}

    @property
    def look(self) -> Look:
        """What it is called and looks like in each kind of report."""
        return _LOOKS[self]

    @classmethod
    def read(cls, name: str) -> Verdict:
        """Return the verdict with this name; a name that this version does not know is an *error*, never a pass."""
        return _BY_NAME.get(name, cls.ERROR)


_GRAVITY = {verdict: place for place, verdict in enumerate(Verdict)}
_BY_NAME = {verdict.value: verdict for verdict in Verdict}


class ExitCode(IntEnum):
    """What a run's process returns; the table is in the module's docstring."""

    OK = 0
    FAIL = 1
    INTERRUPTED = 2
    ERROR = 3
    SETUP = 4
    NOTHING_RUN = 5
    FIXED = 10
    DEAD = 11
    VACUOUS = 12
    LEAK = 13
    UNCOVERED = 14


class Look(NamedTuple):
    """What a verdict is elsewhere: exit code, element of JUnit, letter, colour of a terminal, mark, meaning."""

    code: ExitCode
    element: str
    letter: str
    colour: str
    mark: str
    meaning: str


_LOOKS = {
    Verdict.PASS: Look(ExitCode.OK, "", ".", "32", "🟢", "the product does what the guide says"),
    Verdict.NOT_COVERED: Look(ExitCode.OK, "skipped", "-", "2", "⚪", "the site lacks a feature that the case needs"),
    Verdict.KNOWN: Look(ExitCode.OK, "skipped", "k", "36", "🔵", "fails exactly as a waiver in force describes"),
    Verdict.FIXED: Look(
        ExitCode.FIXED, "failure", "x", "33", "🟡", "a waiver no longer matches what happens: remove it"
    ),
    Verdict.DEAD: Look(
        ExitCode.DEAD, "error", "D", "35", "🟣", "infrastructure: a host, the registry or the API was gone"
    ),
    Verdict.VACUOUS: Look(
        ExitCode.VACUOUS, "error", "V", "35", "🟠", "the phase did not really happen, nothing was proven"
    ),
    Verdict.ERROR: Look(ExitCode.ERROR, "error", "E", "35", "🟤", "the harness itself went wrong"),
    Verdict.FAIL: Look(ExitCode.FAIL, "failure", "F", "31", "🔴", "the product does not do what the guide says"),
}


def worst(verdicts: Iterable[Verdict]) -> Verdict | None:
    """Return the gravest of several verdicts, ``None`` if there are none."""
    return max(verdicts, key=lambda verdict: verdict.gravity, default=None)


def exit_code(
    verdicts: Iterable[Verdict], *, interrupted: bool = False, leaked: bool = False, gate_broken: bool = False
) -> ExitCode:
    """Return the exit code of a run from the verdicts of its cases.

    ``gate_broken``: the planted canary was not found, so nobody knows whether something leaked.
    """
    if leaked:
        return ExitCode.LEAK
    if interrupted:
        return ExitCode.INTERRUPTED
    gravest = worst(verdicts)
    if gravest is None:
        return ExitCode.NOTHING_RUN
    if gate_broken:
        gravest = worst([gravest, Verdict.ERROR])
    return gravest.look.code if gravest else ExitCode.OK


def of_exception(error: BaseException | None, classes: Mapping[type[BaseException], Verdict]) -> Verdict:
    """Derive a case's verdict from the exception that ended it.

    ``classes`` says what the exceptions of clients and fixtures mean (host unreachable is *dead*, …). A failed
    assertion is *fail*. The most specific class wins; a cause (``raise … from``) is asked when the exception itself
    says nothing; of a group (Hypothesis found several bugs) the gravest counts. What nobody has named is an *error*
    of the harness: never a pass, and never the product's fault.
    """
    if error is None:
        return Verdict.PASS
    return worst(_said_by(error, {AssertionError: Verdict.FAIL, **classes})) or Verdict.ERROR


def _said_by(error: BaseException, classes: Mapping[type[BaseException], Verdict]) -> Iterator[Verdict]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield of_exception(member, classes)
        return
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        for kind in type(link).__mro__:
            if kind in classes:
                yield classes[kind]
                return
        link = link.__cause__
