"""What a case records of the places where a password would stand."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable

import pytest

from fixtures.answers import LONGEST_NOTE, Heard, in_place_of_passwords

PASSWORD = "Pa!ss#w0rd*Clear"
VALUES = 'providerCredentials:\n  password: "******"\n  certificates: |\n    -----BEGIN CERTIFICATE-----\n    MIIB\n'


def heard(request: str, content: str) -> Heard:
    """Return an answer to a request."""
    return Heard(request, content.encode())


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        (VALUES, '"******"'),
        (json.dumps({"values": VALUES}), '"******"'),
        (json.dumps({"providerCredentials": {"password": "******", "user": "u"}}), '"******"'),
        ("providerCredentials: {user: u, password: 'it''s', certificates: pem}", "'it''s'"),
        (VALUES.replace('"******"', "bare"), "bare"),
        (VALUES.replace("******", PASSWORD), '"the password"'),
    ],
    ids=["YAML", "YAML in JSON", "JSON", "one line", "bare", "in clear"],
)
def test_a_note_ends_where_the_value_ends(content: str, shown: str) -> None:
    """What follows the quoted value, a certificate for instance, is not part of the note."""
    (note,) = in_place_of_passwords([heard("GET /v1/clusterprofiles/{uid}", content)], PASSWORD)

    assert note == f"{shown} in the password's place: 1 request, GET /v1/clusterprofiles/{{uid}}"


def test_equal_findings_are_one_short_note() -> None:
    """Many answers that show the same are one line of at most 80 characters."""
    answers = [heard(f"GET /v1/spectroclusters/{{uid}}/a/rather/long/path/{n}", VALUES) for n in range(12)]
    (note,) = in_place_of_passwords(answers, PASSWORD)

    assert note.startswith('"******" in the password\'s place: 12 requests, GET /v1/spectroclusters/')
    assert len(note) <= LONGEST_NOTE


def zipped(content: bytes, name: str = "a") -> bytes:
    """Return a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def nested(times: int) -> bytes:
    """Return an archive in an archive, so many times."""
    content = b"the end"
    for _ in range(times):
        content = zipped(content)
    return content


@pytest.mark.parametrize(
    "made",  # by the test: every worker of own tests collects them, and the first takes a second
    [
        lambda: zipped(bytes(200 << 20)),
        lambda: nested(60),
        lambda: zipped(b"x")[:-30] + b"x" * 30,
        lambda: b"[" * 100_000,
        lambda: b'"{\\"a\\": \\"\\ud800\\"}"',
    ],
    ids=["bomb", "nested archives", "damaged", "nested JSON", "surrogate"],
)
def test_a_hostile_archive_of_palette_is_read_as_far_as_it_goes(made: Callable[[], bytes]) -> None:
    """Neither its size nor its depth nor a damage of it ends a case."""
    found = Heard("GET /v1/bundle", made()).texts

    assert sum(map(len, found)) < 100 << 20
