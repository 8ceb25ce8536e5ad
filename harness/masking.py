"""Secrets of a site are taken out of what is told of a case before anybody writes it.

The leak gate searches every artefact and withholds what gives a secret away. This is what comes before: a password that
a client, a host or an assertion quoted becomes the name of what it is, and the rest of the story can still be read.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from reports.records import CaseFinished

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reports.leak_forms import Protected

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
