"""Lists: pages of at most 50, stable while things happen, sorted, filtered, cut to fields."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab_palette.api import Api, ApiRefusedError
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent


def event(number: int, severity: str = "Normal") -> dict[str, Any]:
    """Write a report of an event."""
    return {"kind": "event", "severity": severity, "reason": f"Reason{number}", "message": f"event {number}"}


@pytest.fixture
def chatty(api: Api, palette_lab: PaletteLab) -> tuple[str, ScriptedAgent]:
    """Deploy a cluster whose host told 120 events; give the path of its events and the agent."""
    agent = palette_lab.agent("edge-1")
    agent.register()
    cluster = api.deploy(api.make_profile(), "edge-1")
    agent.report(*(event(number, "Error" if number % 10 == 0 else "Normal") for number in range(120)))
    return f"/v1/events/components/spectrocluster/{cluster}", agent


def test_events_come_in_pages_of_fifty(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """Asking for more gives 50 all the same; the token leads through all pages, the last of which has none."""
    path, _agent = chatty
    sizes, token, items = [], "", []
    for _page in range(3):
        page = api.get(path, params={"limit": 500, "continue": token})
        token = page["listmeta"]["continue"]
        sizes.append(len(page["items"]))
        items += page["items"]
        assert page["listmeta"]["count"] == 122  # two are Palette's own
    assert sizes == [50, 50, 22]
    assert token == ""
    assert [item["message"] for item in items[:120]] == [f"event {number}" for number in reversed(range(120))]


def test_a_page_is_not_moved_by_new_events(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """What happens between two pages neither repeats nor hides an event."""
    path, agent = chatty
    first = api.get(path)
    agent.report(*(event(number) for number in range(1000, 1030)))
    second = api.get(path, params={"continue": first["listmeta"]["continue"]})
    messages = [item["message"] for item in first["items"] + second["items"]]
    assert messages == [f"event {number}" for number in range(119, 19, -1)]


def test_the_newest_thousand_events_are_kept(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """Older events of an object go when there are more than 1,000."""
    path, agent = chatty
    agent.report(*(event(number) for number in range(1000, 2100)))
    items = api.events(path.rpartition("/")[2])
    assert len(items) == 1000
    assert (items[0]["message"], items[-1]["message"]) == ("event 2099", "event 1100")


def test_events_are_ordered_filtered_and_cut(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """``orderBy``, ``filters`` and ``fields`` work as the API documentation writes them."""
    path, _agent = chatty
    params = {"orderBy": "reason=1", "filters": "severity=ErrorANDsource.host=edge-1", "fields": "reason,source.host"}
    page = api.get(path, params=params)
    assert page["listmeta"]["count"] == 12
    first = page["items"][0]
    assert first == {"reason": "Reason0", "source": {"host": "edge-1"}, "metadata": {"uid": first["metadata"]["uid"]}}
    assert [item["reason"] for item in page["items"][1:3]] == ["Reason10", "Reason100"]
    params = {"filters": "reason=Reason7ORreason=Reason8", "orderBy": "metadata.creationTimestamp=1"}
    assert [item["reason"] for item in api.get(path, params=params)["items"]] == ["Reason7", "Reason8"]


def test_events_of_a_host_are_apart(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """An Edge host has events of its own, its registration first."""
    api.get(chatty[0])
    events = api.events("edge-1", kind="edgehost")
    assert (len(events), events[-1]["reason"]) == (121, "EdgeHostRegistered")
    assert events[0]["relatedObject"] == {"kind": "edgehost", "name": "edge-1", "uid": "edge-1"}


def test_events_can_be_cleared(api: Api, chatty: tuple[str, ScriptedAgent]) -> None:
    """DELETE forgets an object's events."""
    api.call("DELETE", chatty[0])
    assert api.get(chatty[0])["items"] == []


@pytest.mark.parametrize(
    "params",
    [{"limit": "-1"}, {"limit": "x"}, {"offset": "1.5"}, {"continue": "rubbish"}, {"filters": "="}, {"orderBy": "a=2"}],
)
def test_a_wrong_page_is_refused(api: Api, chatty: tuple[str, ScriptedAgent], params: dict[str, str]) -> None:
    """A parameter that means nothing is refused by its name."""
    with pytest.raises(ApiRefusedError, match=f"query parameter {next(iter(params))}") as refused:
        api.get(chatty[0], params=params)
    assert refused.value.status == 400


def test_other_lists_are_paged_too(api: Api) -> None:
    """Sixty profiles make two pages; ``limit`` and ``offset`` are honoured."""
    for number in range(60):
        api.make_profile(version=f"1.0.{number}")
    path = "/v1/dashboard/clusterprofiles"
    first = api.call("POST", path, {})
    second = api.call("POST", f"{path}?continue={first['listmeta']['continue']}", {})
    assert (len(first["items"]), len(second["items"])) == (50, 10)
    some = api.call("POST", f"{path}?limit=3&offset=58", {"sort": [{"field": "creationTimestamp", "order": "asc"}]})
    assert [item["specSummary"]["version"] for item in some["items"]] == ["1.0.58", "1.0.59"]
