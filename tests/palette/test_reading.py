"""Lists, events and objects as they come from a server that is larger, newer or sloppier than its description."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from palette import Palette
from palette.errors import NotPaletteError
from palette.reading import moment
from palette.searching import Filter
from tests.palette.servers import Request, answer, in_turn, page, serving

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)


def paged(everything: list[Any]) -> Callable[[Request], None]:
    """Serve a list in pages as Palette does: at most 50, with a token for the rest."""

    def act(request: Request) -> None:
        start, size = int(request.query.get("continue") or 0), min(int(request.query.get("limit", 50)), 50)
        rest = start + size < len(everything)
        meta = {"continue": str(start + size) if rest else "", "count": len(everything), "limit": size}
        answer({"items": everything[start : start + size], "listmeta": meta})(request)

    return act


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 1), (50, 1), (51, 2), (120, 3)])
def test_all_pages_are_read(count: int, requests: int, client: Callable[..., Palette]) -> None:
    """A list of any length comes complete and in order, fifty at a time."""
    hosts = [{"metadata": {"uid": f"h{number}"}} for number in range(count)]
    with serving(paged(hosts)) as server:
        found = [host.uid for host in client(server.url).edge_hosts.search()]

    assert found == [f"h{number}" for number in range(count)]
    assert len(server.requests) == requests


def test_a_list_is_read_no_further_than_it_is_used(client: Callable[..., Palette]) -> None:
    """Looking at the first item asks for the first page only."""
    with serving(paged([{"metadata": {"uid": str(number)}} for number in range(120)])) as server:
        next(client(server.url).edge_hosts.search())

    assert len(server.requests) == 1


def test_the_filter_goes_with_every_page(client: Callable[..., Palette]) -> None:
    """The same search is sent for each page; only the token changes."""
    with serving(paged([{}] * 60)) as server:
        list(client(server.url).edge_hosts.search(Filter("state", ("ready",))))

    first, second = server.requests
    assert first.body == second.body
    assert "continue" not in first.query
    assert second.query["continue"] == "50"


def test_pages_that_never_end_are_an_error(client: Callable[..., Palette]) -> None:
    """A token that comes twice is reported instead of being followed for ever."""
    with (
        serving(answer({"items": [{}], "listmeta": {"continue": "same"}})) as server,
        pytest.raises(NotPaletteError, match="a token came twice"),
    ):
        list(client(server.url).edge_hosts.search())

    assert len(server.requests) == 2


def event(number: int, minutes: float, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Make an event of so many minutes after the beginning."""
    at = (BEGIN + timedelta(minutes=minutes)).isoformat()
    return {"metadata": {"uid": f"e{number}", "creationTimestamp": at}, "message": f"m{number}", **more}


def test_events_since_a_moment_stop_at_the_first_older_page(client: Callable[..., Palette]) -> None:
    """Newest first, only what is not older than the moment, without reading the whole history."""
    with serving(paged([event(number, -number) for number in range(1000)])) as server:
        since = BEGIN - timedelta(minutes=60)
        found = [event.uid for event in client(server.url).events.of_cluster("c", since=since)]

    assert found == [f"e{number}" for number in range(61)]
    assert len(server.requests) == 3
    assert server.requests[0].query["orderBy"] == "metadata.creationTimestamp=-1"


def test_events_that_move_between_pages_are_given_once(client: Callable[..., Palette]) -> None:
    """An event that arrives while pages are read shifts the others; nothing is told twice."""
    first = {"items": [event(2, 2), event(1, 1)], "listmeta": {"continue": "2"}}
    second = {"items": [event(1, 1), event(0, 0)], "listmeta": {"continue": ""}}
    with serving(in_turn(answer(first), answer(second))) as server:
        assert [event.uid for event in client(server.url).events.of_cluster("c")] == ["e2", "e1", "e0"]


def test_events_without_uid_or_time_are_kept(client: Callable[..., Palette]) -> None:
    """Evidence is never dropped for being incomplete."""
    items = [{"message": "a"}, {"message": "b"}, event(1, 5, metadata={"uid": "x", "creationTimestamp": "soon"})]
    with serving(answer({"items": items})) as server:
        found = list(client(server.url).events.of_edge_host("h", since=BEGIN))

    assert [event.message for event in found] == ["a", "b", "m1"]
    assert "no time" in str(found[0])


@pytest.mark.parametrize("items", [None, {}, "text", 5])
def test_a_list_of_another_type_is_empty(items: object, client: Callable[..., Palette]) -> None:
    """Go writes an empty list as null; nothing else breaks the reader either."""
    with serving(answer({"items": items, "listmeta": None})) as server:
        assert list(client(server.url).edge_hosts.search()) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"metadata": None, "spec": None, "status": None},
        {"metadata": [], "spec": "x", "status": 5},
        {"spec": {"published": {"packs": [None, 5, {}]}}, "status": {"inUseClusters": [None]}},
        {"newThing": {"a": 1}, "spec": {"newer": []}},
    ],
)
def test_unknown_and_missing_fields_do_not_break_reading(body: dict[str, Any], client: Callable[..., Palette]) -> None:
    """Every read of one object survives fields that are missing, null, new or of another type."""
    with serving(answer(body)) as server:
        palette = client(server.url)
        for read in (
            palette.profiles.get,
            palette.clusters.get,
            palette.clusters.overview,
            palette.clusters.repave,
            palette.cloud_configs.get,
            palette.edge_hosts.get,
        ):
            assert read("u") is not None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-22T00:00:00.000Z", BEGIN),
        ("2026-11-22T00:00:00Z", BEGIN),
        ("2026-11-22T02:00:00+02:00", BEGIN),
        ("2026-11-22T00:00:00.000000000Z", BEGIN),
        ("2026-11-22T00:00:00", BEGIN),
        ("0001-01-01T00:00:00.000Z", None),
        ("yesterday", None),
        ("", None),
        (5, None),
        (None, None),
    ],
)
def test_times_are_read_as_utc(written: object, expected: datetime | None) -> None:
    """Every spelling of a time is one moment; Go's zero time and nonsense are none."""
    assert moment({"at": written}, "at") == expected


KUBECONFIG = b"apiVersion: v1\nkind: Config\n"


@pytest.mark.parametrize("content", [KUBECONFIG, base64.b64encode(KUBECONFIG), base64.b64encode(KUBECONFIG) + b"\n"])
def test_a_kubeconfig_comes_in_clear(content: bytes, client: Callable[..., Palette]) -> None:
    """Some versions wrap the file in base64; the caller never sees that."""
    with serving(page(200, content, "application/octet-stream")) as server:
        assert client(server.url).clusters.kubeconfig("c") == KUBECONFIG


def test_gzipped_answers_are_read(client: Callable[..., Palette]) -> None:
    """A compressing proxy between does not matter."""
    import gzip  # noqa: PLC0415 - only this test needs it

    content = gzip.compress(b'{"metadata": {"uid": "h"}}')
    with serving(lambda request: request.send(200, content, Content_Encoding="gzip")) as server:
        assert client(server.url).edge_hosts.get("h").uid == "h"


def test_labels_are_changed_one_by_one(client: Callable[..., Palette]) -> None:
    """Adding and removing a label keeps the others and the name, since Palette replaces all of them."""
    host = {"metadata": {"uid": "h", "name": "edge-1", "labels": {"keep": "1", "drop": "2"}}}
    with serving(in_turn(answer(host), answer(), answer(host))) as server:
        client(server.url).edge_hosts.update_labels("h", {"add": "3"}, remove=("drop",))

    assert server.requests[1].body == {"metadata": {"uid": "h", "name": "edge-1", "labels": {"keep": "1", "add": "3"}}}


def test_unchanged_labels_are_not_written(client: Callable[..., Palette]) -> None:
    """Setting what is set sends nothing."""
    with serving(answer({"metadata": {"uid": "h", "labels": {"a": "1"}}})) as server:
        client(server.url).edge_hosts.update_labels("h", {"a": "1"})

    assert {request.method for request in server.requests} == {"GET"}


def test_an_unfinished_profile_version_is_deleted_again(client: Callable[..., Palette]) -> None:
    """When a new version cannot be published, nothing of it stays."""
    origin = answer({"metadata": {"uid": "o", "name": "n"}, "spec": {"published": {"packs": [{"name": "os"}]}}})
    refused = answer({"code": "Invalid", "message": "values"}, 422)
    with (
        serving(in_turn(origin, answer({"uid": "made"}, 201), refused, answer())) as server,
        pytest.raises(Exception, match="Invalid"),
    ):
        client(server.url).profiles.new_version("o", "1.1.0", {"os": "a: 1\n"})

    assert server.asked[-1] == "DELETE /v1/clusterprofiles/made"


def test_a_new_version_of_an_unknown_pack_is_refused_before_anything_is_made(client: Callable[..., Palette]) -> None:
    """A misspelled pack name is named with those there are."""
    origin = answer({"metadata": {"name": "n"}, "spec": {"published": {"packs": [{"name": "edge-native-byoi"}]}}})
    with serving(origin) as server, pytest.raises(LookupError, match="no pack byoi; it has edge-native-byoi"):
        client(server.url).profiles.new_version("o", "1.1.0", {"byoi": ""})

    assert len(server.requests) == 1


def test_a_search_wants_every_filter_to_pass(client: Callable[..., Palette]) -> None:
    """Filters are joined with "and", the values of one filter with "or", as the dashboard's search spells it."""
    with serving(answer({"items": []})) as server:
        list(client(server.url).edge_hosts.search(Filter("state", ("ready", "in-use")), Filter("tags", ("a:b",))))

    group = server.requests[0].body["filter"]["filterGroups"][0]
    assert group["conjunction"] == "and"
    assert [one["property"] for one in group["filters"]] == ["state", "tags"]
    assert group["filters"][0]["condition"]["string"]["match"] == {"conjunction": "or", "values": ["ready", "in-use"]}


def test_a_search_for_everything_has_no_filter(client: Callable[..., Palette]) -> None:
    """Without filters the body is still the described one."""
    with serving(answer({"items": []})) as server:
        list(client(server.url).edge_hosts.search())

    assert server.requests[0].body == {"filter": {"conjunction": "and", "filterGroups": []}, "sort": []}
