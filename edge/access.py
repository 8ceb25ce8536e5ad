"""How an Edge host is reached: SSH settings, one multiplexed connection, and what it means when it fails."""

from __future__ import annotations

import shlex
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import testinfra

if TYPE_CHECKING:
    from pathlib import Path

    from testinfra.backend.base import CommandResult
    from testinfra.host import Host

#: Seconds until a TCP connection and login must stand.
CONNECT_TIMEOUT = 5
#: Seconds between two tries to reach a host that reboots.
RETRY = 0.05
SSH_FAILED = 255


class HostUnreachable(Exception):  # noqa: N818 - it names a state of the host
    """The host does not answer over SSH; the message says where and what ssh said."""


class CommandRefusedError(RuntimeError):
    """A command on the host failed; the message says which and with what last words."""


@dataclass(frozen=True)
class SshAccess:
    """Where and as whom: ``user@address:port``, a key, known hosts, an optional jump host, whether commands use sudo.

    ``control`` is a folder for the shared connection's socket; the path must stay short (108 bytes for a socket).
    Host keys are checked against ``known_hosts``, always.
    """

    address: str
    user: str
    control: Path
    port: int = 22
    key: Path | None = None
    known_hosts: Path | None = None
    jump: str | None = None
    sudo: bool = True
    options: tuple[str, ...] = field(default=())

    def arguments(self) -> list[str]:
        """Return the options of ssh as a list."""
        shared = ["ControlMaster=auto", "ControlPersist=120", f"ControlPath={self.control / '%C'}"]
        return self._words(*shared, *self._through_jump(), *self.options)

    def _words(self, *more: str) -> list[str]:
        given = ["BatchMode=yes", "StrictHostKeyChecking=yes", f"ConnectTimeout={CONNECT_TIMEOUT}", "LogLevel=ERROR"]
        given += ["ServerAliveInterval=5", "ServerAliveCountMax=3"]
        given += [f"UserKnownHostsFile={self.known_hosts}"] if self.known_hosts else []
        arguments = [word for option in (*given, *more) for word in ("-o", option)]
        return [*arguments, *(["-i", str(self.key)] if self.key else [])]

    def _through_jump(self) -> list[str]:
        """Return the option that leads through the jump host with this access' own key and known hosts.

        ssh gives a jump host of ``ProxyJump`` neither ``-i`` nor ``-o``, only what the user's configuration has for it.
        """
        if self.jump is None:
            return []
        if "," in self.jump:
            return [f"ProxyJump={self.jump}"]  # several: each is the user's configuration's to describe
        command = shlex.join(["ssh", *self._words(), f"ssh://{self.jump}"]).replace("%", "%%")
        return [f"ProxyCommand={command} -W '[%h]:%p'"]

    def testinfra_host(self) -> Host:
        """Return testinfra's host for this access."""
        at = f"[{self.address}]" if ":" in self.address else self.address
        return testinfra.get_host(
            f"ssh://{self.user}@{at}:{self.port}",
            ssh_extra_args=" ".join(map(shlex.quote, self.arguments())),
            sudo=self.sudo,
            timeout=CONNECT_TIMEOUT,
        )

    def close(self) -> None:
        """End the shared connection, if it stands."""
        command = ["ssh", *self.arguments(), "-O", "exit", "-p", str(self.port), f"{self.user}@{self.address}"]
        subprocess.run(command, check=False, capture_output=True)


def run(host: Host, access: SshAccess, command: str, *words: str) -> CommandResult:
    """Run a command on the host (``%s`` for each quoted word); whatever exit status it has is the caller's to judge.

    Raises:
        HostUnreachable: ssh itself failed.

    """
    try:
        result: CommandResult = host.run(command, *words)
    except RuntimeError as error:  # testinfra's way to say that ssh ended with 255
        raise HostUnreachable(f"{access.user}@{access.address}:{access.port}: {_last_words(error)}") from error
    return result


def feed(access: SshAccess, text: str, command: str, *words: str) -> str:
    """Run a shell command that reads ``text`` on its standard input; gives what it printed.

    That is the way of a secret to a host: what stands in a command stands in the host's logs and process list as well.

    Raises:
        HostUnreachable: ssh itself failed.
        CommandRefusedError: the command failed; the message has its last words.

    """
    there = command % tuple(map(shlex.quote, words)) if words else command
    remote = shlex.join([*(["sudo"] if access.sudo else []), "/bin/sh", "-c", there])
    here = ["ssh", *access.arguments(), "-p", str(access.port), f"{access.user}@{access.address}", remote]
    done = subprocess.run(here, input=text, capture_output=True, check=False, text=True)
    said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
    if done.returncode == SSH_FAILED:
        raise HostUnreachable(f"{access.user}@{access.address}:{access.port}: {said}")
    if done.returncode:
        raise CommandRefusedError(f"'{command.split()[0]}' ended with {done.returncode} and said: {said}")
    return done.stdout


def _last_words(error: RuntimeError) -> str:
    found = error.args[0] if error.args else None
    words = getattr(found, "stderr", "") or str(error)
    return str(words).strip().splitlines()[-1] if str(words).strip() else "ssh ended with 255"


def wait_until_reachable(host: Host, access: SshAccess, within: float) -> None:
    """Wait until a command can be run. Raises HostUnreachable when the time is up."""
    deadline = time.monotonic() + within
    while True:
        try:
            run(host, access, "true")
        except HostUnreachable as error:
            if time.monotonic() > deadline:
                raise HostUnreachable(f"{error} (for {within:g} s)") from error
            time.sleep(RETRY)
        else:
            return
