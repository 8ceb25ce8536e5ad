"""A readable stream over bytes that come in pieces: what the engine or a registry sends, given to ``tarfile``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Pieces(io.RawIOBase):
    """Reads from an iterator of bytes; a read gives as much as was asked for until the end is near."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), b""

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        """Return ``size`` bytes, less only at the end; all that is left for a negative size."""
        wanted = float("inf") if size is None or size < 0 else size
        found, length = [self._rest], len(self._rest)
        while length < wanted and (piece := next(self._pieces, b"")):
            found.append(piece)
            length += len(piece)
        everything = b"".join(found)
        end = int(min(wanted, len(everything)))
        self._rest = everything[end:]
        return everything[:end]

    def drain(self) -> None:
        """Read to the end: a digest is only checked there."""
        self._rest = b""
        for _ in self._pieces:
            pass
