"""How artefacts are read: in chunks that overlap, also what is packed in an archive."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHUNK = 1 << 20
LARGEST_MEMBER = 256 << 20  # of an archive; more than that is not unpacked, a bomb must not end the run

_UNREADABLE = (
    OSError,
    EOFError,
    zlib.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    RuntimeError,  # zipfile: encrypted
    NotImplementedError,  # zipfile: a compression that Python does not know
)


def windows(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield all that can be read in a file, piece by piece.

    Each piece repeats the last ``overlap`` bytes of the one before: whatever is shorter stands whole in one of them.
    Of an archive, its members follow.
    """
    with path.open("rb") as file:
        yield from _chunks(file, overlap)
    with suppress(*_UNREADABLE):  # damaged or encrypted: there is nothing more to read in it
        for member in _packed(path):
            yield from _chunks(member, overlap)


def _chunks(stream: IO[bytes], overlap: int) -> Iterator[bytes]:
    tail = b""
    while chunk := stream.read(CHUNK):
        yield tail + chunk
        tail = (tail + chunk)[-overlap:]


def _packed(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as file:
        magic = file.read(512)
    if magic[257:262] == b"ustar" or (magic[:2] == b"\x1f\x8b" and tarfile.is_tarfile(path)):
        yield from _tarred(path)
    elif magic[:2] == b"\x1f\x8b":
        with gzip.open(path) as unpacked:
            yield io.BytesIO(unpacked.read(LARGEST_MEMBER))
    elif magic[:4] == b"PK\x03\x04":
        yield from _zipped(path)


def _tarred(path: Path) -> Iterator[IO[bytes]]:
    with tarfile.open(path) as archive:
        for entry in archive:
            yield io.BytesIO(entry.name.encode("utf-8", "surrogateescape"))
            if member := archive.extractfile(entry):
                yield io.BytesIO(member.read(LARGEST_MEMBER))


def _zipped(path: Path) -> Iterator[IO[bytes]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            yield io.BytesIO(entry.filename.encode("utf-8", "surrogateescape"))
            with archive.open(entry) as member:
                yield io.BytesIO(member.read(LARGEST_MEMBER))
