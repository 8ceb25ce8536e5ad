"""Every answer that a test of the endpoint receives is held to the published API description, where that is present."""

from __future__ import annotations

from functools import cache

import requests

from tests.lab_palette.api import Judge
from tests.palette.openapi import Spec, directory

FULL_4_9 = "palette-apis-spec-4.9.json"


def is_present() -> bool:
    """Return whether the description is there."""
    return (directory() / FULL_4_9).is_file()


def spec() -> Spec:
    """Return the description."""
    return Spec.load(directory() / FULL_4_9)


@cache
def judge() -> Judge | None:
    """Return what judges answers, None without a description."""
    return _judge if is_present() else None


def _judge(method: str, path: str, answer: requests.Response) -> None:
    plain = path.partition("?")[0]
    is_json = answer.headers.get("Content-Type", "").startswith("application/json")
    body = answer.json() if is_json else (answer.text or None)
    spec().validate_response(method, plain, answer.status_code, body, strict=True)
