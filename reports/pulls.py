"""The pulls of a case in words: which are usual, which one was decisive, and one line for each kind of them."""

from __future__ import annotations

import re
from collections import Counter
from http import HTTPStatus
from typing import TYPE_CHECKING

from reports.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reports.records import PullRecord

GOOD, USUAL, BAD = "good", "usual", "bad"
HERE = "  <- here"
#: How a login is called that a case has refused on purpose.
ON_PURPOSE = "wrong on purpose"
#: What a pull presents without anybody's fault; a first request without credentials is how the protocol begins.
RIGHT = frozenset({"", "intact", "anonymous", ON_PURPOSE})
_MOST_LINES = 14
_DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


def answer(status: int) -> str:
    """Return an HTTP status as a person reads it: ``401 Unauthorized``; empty for none, success and redirection."""
    if status < HTTPStatus.BAD_REQUEST:
        return ""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def shortened(text: str) -> str:
    """Return a text with every digest cut to twelve digits."""
    return _DIGEST.sub(r"\1", text)


def tones(pulls: Sequence[PullRecord]) -> list[str]:
    """Return for each pull, in order, whether it was good, usual or bad.

    Usual is what a login begins with, what a case has refused on purpose, and the right login for a tag that is not
    there: so cases ask what is presented without a boot.
    """
    followed: set[tuple[str, str, str]] = set()
    found = []
    for pull in reversed(pulls):
        client = (pull.host, pull.phase, pull.puller)
        found.append(_tone(pull, logged_in=client in followed))
        if pull.presented not in {"", "anonymous"}:
            followed.add(client)
    return found[::-1]


def _tone(pull: PullRecord, *, logged_in: bool) -> str:
    asks = logged_in or pull.repository.strip("/") == "v2"
    refused = pull.status == HTTPStatus.UNAUTHORIZED
    if refused and (pull.presented == ON_PURPOSE or (pull.presented == "anonymous" and asks)):
        return USUAL
    if pull.presented == "intact" and pull.status == HTTPStatus.NOT_FOUND:
        return USUAL
    return GOOD if not changed(pull) and not answer(pull.status) else BAD


def briefly(presented: str) -> str:
    """Return the first of several names of what was presented, the others counted."""
    first, *rest = presented.split(" or ")
    return f"{first} (or {plural(len(rest), 'other')})" if rest else first


def changed(pull: PullRecord) -> bool:
    """Whether something else was presented than the profile's credential."""
    return pull.presented not in RIGHT


def hosts(pulls: Sequence[PullRecord]) -> set[str]:
    """Return the hosts whose pulls went wrong."""
    return {pull.host for pull, tone in zip(pulls, tones(pulls), strict=True) if tone == BAD and pull.host}


def in_vain(pulls: Sequence[PullRecord]) -> set[str]:
    """Return the images that were asked for with the right login and are not there."""
    return {pull.what for pull in pulls if pull.presented == "intact" and pull.status == HTTPStatus.NOT_FOUND}


def decisive(pulls: Sequence[PullRecord]) -> int | None:
    """Return the place of the pull at which it went wrong: the first that presented a change, or else the last bad."""
    places = [place for place, pull in enumerate(pulls) if changed(pull)]
    bad = [place for place, tone in enumerate(tones(pulls)) if tone == BAD]
    return next(iter(places or bad[-1:]), None)


def around(number: int, here: int | None, most: int) -> list[int]:
    """Choose places of a long list: its beginning, what stands around ``here``, or else its end."""
    if number <= most:
        return list(range(number))
    head = most // 4
    begin = min(max(head, (number if here is None else here + most // 4) - (most - head - 1)), number - (most - head))
    return [*range(head), *range(begin, begin + most - head)]


def lines(pulls: Sequence[PullRecord], *, red: bool = True) -> list[str]:
    """Return one aligned line for each kind of pull: phase, puller, what it presented, what it was answered.

    Pulls that differ in nothing shown are counted, not repeated. Of many kinds the first and those around the decisive
    one are shown, which is marked.
    """
    kinds = Counter(map(_kind, pulls))
    rows = [(*kind, f"(x{number})" if number > 1 else "") for kind, number in kinds.items()]
    place = decisive(pulls) if red else None
    here = None if place is None else list(kinds).index(_kind(pulls[place]))
    shown = around(len(rows), here, _MOST_LINES)
    widths = [max(len(rows[place][column]) for place in shown) for column in range(len(rows[0]))] if rows else []
    told: list[str] = []
    for before, place in zip([-1, *shown], shown, strict=False):
        if place > before + 1:
            told.append(f"  … {place - before - 1} more")
        cells = [cell.ljust(width) for cell, width in zip(rows[place], widths, strict=True) if width]
        told.append("  " + "  ".join(cells).rstrip() + (HERE if place == here and len(rows) > 1 else ""))
    rest = len(rows) - 1 - (shown[-1] if shown else -1)
    return [*told, *([f"  … {rest} more"] if rest > 0 else [])]


def _kind(pull: PullRecord) -> tuple[str, ...]:
    agent = f"({pull.user_agent.partition('~')[0]})" if pull.user_agent else ""
    return pull.phase, pull.puller, agent, pull.elsewhere, briefly(pull.presented), answer(pull.status)
