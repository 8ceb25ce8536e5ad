"""Whatever a host prints, it is read, or the host is lost; it never hangs, and the harness is not to blame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncssh
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from doctor.from_host import HostView, _look, look_from_host
from doctor.image import ImageFacts
from edge import EdgeHost
from harness.pull_addresses import own_addresses
from tests.edge.ssh_server import SshServer, serving
from tests.foreign.hostile import ENDINGS, OUTPUTS, at_length, ending, judge, many

VIEW: Callable[[EdgeHost], HostView] = partial(
    HostView, image=ImageFacts(1, frozenset({"amd64"})), listener=None, names=("registry.lab.example", "10.0.0.1")
)
READS: list[Callable[[EdgeHost, Path], object]] = [
    lambda host, _: host.boot(),
    lambda host, _: host.layout(),
    lambda host, _: host.agent_unit,
    lambda host, _: host.run("true").stdout,
    lambda host, _: host.feed("x", "cat"),
    lambda host, _: host.noise(),
    lambda host, _: host.shown(["a word"]),
    lambda host, _: host.journal(),
    lambda host, _: host.unit("x").is_running,
    lambda host, _: own_addresses(host),
    lambda host, folder: host.diagnostics(folder),
    lambda host, _: look_from_host(VIEW(host)),
    lambda host, _: _look(VIEW(host)),
]
_MARK = re.compile("begin-([0-9a-f]{32})")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Serve a host that says what a test wants."""
    with serving(tmp_path_factory.mktemp("h")) as found:
        yield found


@many
@given(
    before=OUTPUTS,
    said=OUTPUTS,
    status=ENDINGS,
    begun=st.sampled_from([True, True, True, True, False]),
    errors=OUTPUTS,
    ends=st.sampled_from(["exits", "exits", "exits", "fails", "hangs up"]),
    read=st.sampled_from(READS),
)
@example(before=b"", said=b"planted x\nprocess \n", status=b"0", begun=True, errors=b"", ends="exits", read=READS[6])
@example(
    before=b"",
    said=b"x86_64\n---\n1\n---\n\n---\n\n=x\n",
    status=b"0",
    begun=True,
    errors=b"",
    ends="exits",
    read=READS[-1],
)  # fmt: skip
@example(before=b"", said=b"", status=b"127", begun=True, errors=b"", ends="exits", read=READS[8])
def test_no_output_of_a_host_is_a_traceback(
    server: SshServer,
    tmp_path: Path,
    before: bytes,
    said: bytes,
    status: bytes,
    begun: bool,  # noqa: FBT001 - drawn
    errors: bytes,
    ends: str,
    read: Callable[[EdgeHost, Path], object],
) -> None:
    """Noise, half an answer, a hostile one, a status that is none, a connection that ends in the middle."""

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        found = _MARK.search(process.command or "")
        mark = (found[1] if found else "").encode()
        opened = b"\nbegin-%b\n" % mark if begun else b""
        whole = before + opened + said + b"\nend-%b %b\n" % (mark, status)
        process.stdout.write(at_length(whole))
        process.stderr.write(errors)
        if ends == "hangs up":
            process.channel.abort()
        else:
            process.exit(255 if ends == "fails" else 0)

    server.behaviour.answer = answer
    server.behaviour.commands.clear()
    host = server.host()
    try:
        with ending():
            read(host, tmp_path)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is judge
        judge(error)
