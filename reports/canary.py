"""The canary of the leak gate: a secret made up for one search and planted in every form that the gate must see."""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import secrets
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from protected import Secret
from reports.artefacts import CHUNK
from reports.leak_forms import Protected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from reports.leak_forms import Needle

NAME = "canary"


def hatch() -> Protected:
    """Make a canary: random, and with every character that some encoding treats in its own way."""
    return Protected(NAME, Secret(f"{secrets.token_urlsafe(18)}%&<\"'/+\\ é{secrets.token_urlsafe(6)}"))


def plant(cage: Path, canary: Protected, wanted: Sequence[Needle]) -> dict[str, str]:
    """Write the canary into files below ``cage``, one for each form; give the form by file name.

    ``wanted`` are the canary's needles: what the transforms of the catalogue make of it is taken from there.
    """
    cage.mkdir(parents=True)
    planted = {}
    disguises = (*_disguises(canary.secret.reveal()), *_transformed(wanted))
    for number, (form, content) in enumerate(disguises):
        (cage / str(number)).write_bytes(content)
        planted[f"{cage.name}/{number}"] = form
    return planted


def _transformed(wanted: Sequence[Needle]) -> Iterator[tuple[str, bytes]]:
    yield from ((needle.form, needle.value) for needle in wanted if needle.form.startswith("transform "))


def _disguises(text: str) -> Iterator[tuple[str, bytes]]:
    raw = text.encode()
    yield "raw", b"before " + raw + b" after"
    yield "across a chunk border", b"." * (CHUNK - len(raw) // 2) + raw
    yield "hex", raw.hex().encode()
    yield "upper-case hex", raw.hex().upper().encode()
    yield "reversed", text[::-1].encode()
    yield "UTF-16", text.encode("utf-16-le")
    yield "Latin-1", text.encode("latin-1")
    yield from _base64(raw)
    yield from _escaped(text)
    yield from _archives(raw)


def _base64(raw: bytes) -> Iterator[tuple[str, bytes]]:
    for before in (b"", b"u", b"us"):
        yield "base64", base64.b64encode(before + raw + b"!")
        yield "URL-safe base64", base64.urlsafe_b64encode(before + raw + b"!")
    yield "wrapped base64", b"\n  ".join(_pieces(base64.b64encode(raw), 20))


def _pieces(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def _escaped(text: str) -> Iterator[tuple[str, bytes]]:
    yield "percent-encoded", quote(text, safe="").encode()
    yield "form-encoded", quote_plus(text).encode()
    yield "JSON", json.dumps(text).encode()
    yield "HTML", html.escape(text).encode()
    yield "XML character references", "".join(f"&#x{ord(character):x};" for character in text).encode()
    yield "JSON in HTML", html.escape(json.dumps(text)).encode()
    yield "percent-encoded base64", quote(base64.b64encode(text.encode()), safe="").encode()


def _archives(raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "gzip", gzip.compress(raw)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", raw)
    yield "zip", packed.getvalue()
