"""Where an exception comes from, and what of it may be printed: places and source lines, never the values of a frame.

Frames of clients hold revealed secrets, as ``requests`` holds the headers that it sends. So whatever pytest prints of
a run (``--full-trace``, ``-l``, an internal error, Ctrl-C) is printed without arguments and local variables.

It is a plugin and a library, whichever is asked for first, and has no assertion to rewrite: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

ROOT = Path(__file__).parent.parent
SUITES = ROOT / "suites"
_OF_PYTEST = ("_pytest", "pluggy", "hypothesis")


def first_of(error: BaseException) -> BaseException:
    """Return what ended a case first, when cleaning up after it then failed as well and raised ``error``.

    Python keeps the first exception as the context of the second. A context counts if it had reached a frame of the
    suites; others are those that a library handled on its way.
    """
    first, seen, link = error, {id(error)}, error.__context__
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if not error.__suppress_context__ and _reached_the_suites(link):
            first = link
        link = link.__context__
    return first


def _reached_the_suites(error: BaseException) -> bool:
    return any(SUITES in place.parents for place, _line in _places(error.__traceback__))


def place_of(error: BaseException) -> str:
    """Return where an exception left the suites, as ``file:line``; of one that never was there, where it left ours."""
    places = list(_places(_one_of(error).__traceback__))
    inside = [place for place in places if SUITES in place[0].parents] or [
        place for place in places if ROOT in place[0].parents
    ]
    return f"{inside[-1][0].relative_to(ROOT)}:{inside[-1][1]}" if inside else ""


def _one_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return error


def _places(trace: TracebackType | None) -> Iterator[tuple[Path, int]]:
    return ((Path(frame.f_code.co_filename), line) for frame, line in traceback.walk_tb(trace))


def lines_of(error: BaseException) -> list[str]:
    """Return the traceback as lines, without pytest's own frames and without the value of any variable."""
    told = traceback.TracebackException.from_exception(error)
    for link in _chain(told):
        link.stack[:] = [frame for frame in link.stack if not set(_OF_PYTEST) & set(Path(frame.filename).parts)]
    return "".join(told.format()).splitlines()


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    links = [told]
    while links:
        link = links.pop()
        yield link
        links += [more for more in (link.__cause__, link.__context__, *(link.exceptions or ())) if more is not None]


# --- pytest's own ways to print frames -------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_internalerror(excrepr: object) -> None:
    """Take arguments and local variables out of what is about to be printed."""
    chain = excrepr.chain if isinstance(excrepr, ExceptionChainRepr) else ()
    for entries, _crash, _text in chain:
        for entry in entries.reprentries:
            if isinstance(entry, ReprEntry):
                entry.reprfuncargs = entry.reprlocals = None


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Empty the frames that ``--full-trace`` is about to print."""
    links: list[BaseException | None] = [excinfo.value]
    while links:
        if (link := links.pop()) is not None:
            traceback.clear_frames(link.__traceback__)
            links += [link.__cause__, link.__context__]
