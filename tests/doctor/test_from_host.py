"""What the doctor finds at a host that is odd: noise, sudo that refuses, answers that make no sense."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from doctor import network
from doctor.findings import Finding, Kind
from doctor.from_host import HostView, _look, look_from_host
from doctor.image import ImageFacts
from edge import EdgeHost
from tests.edge.ssh_server import SshServer, serving


@pytest.fixture
def server() -> Iterator[SshServer]:
    """Yield an SSH server."""
    with tempfile.TemporaryDirectory(prefix="s-") as folder, serving(Path(folder)) as serves:
        yield serves


def found(host: EdgeHost) -> list[Finding]:
    """Return what the doctor finds at a host, with nothing to hold it against."""
    return look_from_host(HostView(host, None, None, ()))


def test_a_login_shell_that_prints_is_told_and_stops_nothing(server: SshServer) -> None:
    """Noise is one line of the doctor's, printable, and no reason not to run; a quiet shell is none."""
    assert found(server.host()) == []
    server.behaviour.before = b"\x1b[31mWelcome\n0.42\n"
    (finding,) = found(server.host())

    assert (finding.kind, finding.stops_a_run) == (Kind.NOISE, False)
    assert "the login shell of qa prints to standard output: 0.42" in str(finding)
    assert str(finding).isprintable()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("sudo: sorry, you must have a tty to run sudo", "Defaults:qa !requiretty"),
        ("sudo: a password is required", "qa ALL=(ALL) NOPASSWD: ALL"),
        ("sh: 1: sudo: not found", "install sudo, or log in as root with sudo: false"),
    ],
)
def test_each_way_in_which_sudo_refuses_has_its_own_advice(server: SshServer, said: str, advice: str) -> None:
    """A terminal that sudo wants is not given by NOPASSWD, nor is a sudo that is not there."""
    server.behaviour.shell = ("/bin/sh", "-c", f"echo '{said}' >&2; exit 1")
    (finding,) = found(server.host(sudo=True))

    assert (finding.kind, said in finding.found, advice in finding.advice) == (Kind.NO_SUDO, True, True), finding


@pytest.mark.parametrize("shell", ['exec 2>&1; eval "$0"', "echo This account is not available.; exit 1"])
def test_a_login_shell_that_cannot_be_used_is_told_as_that(server: SshServer, shell: str) -> None:
    """Where ssh logs in and the shell is in the way, nobody is sent to look at addresses and ports."""
    server.behaviour.shell = ("bash", "-c", shell)
    (finding,) = found(server.host())

    assert "correct the start-up files of qa" in finding.advice
    assert "the login shell" in finding.found


def test_a_wrong_user_is_told_beside_a_wrong_key(server: SshServer) -> None:
    """A refused login may be the key's fault or the user's: the line names both."""
    server.behaviour.refuses_logins = True
    (finding,) = found(server.host())

    assert (finding.kind, "ssh.key or the user name qa" in finding.advice) == (Kind.SSH_KEY, True)


PARTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["x86_64", "1" * 400, "٣", "Filesystem\n/ 1 2 x 4 /\n", "F\n/dev/a 1 2 99999 4% /", "https_proxy=http://["]
    ),
)


@given(st.lists(PARTS, min_size=4, max_size=4).map("\n---\n".join) | st.text())
def test_any_answer_of_a_host_is_looked_at(output: str) -> None:
    """Whatever a host prints when it is looked at ends in findings that can be printed."""
    host = cast("EdgeHost", SimpleNamespace(uid="edge-1", run=lambda *_: SimpleNamespace(stdout=output)))
    view = HostView(host, ImageFacts(1 << 30, frozenset({"amd64"})), None, ("registry.example",))
    view = replace(view, vips=("10.0.0.5", "fd00::5", "vip.example"), asks_neighbours=True)

    assert all(str(finding).isprintable() for finding in (*_look(view), *network.from_host(view)))
