"""The canary of the leak gate: a secret made up for one search, in every form that the gate must see."""

from __future__ import annotations

import base64
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import secrets
import tarfile
import zipfile
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

from protected import Secret
from reports.leak_forms import Protected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "canary"


def make() -> Protected:
    """Make a canary: random, and with every character that some encoding treats in its own way."""
    return Protected(NAME, Secret(f"{secrets.token_urlsafe(18)}%&<\"'/+\\ é{secrets.token_urlsafe(6)}"))


def forms(text: str) -> Iterator[tuple[str, bytes]]:
    """Yield every form in which a secret is searched for, by the name that docs/reports.md has for it."""
    raw = text.encode()
    yield "as it is", b"before " + raw + b" after"
    yield "hexadecimal digits", raw.hex().encode()
    yield "hexadecimal digits in capitals", raw.hex().upper().encode()
    yield "hexadecimal digits with colons or spaces", raw.hex(":").encode()
    yield "reversed", text[::-1].encode()
    yield "UTF-16, either byte order", text.encode("utf-16-le") + b"\n" + text.encode("utf-16-be")
    yield "Latin-1", text.encode("latin-1")
    yield "htpasswd {SHA}", b"robot:{SHA}" + base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest())
    yield from _escaped(text)
    yield from _in_base64(text)
    yield from _archives(raw)


def _escaped(text: str) -> Iterator[tuple[str, bytes]]:
    yield "percent-encoded", quote(text, safe="").encode()
    yield "percent-encoded in a form", quote_plus(text).encode()
    yield "JSON", json.dumps(text).encode()
    yield "JSON in JSON", json.dumps(json.dumps(text)).encode()
    yield "HTML or XML", html.escape(text).encode()
    yield "character references", "".join(f"&#x{ord(character):x};" for character in text).encode()
    yield "JSON in HTML", html.escape(json.dumps(text)).encode()
    yield "bytes as Python writes them", repr(text.encode()).encode()


def _in_base64(text: str) -> Iterator[tuple[str, bytes]]:
    for before in ("", "u:", "user:"):
        pair = f"{before}{text}!".encode()
        yield "base64, wherever it begins", base64.b64encode(pair)
        yield "URL-safe base64", base64.urlsafe_b64encode(pair)
    wrapped = base64.b64encode(b"user:" + text.encode())
    yield "base32, wherever it begins", base64.b32encode(b"user:" + text.encode())
    yield "base64 wrapped over lines", wrapped[:20] + b"\n    " + wrapped[20:]
    yield "percent-encoded base64", quote(wrapped, safe="").encode()
    config = json.dumps({"auths": {"registry:5000": {"auth": base64.b64encode(f"user:{text}".encode()).decode()}}})
    yield ".dockerconfigjson", config.encode()
    yield "Kubernetes Secret (base64 of .dockerconfigjson)", b"data: " + base64.b64encode(config.encode())
    yield "base64 of base64 of user:password", b"auth/" + base64.b64encode(wrapped)
    yield "base64 of UTF-16", base64.b64encode(text.encode("utf-16-le"))
    yield "base64 of gzip", base64.b64encode(gzip.compress(text.encode()))


def _archives(raw: bytes) -> Iterator[tuple[str, bytes]]:
    yield "gzip, also cut off", gzip.compress(raw + secrets.token_bytes(9000))[:-99]
    yield "bzip2", bz2.compress(raw)
    yield "xz", lzma.compress(raw)
    yield "tar", _archive(_tar, raw)
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        yield "tar.gz, tar.bz2, tar.xz", compress(_archive(_tar, raw))
    yield "zip", _archive(_zip, raw)
    yield "zip with a damaged member", _archive(_zip, raw).replace(b"first", b"\0\0\0\0\0", 1)
    yield "an archive in an archive in an archive", gzip.compress(_archive(_zip, gzip.compress(raw)))


def _archive(write: Callable[[io.BytesIO, bytes], None], raw: bytes) -> bytes:
    packed = io.BytesIO()
    write(packed, raw)
    return packed.getvalue()


def _tar(packed: io.BytesIO, raw: bytes) -> None:
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("member")
        entry.size = len(raw)
        archive.addfile(entry, io.BytesIO(raw))


def _zip(packed: io.BytesIO, raw: bytes) -> None:
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("first", b"x" * 99)
        archive.writestr("member", raw)
