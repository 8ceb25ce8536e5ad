"""What is said between this machine and a host: a script that any login shell passes on, and a bounded answer to it."""

from __future__ import annotations

import os
import re
import secrets
import selectors
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.children import tied

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Seconds for a command, from the first byte sent to the last received.
WITHIN = 120.0
#: Bytes that a command may print; more than any journal that a case needs.
MOST = 64 << 20
_CHUNK = 1 << 16
#: sudo without a password, whose words are those that can be recognised.
SUDO = "env LC_ALL=C sudo -n "
#: Runs a script in an environment of its own, whatever a login shell exports: functions, CDPATH, POSIXLY_CORRECT,
#: a language. Some sudo's secure_path and some users' PATH lack places of programs.
_CLEAN = (
    "PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/usr/bin:/bin; "
    'exec env -i HOME="$HOME" PATH="$PATH" LC_ALL=C /bin/sh -c "$(printf %b "$0")"'
)
#: Characters that some login shell takes for its own even between single quotes (csh: ``!``; fish: a backslash).
_TOUCHED = re.compile(r"['\\!\x00-\x1f\x7f-\U0010ffff]")


class UnfinishedError(Exception):
    """A program did not end in time, or printed too much; it was killed."""


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it printed."""

    status: int
    out: bytes
    err: bytes


# --- the script -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Script:
    """A shell command between two marks, drawn anew for each: only what is printed between them is its answer.

    A login shell, a banner or ``/etc/profile.d`` may print before and after. The exit status comes with the last mark,
    so that it is told from the status of ssh, of sudo and of the login shell. What programs say is in English.
    """

    command: str
    mark: str

    @classmethod
    def of(cls, command: str) -> Script:
        """Return the script for a command, with a new mark."""
        return cls(command, secrets.token_hex(16))

    def words(self, *, sudo: bool) -> str:
        """Return what a login shell is given: words that mean the same to sh, csh, fish and others.

        The script stands in single quotes and everything in it that a shell might touch there is written in octal.
        """
        begin, end = f"begin-{self.mark}", f"end-{self.mark}"
        marked = f"echo; echo {begin}; {{ echo; echo {begin}; }} >&2; (\n{self.command}\n); said=$?"
        text = f"{marked}; echo; echo {end} $said; {{ echo; echo {end}; }} >&2"
        octal = _TOUCHED.sub(
            lambda found: "".join(f"\\0{byte:03o}" for byte in found[0].encode("utf-8", "surrogateescape")), text
        )
        return f"{SUDO if sudo else ''}/bin/sh -c '{_CLEAN}' '{octal}'"

    def began(self, said: Said) -> bool:
        """Whether the command was begun at all."""
        return f"\nbegin-{self.mark}\n".encode() in said.out

    def noise(self, said: Said) -> bytes:
        """Return what was printed before the command."""
        return said.out.partition(f"\nbegin-{self.mark}\n".encode())[0] if self.began(said) else b""

    def is_mixed(self, said: Said) -> bool:
        """Whether both outputs came as one, so that no word of a program is told from what it complains about."""
        return said.out.count(f"\nbegin-{self.mark}\n".encode()) > 1

    def answer(self, said: Said) -> Said | None:
        """Return what the command itself said, None when its end is missing or its outputs came as one."""
        _, begun, rest = said.out.partition(f"\nbegin-{self.mark}\n".encode())
        out, ended, rest = rest.rpartition(f"\nend-{self.mark} ".encode())
        if not begun or not ended or self.is_mixed(said):
            return None
        err = said.err.partition(f"\nbegin-{self.mark}\n".encode())[2].rpartition(f"\nend-{self.mark}\n".encode())[0]
        status = re.match(rb"(\d{1,3})\n", rest)
        return Said(int(status[1]), out, err) if status else None


# --- the exchange -----------------------------------------------------------------------------------------------------


def converse(
    words: Sequence[str],
    given: bytes = b"",
    *,
    within: float = WITHIN,
    most: int = MOST,
    environment: Mapping[str, str] | None = None,
) -> Said:
    """Run a program of this machine, hand it ``given``, and return what it printed. Raises UnfinishedError."""
    deadline = time.monotonic() + within
    pipe = subprocess.PIPE
    with subprocess.Popen(tied(words), stdin=pipe, stdout=pipe, stderr=pipe, env=environment, bufsize=0) as program:
        try:
            out, err = _exchange(program, given, deadline, most)
            return Said(program.wait(max(0.1, deadline - time.monotonic())), out, err)
        except subprocess.TimeoutExpired:
            raise UnfinishedError(f"did not end within {within:g} s") from None
        except TimeoutError:
            raise UnfinishedError(f"did not answer within {within:g} s") from None
        except OverflowError:
            raise UnfinishedError(f"printed more than {most >> 20} MiB") from None
        finally:
            program.kill()


def _exchange(program: subprocess.Popen[bytes], given: bytes, deadline: float, most: int) -> tuple[bytes, bytes]:
    """Write and read until both outputs end, or the program has and nothing comes any more.

    Raises TimeoutError, OverflowError.
    """
    assert program.stdin is not None
    assert program.stdout is not None
    assert program.stderr is not None
    printed = {program.stdout.fileno(): bytearray(), program.stderr.fileno(): bytearray()}
    with selectors.DefaultSelector() as pipes:
        for output in printed:
            pipes.register(output, selectors.EVENT_READ)
        os.set_blocking(program.stdin.fileno(), False)
        pipes.register(program.stdin.fileno(), selectors.EVENT_WRITE)
        while any(output in pipes.get_map() for output in printed):
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError
            ready = pipes.select(min(left, 0.5))
            if not ready and program.poll() is not None:
                break  # a shared connection in the background may keep an output open
            for key, _ in ready:
                if key.fd not in printed:
                    given = _written(program, given, pipes)
                elif chunk := os.read(key.fd, _CHUNK):
                    printed[key.fd] += chunk
                else:
                    pipes.unregister(key.fd)
            if sum(map(len, printed.values())) > most:
                raise OverflowError
    return bytes(printed[program.stdout.fileno()]), bytes(printed[program.stderr.fileno()])


def _written(program: subprocess.Popen[bytes], given: bytes, pipes: selectors.BaseSelector) -> bytes:
    """Write some of what is given, and return the rest; the input is closed behind the last byte."""
    assert program.stdin is not None
    try:
        given = given[os.write(program.stdin.fileno(), given[:_CHUNK]) :] if given else given
    except BrokenPipeError:
        given = b""  # the program does not want it
    if not given:
        pipes.unregister(program.stdin.fileno())
        program.stdin.close()
    return given
