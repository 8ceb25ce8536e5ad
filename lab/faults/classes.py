"""Faults that touch one class of passwords only, told by what the whole of a password is."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lab.faults import fault
from lab.faults.replacing import afterwards, always, when
from lab.injection import DEPLOY_CREDENTIAL, UPGRADE_CREDENTIAL, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SPECIAL = re.compile(r"[^0-9A-Za-z]")


def decodes(text: str, times: int) -> bool:
    """Return whether text is base64 of base64 … so many times."""
    for _ in range(times):
        try:
            text = base64.b64decode(text, validate=True).decode()
        except (ValueError, binascii.Error):
            return False
    return True


def is_json(text: str) -> bool:
    """Return whether text is a JSON document."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def is_long(least: int, special: bool, text: str) -> bool:  # noqa: FBT001 - with or without
    """Return whether text is so long, with a special character or without."""
    return len(text) >= least and bool(_SPECIAL.search(text)) == special


CLASSES: dict[str, Callable[[str], Any]] = {
    "hexadecimal": lambda text: re.fullmatch(r"[0-9A-Fa-f]+", text),
    "all-digits": str.isdecimal,
    "decodable-twice": lambda text: decodes(text, 2),
    "json": is_json,
    "a-uuid": lambda text: re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.IGNORECASE),
    "a-date": lambda text: re.fullmatch(r"\d{4}-?\d\d-?\d\d(T[0-9:]+Z)?", text),
    "one-character-repeated": lambda text: len(text) > 1 and len(set(text)) == 1,
    "in-title-case": lambda text: re.fullmatch("[A-Z][a-z]+", text),
    "with-a-mark-at-its-end": lambda text: re.fullmatch("[0-9A-Za-z]+[!#*]", text),
    "of-two-words": lambda text: re.fullmatch("[a-z]+ [a-z]+", text),
    **{
        f"{least}-and-more-{'with' if special else 'without'}-specials": partial(is_long, least, special)
        for least in (16, 32, 40, 64)
        for special in (True, False)
    },
}
ROADS = (("deploy", DEPLOY_CREDENTIAL, "DEPLOY-03"), ("repave", UPGRADE_CREDENTIAL, "REPAVE-03"))


def without_its_last(login: Any) -> Any:  # noqa: ANN401 - a credential
    """Return a login whose password lacks its last character."""
    return replace(login, password=login.password[:-1])


def _faults() -> Iterator[Fault]:
    for name, is_one in CLASSES.items():
        for road, point, requirement in ROADS:
            if road == "deploy" and "specials" in name:
                continue  # as at the repave

            def concerns(_at: object, login: Any, is_one: Callable[[str], Any] = is_one) -> bool:  # noqa: ANN401 - a credential
                return login is not None and bool(is_one(login.password))

            yield fault(
                f"password-{name}-cut-at-{road}", at=point, replace=when(concerns, afterwards(without_its_last)),
                catches=[requirement], because="a reader that recognises a kind of text, and reads it as that",
            )  # fmt: skip


def cut_at_its_dot(login: Any) -> Any:  # noqa: ANN401 - a credential
    """Return a login whose user name ends at its dot."""
    return replace(login, username=login.username.partition(".")[0])


def _is_dotted(_at: object, login: Any) -> bool:  # noqa: ANN401 - a credential
    return login is not None and bool(re.fullmatch(r"[a-z]+\.[a-z]+", login.username))


def _is_one_word(_at: object, login: Any) -> bool:  # noqa: ANN401 - a credential
    return login is not None and login.username == login.password


FAULTS: tuple[Fault, ...] = (
    *_faults(),
    fault("dotted-user-name-cut-at-repave", at=UPGRADE_CREDENTIAL, replace=when(_is_dotted, afterwards(cut_at_its_dot)),
          catches=["CRED-05"], because="what stands before a dot is taken for a domain"),
    fault("password-like-the-user-name-lost-at-repave", at=UPGRADE_CREDENTIAL, replace=when(_is_one_word, always(None)),
          catches=["CRED-05"], because="a default that was never changed is taken for none"),
)  # fmt: skip
