"""A tar file of which there is exactly one for its content: sorted names, no times, no owners, no room for a byte more.

Whoever reads one can therefore tell any change, also where tar would not care (padding, a header's unused fields).
The form is plain ustar without compression: it will be written the same way by any later version of anything.
"""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_BLOCK = tarfile.BLOCKSIZE
_END = b"\0" * (2 * _BLOCK)


class NotCanonicalError(Exception):
    """Bytes that :func:`pack` would never give; the message says where they begin to differ."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """Return the archive of these files. Raises ValueError for a name that does not fit (255 bytes, no ``..``)."""
    parts: list[bytes] = []
    for name in sorted(files):
        _check_name(name)
        content = files[name]
        parts += [_header(name, len(content)), content, b"\0" * (-len(content) % _BLOCK)]
    return b"".join([*parts, _END])


def unpack(archive: bytes) -> dict[str, bytes]:
    """Return the files of an archive that :func:`pack` made. Raises NotCanonicalError for any other bytes."""
    files: dict[str, bytes] = {}
    place, last = 0, ""
    while archive[place : place + _BLOCK].strip(b"\0"):
        name, size = _read_header(archive[place : place + _BLOCK], place)
        if name <= last:
            raise NotCanonicalError(f"byte {place}: '{name}' comes after '{last}'")
        begin, last = place + _BLOCK, name
        place = begin + size + (-size % _BLOCK)
        if len(archive) < place or archive[begin + size : place].strip(b"\0"):
            raise NotCanonicalError(f"{name}: its content does not end where its header says")
        files[name] = archive[begin : begin + size]
    if archive[place:] != _END:
        raise NotCanonicalError(f"byte {place}: the archive does not end after its last file")
    return files


def _read_header(block: bytes, place: int) -> tuple[str, int]:
    try:
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        _check_name(entry.name)
        if entry.size >= 0 and _header(entry.name, entry.size) == block:
            return entry.name, entry.size
    except (tarfile.HeaderError, ValueError) as error:
        raise NotCanonicalError(f"byte {place}: not the header of a file ({error})") from None
    raise NotCanonicalError(f"{entry.name}: its header has been changed")


def _check_name(name: str) -> None:
    if name.startswith("/") or ".." in name.split("/") or not name.isprintable() or not name:
        raise ValueError(f"{name!r} is no name for a file in an archive")


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o644, 0
    return entry.tobuf(tarfile.USTAR_FORMAT, "utf-8", "strict")
