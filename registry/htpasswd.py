"""The registry's account file: bcrypt, and replaced in one step so that no login ever sees half of it.

The rules are those of ``registry:2`` (distribution ``registry/auth/htpasswd``): it looks at the file at every
request and reads it again when its modification time *differs*. A file rewritten in place is read half-written, which
makes about half of the logins fail that come meanwhile; one replaced within a tick of the clock is not read at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from collections.abc import Iterator

BCRYPT_COST = 4
"""The least that bcrypt allows: a hash takes a millisecond, and nothing here has to withstand an attacker."""

LONGEST_PASSWORD = 72
"""Bytes; bcrypt ignores what follows, so the registry would accept other passwords than the one given."""

_LONGEST_LINE = 64 * 1024 - 1  # Go's bufio.Scanner gives up beyond, and with it the whole file
_HASH_LENGTH = 60
# what Go's strings.TrimSpace takes off a line; Python's str.strip takes more (U+001C to U+001F)
_GO_BLANKS = "\t\n\v\f\r \u0085\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class UnusableCredential(ValueError):  # noqa: N818 - it names the credential, as the registry would
    """A user name or password that an htpasswd file cannot express; ``rule`` names the rule it breaks."""

    def __init__(self, rule: str, explanation: str) -> None:
        super().__init__(f"{rule}: {explanation}")
        self.rule = rule


def unusable(username: str, password: str) -> UnusableCredential | None:
    """Return which rule of the account file this credential breaks, if any. The message never quotes the password."""
    return _unusable_name(username) or _unusable_password(password)


def _unusable_name(name: str) -> UnusableCredential | None:
    for rule, broken, explanation in (
        ("not-unicode", _not_utf8(name), "the user name has lone surrogates, which no UTF-8 text can carry"),
        ("colon-in-name", ":" in name, "what follows the first colon would be the password, here and in Basic"),
        ("line-end-in-name", "\n" in name, "the file has one account per line"),
        ("hash-before-name", name.startswith("#"), "a line that begins with # is a comment"),
        ("blank-before-name", name != name.lstrip(_GO_BLANKS), "the registry trims lines; blanks at the end stay"),
    ):
        if broken:
            return UnusableCredential(rule, f"user name {name!r}: {explanation}")
    if len(name.encode()) > _LONGEST_LINE - _HASH_LENGTH - 1:
        return UnusableCredential("name-too-long", "a line over 64 KiB makes the registry drop the whole file")
    return None


def _unusable_password(password: str) -> UnusableCredential | None:
    if _not_utf8(password):
        return UnusableCredential("not-unicode", "the password has lone surrogates, which no UTF-8 text can carry")
    if "\0" in password:
        return UnusableCredential("nul-in-password", "implementations of bcrypt differ about what follows a NUL")
    if (length := len(password.encode())) > LONGEST_PASSWORD:
        return UnusableCredential(
            "password-too-long",
            f"it has {length} bytes of UTF-8 and bcrypt reads {LONGEST_PASSWORD}; the rest would not count",
        )
    return None


def _not_utf8(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


class AccountFile:
    """Accounts in an htpasswd file, changed atomically while the registry runs; safe for threads and processes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._threads = threading.Lock()
        with self._changing():
            pass  # an empty file: without one the registry makes up an account and logs its password

    def add(self, username: str, password: str) -> str | None:
        """Add an account, or give an existing one another password; the next request already sees it.

        Gives the hash that the name had before, for :meth:`put_back`. Raises :exc:`UnusableCredential`.
        """
        entry = _entry(username, password)
        with self._changing() as entries:
            before = entries.get(username)
            entries[username] = entry
        return before

    def remove(self, *usernames: str) -> None:
        """Remove accounts; the next request already misses them. Unknown names are no error."""
        with self._changing() as entries:
            for username in usernames:
                entries.pop(username, None)

    def put_back(self, username: str, before: str | None) -> None:
        """Undo an :meth:`add`: the name gets the hash it had, or goes."""
        with self._changing() as entries:
            if before is None:
                entries.pop(username, None)
            else:
                entries[username] = before

    @property
    def names(self) -> tuple[str, ...]:
        """The user names in the file."""
        return tuple(self._read())

    def _read(self) -> dict[str, str]:
        try:
            lines = self.path.read_bytes().decode().split("\n")  # no universal line ends: a name may hold a CR
        except FileNotFoundError:
            return {}
        return {name: entry for name, colon, entry in (line.partition(":") for line in lines) if colon}

    @contextlib.contextmanager
    def _changing(self) -> Iterator[dict[str, str]]:
        """Yield the entries to change; afterwards they replace the file in one step."""
        with self._threads, self.path.with_name(f".{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            entries = self._read()
            yield entries
            text = "".join(f"{name}:{entry}\n" for name, entry in entries.items())
            replace_file(self.path, text.encode(), mode=0o600)


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace ``path`` in one step by a file whose modification time differs from the old one's.

    Nothing is synced to disk: the file does not outlive the run. On any error the old file is untouched.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    fresh = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
        with contextlib.suppress(FileNotFoundError):
            # file systems stamp with a clock that ticks every few milliseconds: two changes in one tick look the same
            later = max(time.time_ns(), path.stat().st_mtime_ns + 1_000_000)
            os.utime(fresh, ns=(later, later))
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _entry(username: str, password: str) -> str:
    problem = unusable(username, password)
    if problem is not None:
        raise problem
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
