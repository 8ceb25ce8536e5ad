"""How artefacts are read: in chunks that overlap, and what is packed in them to a stated depth.

Python's own decompressors are used piece by piece, not ``gzip`` or ``shutil``: they give what stands before the damage.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Protocol

    class _Decompressor(Protocol):
        @property
        def eof(self) -> bool: ...
        @property
        def unused_data(self) -> bytes: ...
        def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


CHUNK = 1 << 20
DEPTH = 3  # how many archives may stand in one another
LARGEST = 64 << 20  # bytes taken from one member of an archive: a bomb must not end the run
MOST_MEMBERS = 10_000

_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
_SHUT = (*_BROKEN, RuntimeError, NotImplementedError)  # zipfile: encrypted, or a compression that it does not know
_COMPRESSED: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b": lambda: zlib.decompressobj(31),
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ": lzma.LZMADecompressor,
}


def windows(path: Path, overlap: int) -> Iterator[bytes]:
    """Yield all that can be read in a file, piece by piece; of an archive, its members follow.

    Each piece repeats the last ``overlap`` bytes of the one before: whatever is shorter stands whole in one of them.
    """
    with path.open("rb") as file:
        head, tail = file.read(512), b""
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield tail + chunk
            tail = (tail + chunk)[-overlap:]
        if is_packed(head):
            file.seek(0)
            yield from unpacked(file.read(LARGEST))


def is_packed(head: bytes) -> bool:
    """Whether a file that begins so is an archive or compressed."""
    return head[257:262] == b"ustar" or head[:4] == b"PK\x03\x04" or head.startswith(tuple(_COMPRESSED))


def unpacked(content: bytes, depth: int = DEPTH) -> Iterator[bytes]:
    """Yield the names and contents of what is packed in these bytes, also in archives within archives.

    What is damaged or encrypted is passed over; the members behind it are read.
    """
    if depth and is_packed(content[:512]):
        for member in _members(content):
            yield member
            yield from unpacked(member, depth - 1)


def _members(content: bytes) -> Iterator[bytes]:
    if content[:4] == b"PK\x03\x04":
        yield from _zipped(content)
    elif content[257:262] == b"ustar":
        yield from _tarred(content)
    else:
        make = next(make for magic, make in _COMPRESSED.items() if content.startswith(magic))
        yield _decompressed(content, make)


def _decompressed(content: bytes, make: Callable[[], _Decompressor]) -> bytes:
    found = bytearray()
    with suppress(*_BROKEN):
        while content and len(found) < LARGEST:
            stream = make()
            for start in range(0, len(content), 4096):  # what stands before a damaged piece is kept
                found += stream.decompress(content[start : start + 4096], LARGEST)
                if stream.eof or len(found) >= LARGEST:
                    content = stream.unused_data + content[start + 4096 :]
                    break
            else:
                break
    return bytes(found)


def _tarred(content: bytes) -> Iterator[bytes]:
    with suppress(*_BROKEN), tarfile.open(fileobj=io.BytesIO(content), mode="r:", ignore_zeros=True) as archive:
        for _, entry in zip(range(MOST_MEMBERS), archive, strict=False):
            yield entry.name.encode("utf-8", "surrogateescape")
            if member := archive.extractfile(entry):
                yield member.read(LARGEST)


def _zipped(content: bytes) -> Iterator[bytes]:
    with suppress(*_SHUT), zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist()[:MOST_MEMBERS]:
            yield entry.filename.encode("utf-8", "surrogateescape")
            with suppress(*_SHUT), archive.open(entry) as member:
                yield member.read(LARGEST)
