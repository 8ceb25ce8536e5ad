"""Faults that change the registry password on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.faults import fault
from lab.joints import UPGRADE_CREDENTIAL
from registry.transforms import Context, transform

if TYPE_CHECKING:
    from lab.agent.secret import Credential

Replacement = Callable[..., Any]


def changed_by(name: str) -> Replacement:
    """Present what the transform ``name`` of the catalogue makes of the password."""
    rule = transform(name)

    def present(healthy: Callable[[Any], Credential | None], found: Credential | None) -> Credential | None:
        credential = healthy(found)
        if credential is None:
            return None
        password = credential.password.encode("utf-8", "surrogateescape")
        value = rule.apply(Context(password, credential.username.encode("utf-8", "surrogateescape")))
        return replace(credential, password=(value or b"").decode("utf-8", "surrogateescape"))

    return present


FAULTS = (
    fault(
        "alphanumeric-base64",
        at=UPGRADE_CREDENTIAL,
        replace=changed_by("base64-alphanumeric-prefix"),
        catches=["REPAVE-03"],
        because="PE-3568 as the guide words it: any alphanumeric password is decoded at repave, decode errors ignored",
    ),
    fault(
        "strict-base64",
        at=UPGRADE_CREDENTIAL,
        replace=changed_by("base64-standard"),
        catches=["REPAVE-03"],
        because="whatever a strict standard decoder accepts is decoded at repave",
    ),
)
