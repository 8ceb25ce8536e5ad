"""How an Edge host is reached: SSH settings, one multiplexed connection, and what it means when it fails."""

from __future__ import annotations

import os
import re
import secrets
import shlex
import socket
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from edge.conversation import MOST, WITHIN, Said, Script, UnfinishedError, converse
from foreign import host_address, one_line, user_name
from waiting import looks

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds until a TCP connection and login must stand.
CONNECT_TIMEOUT = 5
#: Seconds that a login may take while a host is waited for: name servers and directories that are away take half of it.
LOGIN = 60.0
#: Seconds before the next look at a host whose port is closed, and before the next try at one that refused a login.
CLOSED = 0.2
REFUSED_PAUSES = (1.0, 2.0, 5.0)
SSH_FAILED = 255
#: Bytes of what a program said that are looked at for the reason of a failure.
LAST_WORDS = 1 << 13
#: What an sshd with penalties says in place of its version (OpenSSH 9.8 and later), and one with too many logins.
PENALISED = ("Not allowed at this time", "Exceeded MaxStartups")
#: A line by which an sshd is known; bytes that may stand before it.
_SSHD = re.compile(rf"^(SSH-|{'|'.join(PENALISED)}).*\n".encode(), re.MULTILINE)
_LONGEST_GREETING = 1 << 16
#: Options that older clients do not know.
_NEWER = (
    "SessionType,StdinNull,ForkAfterAuthentication,EnableEscapeCommandline,ObscureKeystrokeTiming,KnownHostsCommand,"
    "ChannelTimeout"
)
#: Seconds that a shared connection stands unused, and so outlives a run that was killed.
PERSIST = 20
#: Whatever the user's configuration of ssh says: commands, terminals, forwarding and variables are never its to choose.
ALWAYS = (
    f"IgnoreUnknown={_NEWER}",
    "ConnectionAttempts=1", "VerifyHostKeyDNS=no", "KnownHostsCommand=none", "ChannelTimeout=none",
    "BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "AddKeysToAgent=no", "VisualHostKey=no",
    f"ConnectTimeout={CONNECT_TIMEOUT}", "LogLevel=ERROR", "ServerAliveInterval=5", "ServerAliveCountMax=3",
    "RequestTTY=no", "RemoteCommand=none", "PermitLocalCommand=no", "SessionType=default", "StdinNull=no",
    "ForkAfterAuthentication=no", "EscapeChar=none", "EnableEscapeCommandline=no", "ClearAllForwardings=yes",
    "Tunnel=no", "ForwardAgent=no", "ForwardX11=no", "ForwardX11Trusted=no", "GSSAPIDelegateCredentials=no",
    "CanonicalizeHostname=no", "SetEnv=CONFORMANCE=1",  # the first SetEnv is the only one; SendEnv finds nothing
)  # fmt: skip
#: What ssh may know of this process' environment: enough for keys and agents, nothing to send on.
ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "KRB5CCNAME", "TMPDIR")
_SUDO = re.compile(r"\bsudo\b.*:|you must have a tty|is not (allowed to|in the sudoers)", re.IGNORECASE)
_LONGEST_REFUSAL = 200  # sudo repeats the command
#: Reads a first line and ends with this status where it is another: something of the host's has read before.
_EATEN = 97
_FIRST_LINE = 'IFS= read -r first; [ "$first" = {word} ] || exit {status}\n'


class HostUnreachable(Exception):  # noqa: N818 - it names a state of the host
    """The host gives no usable answer over SSH; the message says where and what was said instead."""


class PenalisedError(HostUnreachable):
    """The host's sshd turns this machine's address away for a while, after logins that failed."""


class SudoRefusedError(HostUnreachable):
    """The host logs the user in, and sudo runs no command for them."""


class CommandRefusedError(RuntimeError):
    """A command on the host failed; the message says which and with what last words."""


@dataclass(frozen=True)
class SshAccess:
    """Where and as whom: ``user@address:port``, a key, known hosts, an optional jump host, whether commands use sudo.

    ``control`` is a folder for the shared connection's socket; the path must stay short (108 bytes for a socket).
    Host keys are checked against ``known_hosts``, always. Raises foreign.UnsafeTextError for an address or a user that
    cannot be one.
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

    def __post_init__(self) -> None:
        """Refuse an address or a user that cannot be one: both may come from the site."""
        host_address(self.address)
        user_name(self.user)

    def __str__(self) -> str:
        return f"{self.user}@{self.address}:{self.port}"

    def arguments(self) -> list[str]:
        """Return the options of ssh as a list."""
        shared = ["ControlMaster=auto", f"ControlPersist={PERSIST}", f"ControlPath={_as_option(self.control, '/%C')}"]
        return self._words(*self.options, *shared, *self._through_jump())

    def _words(self, *more: str) -> list[str]:
        known = [f"UserKnownHostsFile={_as_option(self.known_hosts)}"] if self.known_hosts else []
        login = ("PubkeyAuthentication=yes", "PreferredAuthentications=publickey", "IdentitiesOnly=yes")
        only = [*login, f"IdentityFile={_as_option(self.key)}"] if self.key else []
        return [word for option in (*ALWAYS, *known, *only, *more) for word in ("-o", option)]

    def _through_jump(self) -> list[str]:
        """Return the option that leads through the jump host with this access' own key and known hosts.

        ssh gives a jump host of ``ProxyJump`` neither ``-i`` nor ``-o``, only what the user's configuration has for it.
        """
        if self.jump is None:
            return []
        if "," in self.jump:
            return [f"ProxyJump={self.jump}"]  # several: each is the user's configuration's to describe
        user, address, port = taken_apart(self.jump)
        words = [*self._words(), "-p", str(port), *(["-l", user] if user else [])]
        command = shlex.join(["ssh", *words]).replace("%", "%%")
        return ["ProxyUseFdpass=no", f"ProxyCommand={command} -W '[%h]:%p' -- {address}"]

    def command(self, *words: str) -> list[str]:
        """Return the words of a call of ssh; ``words`` are options, the host comes last."""
        return ["ssh", *self.arguments(), *words, "-p", str(self.port), "-l", self.user, "--", self.address]

    @cached_property
    def is_direct(self) -> bool:
        """Whether ssh connects to the address itself, as the user's configuration has it."""
        try:
            said = converse(self.command("-G"), within=CONNECT_TIMEOUT, environment=_environment())
        except UnfinishedError:
            return False
        settings = dict(line.partition(" ")[::2] for line in said.out.decode("utf-8", "replace").splitlines())
        through = {settings.get(name, "none") for name in ("proxycommand", "proxyjump")}
        return through == {"none"} and settings.get("hostname") == self.address.lower()

    def testinfra_host(self) -> Host:
        """Return testinfra's host for this access."""
        return _Host(_Backend(self))

    def close(self) -> None:
        """End the shared connection, if it stands."""
        with suppress(UnfinishedError):
            converse(self.command("-O", "exit"), within=CONNECT_TIMEOUT, environment=_environment())


def _as_option(path: Path, end: str = "") -> str:
    """Return a path as an option of ssh means it, which takes blanks, quotes and ``%`` for its own."""
    text = str(path).replace("%", "%%") + end
    if not set(text) & set(" \t\"'\\"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def taken_apart(text: str) -> tuple[str, str, int]:
    """Return user (may be empty), address and port of ``user@host[:port]``. Raises foreign.UnsafeTextError."""
    user, _, place = text.rpartition("@")
    if place.startswith("["):
        address, _, port = place[1:].partition("]")
    else:
        address, _, port = place.partition(":")
    digits = port.removeprefix(":") or "22"
    if not digits.isdecimal():
        host_address(place)
    return user_name(user) if user else "", host_address(address), int(digits)


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}


# --- commands ---------------------------------------------------------------------------------------------------------


class _Host(Host):  # type: ignore[misc] # testinfra is published without types
    """testinfra's host, whose commands may end as they like: a status that nobody expects is no broken promise."""

    def run_expect(self, expected: list[int], command: str, *args: str, **more: Any) -> CommandResult:  # noqa: ANN401 - testinfra's signature
        return self._expected(self.run(command, *args, **more), expected)

    def check_output(self, command: str, *args: str, **more: Any) -> str:  # noqa: ANN401 - testinfra's signature
        done = self._expected(self.run(command, *args, **more), [0])
        return str(done.stdout).rstrip("\r\n")

    @staticmethod
    def _expected(done: CommandResult, expected: list[int]) -> CommandResult:
        if done.rc not in expected:
            last = (_words_of(done.stderr_bytes) or ["nothing"])[-1]
            raise CommandRefusedError(f"a command ended with {done.rc} and said: {last}")
        return done


class _Backend(BaseBackend):  # type: ignore[misc] # testinfra is published without types
    """testinfra's way to the host: our own ssh, so that no text from a site is ever taken apart as a URL."""

    NAME = "edge-ssh"

    def __init__(self, access: SshAccess) -> None:
        super().__init__(access.address, sudo=access.sudo)
        self._access = access

    def run(self, command: str, *args: str, within: float = WITHIN, **_: Any) -> CommandResult:  # noqa: ANN401 - testinfra's signature
        access = replace(self._access, sudo=self.sudo)
        said = ask(access, self.quote(command, *args), within=within)
        return CommandResult(self, said.status, command.encode("utf-8", "replace"), said.out, said.err)

    def decode(self, data: bytes) -> str:
        return readable(data)

    def encode(self, data: str) -> bytes:
        return data.encode("utf-8", "surrogateescape")


def readable(output: bytes) -> str:
    """Return output as text, whatever it is: bytes that are no UTF-8 stand there as escapes."""
    return output.decode("utf-8", "backslashreplace")


def ask(access: SshAccess, command: str, given: bytes = b"", *, within: float = WITHIN, most: int = MOST) -> Said:
    """Run a shell command on the host and return its own status and output; noise around it is not a part of it.

    Raises:
        HostUnreachable: there is no answer, or none that is whole.

    """
    script = Script.of(command)
    call = [*access.command(), script.words(sudo=access.sudo)]
    try:
        said = converse(call, given, within=within, most=most, environment=_environment())
    except UnfinishedError as error:
        access.close()  # the next look must not wait behind this one
        raise HostUnreachable(f"{access}: the command {error}") from None
    if (answer := script.answer(said)) is not None:
        return answer
    raise _trouble(access, said, script)


def _words_of(errors: bytes) -> list[str]:
    """Return the last lines of what a program said, each on one line."""
    return [one_line(line.strip()) for line in readable(errors[-LAST_WORDS:]).strip().splitlines()]


def noise(access: SshAccess) -> str:
    """Return what a login shell prints before a command. Raises HostUnreachable."""
    script = Script.of("true")
    try:
        said = converse([*access.command(), script.words(sudo=False)], within=WITHIN, environment=_environment())
    except UnfinishedError as error:
        raise HostUnreachable(f"{access}: the command {error}") from None
    return readable(script.noise(said)).strip()


def _trouble(access: SshAccess, said: Said, script: Script) -> HostUnreachable:
    began = script.began(said)
    words = [line for line in _words_of(said.err) if line and script.mark not in line]
    last = words[-1] if words else f"ssh ended with {said.status}"
    if access.sudo and not began and (refused := [*filter(_SUDO.search, words)]):
        return SudoRefusedError(f"{access}: {refused[-1][:_LONGEST_REFUSAL]}")  # warnings come first
    if said.status == SSH_FAILED and not began:
        return HostUnreachable(f"{access}: {last}")
    if script.is_mixed(said):
        return HostUnreachable(f"{access}: the login shell sends error output to standard output (exec 2>&1)")
    what = "the connection ended in the middle of an answer" if began else "the login shell did not run the command"
    return HostUnreachable(f"{access}: {what}: {last}")


def feed(access: SshAccess, text: str, command: str, *words: str, within: float = WITHIN) -> str:
    """Run a shell command that reads ``text`` on its standard input; return what it printed.

    That is the way of a secret to a host: what stands in a command stands in the host's logs and process list as well.

    Raises:
        HostUnreachable: there is no answer, or none that is whole.
        CommandRefusedError: the command failed; the message has its last words.

    """
    there = command % tuple(map(shlex.quote, words)) if words else command
    word = secrets.token_hex(8)
    guarded = _FIRST_LINE.format(word=word, status=_EATEN) + there
    done = ask(access, guarded, f"{word}\n{text}".encode("utf-8", "surrogateescape"), within=within)
    if done.status == _EATEN:
        raise HostUnreachable(f"{access}: the login shell reads the input that is meant for commands")
    if done.status:
        said = (_words_of(done.err) or ["nothing"])[-1]
        raise CommandRefusedError(f"'{command.split()[0]}' ended with {done.status} and said: {said}")
    return readable(done.out)


# --- waiting for a host -----------------------------------------------------------------------------------------------


def wait_until_reachable(access: SshAccess, within: float) -> None:
    """Wait until a command can be run. Raises HostUnreachable when the time is up.

    Before a login is tried, the port is looked at: a login that fails counts against this machine at an sshd with
    penalties, a closed port does not.
    """
    trouble, pause = HostUnreachable(f"{access}: no answer"), _Pause()
    for left in looks(within, pause):
        pause.seconds = CLOSED
        try:
            if access.is_direct:
                _knock(access)
            pause.refused()
            ask(access, "true", within=max(CONNECT_TIMEOUT, min(left, LOGIN)))
        except PenalisedError as error:
            pause.seconds, trouble = REFUSED_PAUSES[-1], error
        except HostUnreachable as error:
            trouble = error
        else:
            return
    raise type(trouble)(f"{trouble} (for {within:g} s)") from trouble


@dataclass
class _Pause:
    """The pause before the next try: short while nobody listens, longer with each login that is refused."""

    seconds: float = CLOSED
    refusals: int = 0

    def __call__(self) -> float:
        return self.seconds

    def refused(self) -> None:
        """Note that a login is tried: the pause holds if it fails."""
        self.seconds = REFUSED_PAUSES[min(self.refusals, len(REFUSED_PAUSES) - 1)]
        self.refusals += 1


def _knock(access: SshAccess) -> None:
    """Read what the host's sshd calls itself, which other lines may precede (RFC 4253 §4.2); log in to nothing.

    Raises:
        PenalisedError: it turns this machine away for a while.
        HostUnreachable: nobody listens, or it is no sshd.

    """
    try:
        with socket.create_connection((access.address, access.port), CONNECT_TIMEOUT) as port:
            said = _greeting(port)
    except OSError as error:
        raise HostUnreachable(f"{access}: {error.strerror or error}") from error
    named = _SSHD.search(said)
    last = one_line(readable(said[named.start() if named else 0 :]).strip().partition("\n")[0].strip())
    if last.startswith(PENALISED):
        raise PenalisedError(f"{access}: sshd turns this machine away for a while: {last}")
    if named is None:
        raise HostUnreachable(f"{access}: no sshd answers there: {last[:60] or 'the connection was closed'}")


def _greeting(port: socket.socket) -> bytes:
    """Return what is said at a port until an sshd is known by it. Raises OSError where nothing is."""
    said, ends = b"", time.monotonic() + CONNECT_TIMEOUT
    while not _SSHD.search(said) and len(said) < _LONGEST_GREETING and (left := ends - time.monotonic()) > 0:
        port.settimeout(left)
        try:
            more = port.recv(_LONGEST_GREETING)
        except TimeoutError:
            if said:
                break
            raise
        if not more:
            break
        said += more
    return said
