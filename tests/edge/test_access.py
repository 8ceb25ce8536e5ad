"""What a host says over SSH is data: noise, odd shells, silence and nonsense never become facts, and never hang."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncssh
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import HostUnreachable
from edge.access import CommandRefusedError, PenalisedError, SshAccess, SudoRefusedError, ask, taken_apart
from edge.boot import BootFacts, read_facts
from edge.conversation import Said, Script, UnfinishedError, converse
from edge.layouts import UnknownLayoutError, read_layout
from foreign import UnsafeTextError
from tests.edge.ssh_server import SshServer, serving

NOISE = {
    "a number": b"0.42\n",
    "a box": b"------------\nYou are watched\n------------\n---\n",
    "no line end": b"Welcome",
    "no text": b"\xff\xfe\x00\x1b]0;title\x07",
    "wide characters": "Wartung heute\n---\n".encode("utf-16"),
    "a megabyte": b"You are watched\r\n" * 60_000,
}
BEFORE = BootFacts("0c8f9d0e-8a37-4d0b-9a7e-0d8a3f1b2c3d", "active", upgrade_failure=False, release={})


@pytest.mark.parametrize("noise", NOISE.values(), ids=[*NOISE])
def test_noise_of_a_login_shell_is_no_part_of_an_answer(server: SshServer, noise: bytes) -> None:
    """What a start-up file prints before or after a command is not taken for what the command printed."""
    server.behaviour.before = server.behaviour.after = noise
    host = server.host()
    done = host.run("printf 'one\\n---\\ntwo'; echo three >&2; exit 3")

    assert (done.rc, done.stdout, done.stderr) == (3, "one\n---\ntwo", "three\n")
    assert host.feed("given", "cat; exit 0") == "given"
    assert host.boot().boot_id == host.boot().boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@pytest.mark.parametrize(
    "shell", [("sh", "-c"), ("bash", "-lc"), ("fish", "-c"), ("tcsh", "-c"), ("busybox", "sh", "-c")]
)
def test_any_login_shell_passes_a_command_on(server: SshServer, shell: tuple[str, ...]) -> None:
    """A command means the same whatever the user's login shell is: fish and csh take none of its characters."""
    if shutil.which(shell[0]) is None:
        pytest.skip(f"this machine has no {shell[0]}")
    server.behaviour.shell = shell
    text = "a 'b' \"c\" $HOME `id` \\ \\\\ ! !! * ; {x,y} % é\n(end)"
    done = server.host().run("printf %%s %s; { x=$(echo 5); exit ${x%%5}7; }", text)

    assert (done.stdout, done.rc) == (text, 7)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_a_script_has_nothing_that_a_shell_would_touch(text: str) -> None:
    """A script has no quote, exclamation mark or line end in it; each backslash is one of octal digits."""
    words = Script.of(f": {text!a}").words(sudo=False)
    _, _, script = words.rpartition(" '")

    assert not set(script[:-1]) & set("'!\n\r")
    assert "\\\\" not in script
    assert all(part[:1] == "0" and part[1:4].isdecimal() for part in script.split("\\")[1:])


def test_a_command_that_ends_with_255_has_been_run(server: SshServer) -> None:
    """The status 255 is a command's own; only an answer that is missing makes a host unreachable."""
    assert server.host().run("echo said; exit 255").rc == 255
    server.behaviour.status = 255
    assert server.host().run("exit 4").rc == 4
    with pytest.raises(CommandRefusedError, match="ended with 255"):
        server.host().feed("", "exit 255")


def test_an_ssh_configuration_changes_nothing(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terminals, commands, forwarding and variables of the user's configuration change nothing in what is done."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "config").write_text(
        "Host *\n RequestTTY force\n RemoteCommand echo theirs\n PermitLocalCommand yes\n"
        f" LocalCommand touch {tmp_path}/local-command\n ForwardAgent yes\n ForwardX11 yes\n SendEnv *\n"
        f" SetEnv LEAKED=yes\n LocalForward {port} 127.0.0.1:22\n ExitOnForwardFailure yes\n ControlMaster no\n"
        f" ControlPath none\n LogLevel DEBUG3\n StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n User nobody\n"
        " PubkeyAuthentication no\n PreferredAuthentications password\n ConnectionAttempts 9\n VerifyHostKeyDNS yes\n"
        f" KnownHostsCommand {shutil.which('touch')} {tmp_path}/known-hosts\n ChannelTimeout session=1\n"
    )
    (tmp_path / "ssh").write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {tmp_path}/config "$@"\n')
    (tmp_path / "ssh").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PALETTE_API_KEY", "s3cret-of-the-site")
    host = server.host()
    done = host.run("printf 'a\\nb\\n'; cat; echo said >&2")

    assert (done.rc, done.stdout, done.stderr) == (0, "a\nb\n", "said\n")
    assert host.feed("s3cret", "wc -c").strip() == "6"
    assert server.behaviour.terminals == []
    assert not server.behaviour.environment.keys() & {"PALETTE_API_KEY", "LEAKED"}
    assert not {"local-command", "known-hosts"} & {made.name for made in tmp_path.iterdir()}
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    (server.folder / "known").write_text("")
    host.close()
    with pytest.raises(HostUnreachable, match="Host key verification failed"):
        host.run("true")


async def silence(_: asyncssh.SSHServerProcess[bytes]) -> None:
    """Answer nothing."""
    await asyncio.sleep(60)


async def drip(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Answer a byte at a time, without end."""
    while True:
        process.stdout.write(b".")
        await asyncio.sleep(0.02)


async def flood(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Answer as much as is taken."""
    while True:
        process.stdout.write(b"." * 65536)
        await process.stdout.drain()


@pytest.mark.parametrize("answer", [silence, drip])
def test_a_command_without_end_has_a_deadline(server: SshServer, answer: object) -> None:
    """A host whose command does not end is unreachable when the time is up, and the next command is not held up."""
    server.behaviour.answer = answer  # type: ignore[assignment] # one of the above
    host, began = server.host(), time.monotonic()
    with pytest.raises(HostUnreachable, match=r"the command did not (answer|end) within 0\.5 s"):
        host.feed("", "true", within=0.5)
    assert time.monotonic() - began < 3
    server.behaviour.answer = None
    assert host.run("echo well").stdout == "well\n"


def test_an_answer_has_a_largest_size(server: SshServer) -> None:
    """A host that prints without end is stopped by size."""
    server.behaviour.answer = flood
    with pytest.raises(UnfinishedError, match="printed more than 1 MiB"):
        converse([*server.host().access.command(), "true"], within=20, most=1 << 20)


def test_a_host_that_talks_nonsense_is_waited_for_without_haste(server: SshServer) -> None:
    """A wait for another boot ends in its time, and asks a few times a second at most, when every look fails."""

    async def nonsense(process: asyncssh.SSHServerProcess[bytes]) -> None:
        process.stdout.write(b"what?\n")
        process.exit(0)

    for answer in (nonsense, None):
        server.behaviour.answer, server.behaviour.commands = answer, []
        server.behaviour.shell = ("/bin/sh", "-c", 'case $0 in *boot_id*) echo 1;; *) exec /bin/sh -c "$0";; esac')
        host, began = server.host(back_within=1), time.monotonic()
        with pytest.raises(HostUnreachable):
            host.wait_for_boot_after(BEFORE)
        assert time.monotonic() - began < 10
        assert len(server.behaviour.commands) < 20


def test_refused_logins_are_tried_with_growing_pauses(server: SshServer) -> None:
    """An sshd with penalties is not driven into them: after a refused login the next comes a second later, then two."""
    server.behaviour.refuses_logins = True
    with pytest.raises(HostUnreachable, match=r"Permission denied.* \(for 3 s\)"):
        server.host().wait_until_reachable()
    assert server.behaviour.logins <= 4


@contextmanager
def banner(text: bytes) -> Iterator[int]:
    """Yield a port at which this is said, and nothing else."""
    with socket.create_server(("127.0.0.1", 0)) as port:

        def serve() -> None:
            while True:
                try:
                    with port.accept()[0] as client:
                        client.sendall(text)
                except OSError:
                    return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield port.getsockname()[1]
        port.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_host_that_punishes_is_told_from_one_that_is_gone(server: SshServer) -> None:
    """An sshd that turns this machine away says so, and that is what the message says; others are no sshd or gone."""
    with (
        banner(b"Not allowed at this time\r\n") as port,
        pytest.raises(PenalisedError, match="turns this machine away"),
    ):
        server.host(port=port, back_within=0.3).wait_until_reachable()
    with (
        banner(b"HTTP/1.1 400 Bad Request\r\n") as port,
        pytest.raises(HostUnreachable, match="no sshd answers there: HTTP"),
    ):
        server.host(port=port, back_within=0.3).wait_until_reachable()
    with pytest.raises(HostUnreachable, match="Connection refused"):
        server.host(port=1, back_within=0.3).wait_until_reachable()


def test_lines_before_the_version_of_an_sshd_are_passed_over(server: SshServer) -> None:
    """A gateway may greet before its sshd does; ssh reads on, and so does the look at the port."""
    greeting = b"Authorised users only\r\n" * 200
    with banner(greeting + b"SSH-2.0-Gateway\r\n") as port, pytest.raises(HostUnreachable) as refused:
        server.host(port=port, back_within=0.3).wait_until_reachable()
    assert "no sshd" not in str(refused.value)
    with (
        banner(greeting + b"Not allowed at this time\r\n") as port,
        pytest.raises(PenalisedError, match="turns this machine away"),
    ):
        server.host(port=port, back_within=0.3).wait_until_reachable()


@pytest.mark.parametrize(
    "said",
    [
        "sudo: a password is required",
        "sudo: sorry, you must have a tty to run sudo",
        "sh: 1: sudo: not found",
        "sudo: unable to resolve host edge-1: Name or service not known\nsudo: a password is required",
        "Sorry, user qa is not allowed to execute /bin/sh -c " + "x" * 500 + " as root on edge-1.",
        "qa is not in the sudoers file.",
        "sudo-rs: interactive authentication is required",
    ],
)
def test_sudo_that_refuses_is_told(server: SshServer, said: str) -> None:
    """A user whom sudo runs no command for is told from a host that is gone, in sudo's own last words."""
    server.behaviour.shell = ("/bin/sh", "-c", f"echo '{said}' >&2; exit 1")
    with pytest.raises(SudoRefusedError, match=said.rpartition("\n")[2][:60]) as refused:
        server.host(sudo=True).run("id -u")
    assert len(str(refused.value)) < 300


def test_input_that_a_login_shell_reads_is_missed(server: SshServer) -> None:
    """A start-up file that reads the standard input takes no part of a secret unnoticed."""
    for eats in ("read line", "cat > /dev/null", "head -c 3 > /dev/null"):
        server.behaviour.shell = ("/bin/sh", "-c", f'{eats}; eval "$0"')
        with pytest.raises(HostUnreachable, match="the login shell reads the input"):
            server.host().feed("one\ntwo\n", "cat")


@pytest.mark.parametrize("path", ["/usr/bin:/bin", "", "/opt/bin"])
def test_programs_are_found_where_a_login_shell_looks_for_none(server: SshServer, path: str) -> None:
    """K3s' programs are in /usr/local/bin, which some sudo's secure_path and some users' PATH lack."""
    server.behaviour.shell = ("/bin/sh", "-c", f'PATH={path}; export PATH; eval "$0"')
    host = server.host()

    assert host.run("cat /dev/null; echo $PATH").stdout.startswith(f"{path}:/usr/local/sbin:/usr/local/bin:")
    assert host.boot() == host.boot()


def test_what_a_login_shell_exports_changes_nothing(server: SshServer) -> None:
    """Settings and functions for programs stay the user's: CDPATH makes ``cd`` print, and so on."""
    exports = (
        "export CDPATH=/ POSIXLY_CORRECT=1 SYSTEMD_COLORS=1 TMOUT=1 GREP_OPTIONS=-v; pwd() { echo no; }; export -f pwd"
    )
    server.behaviour.shell = ("bash", "-c", f'{exports}; eval "$0"')
    done = server.host().run("cd usr && echo there; env | cut -d= -f1 | sort")

    assert set(done.stdout.split()) <= {"HOME", "LC_ALL", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}


def test_outputs_that_come_as_one_are_told(server: SshServer) -> None:
    """Where a start-up file joins the outputs, what a program complains about is not taken for its answer."""
    server.behaviour.shell = ("bash", "-c", 'exec 2>&1; eval "$0"')
    with pytest.raises(HostUnreachable, match=r"the login shell sends error output to standard output \(exec 2>&1\)"):
        server.host().run("id -u")


def test_a_slow_login_is_waited_for(server: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host whose name server is away takes longer to log in than to connect; it is not given up for that."""
    monkeypatch.setattr("edge.access.CONNECT_TIMEOUT", 0.1)
    server.behaviour.shell = ("/bin/sh", "-c", 'sleep 0.6; eval "$0"')
    server.host(back_within=30).wait_until_reachable()
    assert len(server.behaviour.commands) == 1


def test_words_of_a_host_steer_no_terminal(server: SshServer) -> None:
    """What a host says in a message is printable, on one line."""
    server.behaviour.shell = ("/bin/sh", "-c", "printf 'one\\ntwo \\033]0;title\\007' >&2; exit 1")
    with pytest.raises(HostUnreachable, match="two") as refused:
        server.host().run("true")
    assert str(refused.value).isprintable()
    server.behaviour.shell = ("/bin/sh", "-c")
    with pytest.raises(CommandRefusedError) as failed:
        server.host().feed("", "printf 'x \\033[31m' >&2; exit 1")
    assert str(failed.value).isprintable()
    with banner(b"HTTP\x1b[31m\r\n") as port, pytest.raises(HostUnreachable) as silent:
        server.host(port=port, back_within=0.1).wait_until_reachable()
    assert str(silent.value).isprintable()


def test_a_user_without_a_shell_is_told(server: SshServer) -> None:
    """A login shell that runs nothing makes a host that cannot be used, with what it said."""
    server.behaviour.shell = ("/bin/sh", "-c", "echo This account is not available.; echo Go away >&2; exit 1")
    with pytest.raises(HostUnreachable, match="the login shell did not run the command: Go away"):
        server.host().run("true")


def test_a_connection_that_ends_in_the_middle_is_told_in_plain_words(server: SshServer) -> None:
    """A host that goes down while it answers is told so; the marks of the exchange are nobody's words."""
    server.behaviour.status = 255
    with pytest.raises(HostUnreachable, match="the connection ended in the middle of an answer") as cut:
        server.host().run("kill -9 $$")
    assert "begin-" not in str(cut.value)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1?ssh_config=/tmp/x&y=", "a b", "-oProxyCommand=id", "host/../x", "h\nx", "$(id)", "", "a@b", "h:22"],
)
def test_an_address_from_a_site_is_an_address(address: str, tmp_path: Path) -> None:
    """Text that is no address never reaches ssh, testinfra or a shell."""
    with pytest.raises(UnsafeTextError):
        SshAccess(address, "kairos", tmp_path)
    with pytest.raises(UnsafeTextError):
        SshAccess("host", address.replace("@", "'"), tmp_path)
    with pytest.raises(UnsafeTextError):
        taken_apart(f"kairos@{address}:x")


def test_a_name_with_options_in_it_starts_nothing_here(server: SshServer, tmp_path: Path) -> None:
    """What would be options in a URL of testinfra's is a part of a name for ssh: it chooses no configuration."""
    (tmp_path / "config").write_text(f"Host *\n ProxyCommand touch {tmp_path}/executed\n")
    access = server.host().access
    object.__setattr__(access, "address", f"127.0.0.1?ssh_config={tmp_path}/config&x=")  # past the door
    with pytest.raises(HostUnreachable):
        ask(access, "true")
    assert not (tmp_path / "executed").exists()


OUTPUTS = st.one_of(
    st.binary(max_size=200),
    st.lists(
        st.sampled_from([b"---\n", b"inf nan\n", b"1e999 1\n", b"\xff", b"0c8f9d0e\n", b"x=\n\n", b"Id", b"\0"])
    ).map(b"".join),
)


@given(OUTPUTS)
def test_any_output_is_read_or_refused(output: bytes) -> None:
    """Facts and layouts are read from whatever a host prints, or refused as the door expects it."""
    answer = Script("c", "m").answer(Said(0, b"x\nbegin-m\n" + output, output))
    assert answer is None or isinstance(answer.out, bytes)
    for read in (read_facts, read_layout):
        with suppress(ValueError, UnknownLayoutError):
            read(output.decode("utf-8", "backslashreplace"))


@settings(max_examples=20, deadline=None)
@given(output=OUTPUTS)
def test_hostile_answers_end_as_an_unreachable_host(hostile: SshServer, output: bytes) -> None:
    """Whatever bytes a host answers with: facts, or a host that gives no usable answer; never another exception."""
    hostile.behaviour.before = output
    host = hostile.host()
    (hostile.folder / "output").write_bytes(output)
    hostile.behaviour.shell = (
        "/bin/sh",
        "-c",
        f'eval "$(echo "$0" | sed "s,cat /proc.*stat,cat {hostile.folder}/output,")"',
    )
    for look in (host.boot, host.layout, host.processes, lambda: host.feed("x", "cat")):
        with suppress(HostUnreachable, UnknownLayoutError):
            look()


@pytest.fixture(scope="module")
def hostile() -> Iterator[SshServer]:
    """Yield one SSH server for many examples."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder, serving(Path(folder)) as serves:
        yield serves


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("qa@b.example", ("qa", "b.example", 22)),
        ("b.example:2222", ("", "b.example", 2222)),
        ("qa@[fd00::1]:2200", ("qa", "fd00::1", 2200)),
    ],
)
def test_a_jump_host_is_taken_apart(text: str, parts: tuple[str, str, int]) -> None:
    """User, address and port of a jump host are given to ssh one by one."""
    assert taken_apart(text) == parts


def test_a_host_speaks_english_whatever_its_users_speak(server: SshServer) -> None:
    """Words of programs are recognised on a host whose login shell sets another language."""
    server.behaviour.shell = ("/bin/sh", "-c", 'LC_ALL=de_DE.UTF-8; export LC_ALL; eval "$0"')

    assert server.host().run("echo $LC_ALL").stdout == "C\n"
    assert server.host(sudo=True).run("echo $LC_ALL").stdout == "C\n"


@pytest.mark.parametrize("name", ["my job", "feature%2Fx", "it's", 'a"b', "back\\slash", "per%h"])
def test_a_folder_may_have_any_name(name: str) -> None:
    """Workspaces of build servers have blanks and percent signs: keys, known hosts and sockets work there too."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder:
        (place := Path(folder, name)).mkdir()
        with serving(place) as server:
            assert server.host().run("echo here").stdout == "here\n"


def test_a_program_that_takes_no_input_is_no_trouble() -> None:
    """What a program does not read is dropped, whatever its size."""
    assert converse(["sh", "-c", "echo done"], b"x" * (1 << 20)).out == b"done\n"
    assert converse(["cat"], b"x" * (1 << 20)).out == b"x" * (1 << 20)
