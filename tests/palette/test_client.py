"""The client as a whole: what it refuses, how it authenticates, what it never shows."""

from __future__ import annotations

import gc
import logging
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from palette import Limits, Palette, PaletteError, RetryPolicy, Timeouts
from palette.os_layer import OsLayer, ProviderCredentials
from palette.profiles import Pack
from protected import Secret
from tests.palette.conftest import KEY, SteppedClock
from tests.palette.servers import Request, answer, in_turn, page, refuse, reset, serving, silent

PROJECTS = answer({"items": [{"metadata": {"uid": "p1", "name": "Default"}}]})
NOTHING = answer({"items": []})


def test_a_proxy_is_used_when_it_is_named(client: Callable[..., Palette]) -> None:
    """The environment's proxies do not count, one that the site file names does."""
    with serving(NOTHING) as proxy:
        list(client("http://localhost:9", proxy=proxy.url).projects.list())

    assert proxy.requests[0].url.startswith("http://localhost:9/v1/")


def test_requests_keep_the_rate(client: Callable[..., Palette], stepped: SteppedClock) -> None:
    """The client waits before it sends what would exceed the published rate."""
    with serving(answer({"metadata": {"uid": "h"}})) as server:
        palette = client(server.url, limits=Limits(share=0.02))
        for _ in range(3):
            palette.edge_hosts.get("h")

    assert sum(stepped.slept) == pytest.approx(10.0)


def test_connections_of_threads_that_ended_are_closed(client: Callable[..., Palette]) -> None:
    """A long run with many short threads does not collect open connections."""
    with serving(answer({"metadata": {"uid": "h"}})) as server:
        palette = client(server.url)
        for _ in range(20):
            thread = threading.Thread(target=lambda: palette.edge_hosts.get("h"))
            thread.start()
            thread.join()
        gc.collect()

        assert len(palette.scope.transport._sessions) <= 1


def test_a_few_lines_are_enough(client: Callable[..., Palette]) -> None:
    """A project is found by its name, and its requests carry key and project."""
    with serving(in_turn(PROJECTS, NOTHING)) as server:
        project = client(server.url).in_project("Default")
        assert list(project.edge_hosts.search()) == []

    assert (project.uid, project.name) == ("p1", "Default")
    sent = server.requests[-1]
    assert (sent.headers["ApiKey"], sent.headers["ProjectUid"]) == (KEY, "p1")
    assert sent.headers["User-Agent"] == "palette-edge-conformance"
    assert sent.query == {"limit": "50"}


def test_a_project_that_is_not_there_is_named_with_those_that_are(client: Callable[..., Palette]) -> None:
    """A wrong project name is answered with the names there are; a part of a name does not count."""
    with serving(PROJECTS) as server, pytest.raises(LookupError, match=r"no project 'Defaul'; there are: Default"):
        client(server.url).in_project("Defaul")


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("api.spectrocloud.com", "write https://"),
        ("ftp://api.spectrocloud.com", "write https://"),
        ("https://", "write https://"),
        ("https://user:pw@api.spectrocloud.com", "credentials do not belong"),
        ("https://api.spectrocloud.com/v1", "everything after the host"),
        ("https://api.spectrocloud.com/?ProjectUid=1", "everything after the host"),
        ("https://api.spectrocloud.com:0", "port 0"),
        ("https://api.spectrocloud.com:99999", "Port out of range"),
        ("http://api.spectrocloud.com", "in clear"),
        ("http://127.0.0.1.example.test", "in clear"),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, hint: str) -> None:
    """A wrong URL is refused before anything is sent, and a password in it is not repeated."""
    with pytest.raises(ValueError, match=hint) as caught:
        Palette(url, api_key=Secret("k"))

    assert ":pw@" not in str(caught.value)


@pytest.mark.parametrize("key", ["", "k-y\n", " k-y", "k-y\r\nX-Other: 1", "schlüssel", "a\0b"])
def test_a_key_that_cannot_be_a_header_is_refused_without_being_shown(key: str) -> None:
    """A key with a line break from its file is the usual slip; the HTTP library would print it."""
    with pytest.raises(ValueError, match="the API key") as caught:
        Palette("https://api.spectrocloud.com", api_key=Secret(key))

    assert not key.strip() or key not in str(caught.value)


def test_an_authority_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    """The file is named before anything is sent."""
    with pytest.raises(ValueError, match=r"nothing\.pem"):
        Palette("https://palette.invalid", api_key=Secret("k"), authority=tmp_path / "nothing.pem")


@pytest.mark.parametrize("uid", ["", ".", ".."])
def test_a_uid_that_would_name_another_resource_is_refused(uid: str, client: Callable[..., Palette]) -> None:
    """Deleting an empty uid or one made of dots never becomes a request for something larger."""
    with pytest.raises(ValueError, match="must name one object"):
        client("https://palette.invalid").profiles.delete(uid)


def test_a_uid_is_one_segment_of_the_path(client: Callable[..., Palette]) -> None:
    """Slashes, blanks and question marks in a name stay within it."""
    with serving(answer({})) as server:
        client(server.url).profiles.pack("c", "a/../b c?d")

    assert server.requests[0].url == "/v1/clusterprofiles/c/packs/a%2F..%2Fb%20c%3Fd"


def test_threads_share_a_client(client: Callable[..., Palette]) -> None:
    """Several threads use one client at once, each over connections of its own."""
    with serving(answer({"metadata": {"uid": "h"}})) as server:
        palette = client(server.url)
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.extend(palette.edge_hosts.get("h").uid for _ in range(10)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert found == ["h"] * 40


@pytest.mark.parametrize("years", [-20, 0, 20])
def test_palettes_clock_is_known_whatever_this_machines_says(years: int, client: Callable[..., Palette]) -> None:
    """The Date of an answer tells Palette's time to about a second, so that events can be asked since then."""
    then = datetime.now(UTC) + timedelta(days=365 * years)
    with serving(answer({"items": []}, Date=format_datetime(then, usegmt=True))) as server:
        palette = client(server.url)
        assert palette.time() is None
        list(palette.projects.list())

        time = palette.time()

    assert time is not None
    assert abs(time - then) < timedelta(seconds=3)


def everything_about(error: BaseException) -> str:
    """Return all that a report could print of an exception: its text, its chain, and the variables of its frames."""
    parts = [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        waiting += [one.__cause__, one.__context__]
        parts.append(repr(vars(one)))
        trace = one.__traceback__
        while trace is not None:
            if "/palette/" in trace.tb_frame.f_code.co_filename and "tests" not in trace.tb_frame.f_code.co_filename:
                parts.append(repr(trace.tb_frame.f_locals))
            trace = trace.tb_next
    return "\n".join(parts)


@pytest.mark.parametrize(
    "trouble",
    [
        reset,
        silent,
        refuse(400, "Invalid", f"cannot read what was sent with {KEY}"),
        refuse(401, KEY, KEY),
        page(500, f"<html>{KEY}</html>".encode()),
        page(200, f"<html>{KEY}</html>".encode()),
    ],
)
def test_no_exception_shows_the_key_or_what_was_sent(
    trouble: Callable[[Request], None], client: Callable[..., Palette], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither text nor chain nor local variables nor debug logs of a failure hold the key or a protected password."""
    caplog.set_level(logging.DEBUG)
    password = Secret("pass-SECRET-word")
    values = OsLayer("r.test/i:1", ProviderCredentials("r.test", "u", password)).values()
    once = {"retry": RetryPolicy(attempts=1), "timeouts": Timeouts(answer=2.0)}
    with serving(trouble) as server, pytest.raises(PaletteError) as caught:
        client(server.url, **once).profiles.create("n", [Pack("p", values=values)])

    assert password.reveal() in server.requests[0].content.decode()
    told = everything_about(caught.value) + caplog.text
    assert KEY not in told
    assert "SECRET" not in told


def test_nothing_of_the_client_shows_the_key(client: Callable[..., Palette]) -> None:
    """The text of a client and its parts never holds a credential."""
    palette = client("https://palette.invalid").in_project_with("p")

    assert KEY not in repr(palette) + str(palette) + repr(palette.profiles) + repr(palette.scope.transport)
