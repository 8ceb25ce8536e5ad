"""Whatever comes back: an answer is a value or a failure of the infrastructure, it ends, and it quotes no key."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from palette import Palette, PaletteError, RetryPolicy, Timeouts
from palette.errors import NotPaletteError, UnreachableError
from tests.foreign.hostile import NESTED, answers, ending, judge, many
from tests.palette.conftest import KEY
from tests.palette.servers import Request, Server, answer, page, serving

ONCE = RetryPolicy(attempts=1)
HASTY = Timeouts(connect=0.4, answer=0.4)


def raw(*pieces: bytes, pause: float = 0.0, forever: bool = False) -> Callable[[Request], None]:
    """Answer with exactly these bytes, with a pause between the pieces; ``forever`` begins again at the last one."""

    def act(request: Request) -> None:
        request.handler.close_connection = True
        waiting = list(pieces)
        try:
            while waiting and not request.stop.is_set():
                request.handler.connection.sendall(waiting[0])  # nothing stays in a buffer when the client hangs up
                request.stop.wait(pause)
                waiting = waiting[1:] or (waiting[:1] if forever else [])
        except OSError:
            return  # the client has had enough

    return act


def failure(palette: Palette) -> tuple[PaletteError, float]:
    """Return the error of a plain read, and after how many seconds it came."""
    began = time.monotonic()
    with pytest.raises(PaletteError) as caught:
        palette.edge_hosts.get("host-1")
    return caught.value, time.monotonic() - began


@pytest.mark.parametrize(
    "act",
    [
        raw(b"HTTP/1.1 200 OK\r\n", *[b"X: y\r\n"] * 90, pause=0.1),
        raw(b"HTTP/1.1 200 OK\r\nX: ", b"y", pause=0.05, forever=True),
        raw(b"HTTP/1.1 100 Continue\r\n\r\n", forever=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n", b"y", pause=0.05, forever=True),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n", pause=0.05, forever=True),
    ],
    ids=["dripping headers", "dripping header", "100 Continue for ever", "dripping body", "dripping chunks"],
)
def test_an_answer_that_never_ends_is_given_up(act: Callable[[Request], None], client: Callable[..., Palette]) -> None:
    """The time-out is that of the whole answer, headers included."""
    with serving(act) as server:
        error, seconds = failure(client(server.url, retry=ONCE, timeouts=HASTY))

    assert (type(error), error.code) == (UnreachableError, "Timeout")
    assert seconds < 5  # a machine under load is slow; the answer would take for ever


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        (b"Content-Length: 99999999999\r\n", b"y" * (1 << 20)),
        (b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", b""),
    ],
    ids=["body", "gzip bomb"],
)
def test_an_answer_that_is_too_large_is_given_up(
    headers: bytes, content: bytes, client: Callable[..., Palette]
) -> None:
    """What is packed may not be larger than what is not."""
    bomb = gzip.compress(bytes(80 << 20), 1)
    pieces = [content] if content else [b"%x\r\n%b\r\n" % (len(bomb), bomb)]
    with serving(raw(b"HTTP/1.1 200 OK\r\n" + headers + b"\r\n", *pieces, forever=True)) as server:
        error, _ = failure(client(server.url, retry=ONCE, timeouts=Timeouts(answer=60)))

    assert (type(error), error.code) == (UnreachableError, "TooLarge")
    assert "larger than 32 MiB" in str(error)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_json_that_is_nested_deeply_is_no_traceback(status: int, client: Callable[..., Palette]) -> None:
    """Python's decoder raises RecursionError for it."""
    with serving(page(status, NESTED, "application/json")) as server:
        error, _ = failure(client(server.url, retry=ONCE))

    assert error.status == status


@pytest.mark.parametrize("location", ["https://[x", "//", "https://a:b:c/"])
def test_a_bad_location_is_no_traceback(location: str, client: Callable[..., Palette]) -> None:
    """A redirect is refused whatever it names."""
    with serving(raw(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode())) as server:
        error, _ = failure(client(server.url, retry=ONCE))

    assert type(error) is NotPaletteError


@pytest.mark.parametrize(
    "date",
    [
        "Sun, 06 Nov 99999999999999999999 08:49:37 GMT",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "soon",
    ],
)
def test_a_bad_date_is_ignored(date: str, client: Callable[..., Palette]) -> None:
    """Palette's clock is not known from it, and nothing is raised, not even where the time is asked for."""
    with serving(answer({"metadata": {"uid": "h"}}, Date=date, Retry_After=date)) as server:
        palette = client(server.url, retry=ONCE)
        palette.edge_hosts.get("h")

        assert palette.time() is None


def test_pages_with_ever_new_tokens_end(client: Callable[..., Palette], monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that goes on and on is not Palette's."""
    monkeypatch.setattr("palette.paging.MOST_PAGES", 20)
    count = itertools.count()

    def act(request: Request) -> None:
        answer({"items": [], "listmeta": {"continue": f"token-{next(count)}"}})(request)

    with serving(act) as server:
        with pytest.raises(NotPaletteError, match="more than 20 pages"):
            list(client(server.url).in_project_with("p").edge_hosts.search())

        assert len(server.requests) == 20


@pytest.mark.parametrize("made", [{"UID": "u"}, {}, {"uid": ""}, {"uid": ".."}, {"uid": None}, {"uid": 5}])
def test_a_creation_without_a_uid_is_not_palette(made: object, client: Callable[..., Palette]) -> None:
    """An empty uid is no success: the next request would name something else."""
    with serving(lambda r: answer(made if r.method == "POST" else {"items": []})(r)) as server:
        with pytest.raises(NotPaletteError, match="expected the uid of what was made") as caught:
            client(server.url).in_project_with("p").profiles.create("n", [])

        assert caught.value.outcome_unknown
        assert sum(request.method == "POST" for request in server.requests) == 1


def key_forms() -> Iterator[str]:
    """Return how a server may quote the key."""
    key = KEY.encode()
    yield KEY
    yield key.hex()
    for before in (b"", b"a", b"ab", b"user:"):
        yield base64.b64encode(before + key).decode()
        yield base64.urlsafe_b64encode(before + key + b"?").decode()


@pytest.mark.parametrize("form", list(key_forms()))
def test_no_error_quotes_the_key_in_another_form(form: str, client: Callable[..., Palette]) -> None:
    """Neither Palette's words nor a page in its place."""
    steady = form.rstrip("=")[3:-3]
    for act in (answer({"code": "Unauthorized", "message": f"bad key {form}"}, 401), page(200, form.encode())):
        with serving(act) as server:
            error, _ = failure(client(server.url, retry=ONCE))

        assert steady not in str(error) + repr(error)


@pytest.mark.parametrize("word", ["\x1b[2J", "a\n::error::b", "\u202e", "\x07", "\ud800"])
def test_palettes_words_are_shown_and_not_obeyed(word: str, client: Callable[..., Palette]) -> None:
    """Control codes and line breaks never reach a terminal or a build server from an error."""
    content = json.dumps({"code": word, "message": word, "ref": word}).encode()
    with serving(page(409, content, "application/json")) as server:
        error, _ = failure(client(server.url, retry=ONCE))

    assert str(error).isprintable()


def test_palettes_words_have_a_largest_size(client: Callable[..., Palette]) -> None:
    """A refusal of megabytes fills neither a terminal nor a report."""
    content = json.dumps(dict.fromkeys(("code", "message", "ref"), "x" * (1 << 20))).encode()
    with serving(page(409, content, "application/json")) as server:
        error, _ = failure(client(server.url, retry=ONCE))

    assert len(str(error)) < 10_000


# -- everything that a server can say, within bounds -------------------------------------------------------------------

KEYS = (
    "uid", "metadata", "spec", "status", "items", "state", "name", "packs", "published", "listmeta", "continue",
    "health", "creationTimestamp", "profiles", "labels", "annotations", "host", "device", "version", "macros", "nics",
    "upgrades", "conditions", "reason", "timestamp", "repave", "content", "cloudConfigRef", "tags", "packValues",
    "variables", "code", "message", "ref", "details",
)  # fmt: skip

READS: list[Callable[[Any], Any]] = [
    lambda p: p.profiles.get("u"),
    lambda p: p.profiles.create("n", []),
    lambda p: list(p.profiles.list()),
    lambda p: p.profiles.packs("u"),
    lambda p: p.clusters.get("u"),
    lambda p: p.clusters.overview("u"),
    lambda p: p.clusters.endpoints(),
    lambda p: p.clusters.repave("u"),
    lambda p: p.clusters.variables("u"),
    lambda p: p.clusters.kubeconfig("u"),
    lambda p: list(p.clusters.search()),
    lambda p: list(p.edge_hosts.search()),
    lambda p: p.edge_hosts.get("u"),
    lambda p: list(p.events.of_cluster("u")),
    lambda p: p.packs.versions("n", "r"),
    lambda p: p.macros.list(),
    lambda p: p.time(),
]


@pytest.fixture(scope="module")
def hostile() -> Iterator[tuple[Server, list[bytes]]]:
    """Run a server that answers with whatever stands in the list."""
    said = [b""]

    def act(request: Request) -> None:
        request.handler.close_connection = True
        request.handler.connection.sendall(said[0])

    with serving(act) as server:
        yield server, said


@many
@given(said=answers(KEYS), read=st.sampled_from(READS))
def test_no_answer_is_a_traceback(
    said: bytes, read: Callable[[Any], Any], hostile: tuple[Server, list[bytes]], client: Callable[..., Palette]
) -> None:
    """Every answer is read, refused in Palette's words, or no answer of Palette's; it never blames the product."""
    server, says = hostile
    says[0] = said
    project = client(server.url, retry=RetryPolicy(attempts=1, first_pause=0), timeouts=HASTY).in_project_with("p")
    try:
        with ending():
            shown = repr(read(project))
    except PaletteError as error:
        judge(error)
        shown = str(error)
    finally:
        del server.requests[:]

    assert shown.encode()
    assert KEY not in shown
