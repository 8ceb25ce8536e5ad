"""Grammars of hostile answers, shared by the tests of everything that is asked: Palette, registries, hosts.

``HOSTILE_ANSWERS`` says how many of each are drawn; own tests draw a few hundred.
"""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from harness.run import verdict_of
from reports.verdicts import Verdict

DRAWN = int(os.environ.get("HOSTILE_ANSWERS", "200"))
#: Seconds for one answer; what ends does so in a fraction of one, and a machine may be busy.
ENDS = 60
many = settings(
    max_examples=DRAWN, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate), derandomize="HOSTILE_ANSWERS" not in os.environ,
)  # fmt: skip

NESTED = b'{"items": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
TEXTS = st.text(max_size=20) | st.sampled_from(["", "..", "/", "\ud800", "a\x00b", "0001-01-01T00:00:00Z", "9" * 30])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS


def bodies(keys: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Return bodies: JSON with these keys in which every type may be another, and what is no JSON at all."""
    names = st.sampled_from(keys) | TEXTS
    values = st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5)
    )
    documents = (st.dictionaries(names, values, max_size=6) | values).map(lambda value: json.dumps(value).encode())
    odd = [NESTED, b"1" * 5000, b'{"uid": 1e999}', b"\xef\xbb\xbf{}", b"null", b"", b"[" * 3000, b"<html>", b'{"a":']
    return documents | documents.map(gzip.compress) | st.binary(max_size=200) | st.sampled_from(odd)


_ODD = [
    b"", b"gzip", b"br", b"deflate", b"identity, gzip", b"chunked", b"https://[x", b"file:///x", b"/v2/", b"-1", b"1e9",
    b"99999999999999999999", b"Bearer", b'Bearer realm="/t",service="s"', b"Basic", b'Basic realm="', b"9" * 400,
    b"Sun, 06 Nov 99999999999999999999 08:49:37 GMT", b"Fri, 31 Dec 9999 23:59:59 -2359", b"application/json",
    b"sha256:" + b"0" * 64,
]  # fmt: skip
_NAMES = [
    b"Date", b"Location", b"Retry-After", b"Content-Type", b"Content-Encoding", b"Transfer-Encoding", b"Content-Length",
    b"WWW-Authenticate", b"Docker-Content-Digest", b"Connection", b"X",
]  # fmt: skip
_STATUSES = st.sampled_from([200, 200, 200, 201, 202, 204, 206, 302, 304, 307, 400, 401, 404, 409, 416, 422, 429, 503])
_VALUES = st.binary(max_size=30).map(lambda text: text.replace(b"\n", b"").replace(b"\r", b"")) | st.sampled_from(_ODD)


def answers(keys: Sequence[str]) -> st.SearchStrategy[bytes]:
    """Return answers over HTTP: a status line, headers, a body that may be cut off, chunks, or anything at all."""
    return st.builds(
        _answer,
        _STATUSES | st.integers(0, 999),
        st.lists(st.tuples(st.sampled_from(_NAMES), _VALUES), max_size=4),
        bodies(keys),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([0, 0, 0, 0, 0, 3, 12, 20, 40]),
    ) | st.binary(max_size=60)


def _answer(status: int, headers: list[tuple[bytes, bytes]], body: bytes, framed: bool, cut: int) -> bytes:  # noqa: FBT001 - drawn
    length = b"Content-Length: %d\r\n" % len(body) if framed else b""
    head = b"HTTP/1.1 %d X\r\n" % status + b"".join(b"%b: %b\r\n" % header for header in headers) + length
    return (head + b"\r\n" + body)[: cut or None]


# --- hosts ------------------------------------------------------------------------------------------------------------

#: What stands for lines and numbers without end, which no example's report should hold.
HUGE = {b"<huge>": b"x" * 200_000, b"<digits>": b"9" * 5000}
_PIECES = st.sampled_from(
    [b"---\n", b"\n", b"1b4e28ba-2fa1-11d2-883f-0016d3cca427\n", b"LABEL=COS_ACTIVE ", b"upgrade_failure ",
     b"KAIROS_IMAGE_REPO='x\n", b"KAIROS_IMAGE_LABEL=v1\n", b"active_mode\n", b"inf nan\n", b"99999999999999999999 1\n",
     b"1.0 100\n", b"Id=stylus-agent.service\n", b"LoadState=loaded\n", b"ActiveState=active\n", b"planted \n",
     b"planted /run/x 7\n", b"planted x\n", b"process \n", b"process /proc\n", b"process /proc/7/cmdline\n", b"file \n",
     b"Filesystem 1K-blocks Used Available Use% Mounted\n", b"/dev/x 1 2 99999 5% /\n",
     b"/dev/x 1 2 <digits> 5% /\n", b"https_proxy=http://[x\n", b"HTTPS_PROXY=http://p:1\n", b"=x\n",
     b"no_proxy=10.0.0.0/99,[::1,*,.,:\n",
     b"x86_64\n",
     b"journal x\n", b"10.0.0.1\n", b"active\n", b"\xff\xfe", b"\x1b[2J", b"\x00", b"no space left on device\n",
     b"<huge>"]
) | st.binary(max_size=20)  # fmt: skip
OUTPUTS = st.lists(_PIECES, max_size=12).map(b"".join)
#: What stands where the status of a command does.
ENDINGS = st.sampled_from([b"0", b"0", b"0", b"1", b"127", b"255", b"", b"-1", b"x", b"9999"])


def at_length(output: bytes) -> bytes:
    """Return an output as a host prints it."""
    for short, long in HUGE.items():
        output = output.replace(short, long)
    return output


# --- what may come of it ----------------------------------------------------------------------------------------------


@contextmanager
def ending() -> Iterator[None]:
    """Fail when the block does not end."""

    def late(_number: int, _frame: FrameType | None) -> None:
        raise AssertionError(f"not over after {ENDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(ENDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(error: Exception) -> None:
    """Fail where the exception would blame the harness for an answer, or the product for one that is not Palette's."""
    verdict = verdict_of(error)
    refused: Any = getattr(error, "status", None)
    by_palette = verdict is Verdict.FAIL and isinstance(refused, int) and 400 <= refused < 500
    assert by_palette or verdict in {Verdict.DEAD, Verdict.VACUOUS, Verdict.NOT_COVERED}, (verdict, repr(error))
