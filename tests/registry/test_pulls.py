from __future__ import annotations

import dataclasses
import datetime as dt

import pytest

from registry.classify import ANONYMOUS, Presented
from registry.pulls import Mark, Pull, RequestLog, Target, changes, overlapping, printable

START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
INTACT = Presented("intact", "intact")
CHANGED = Presented("changed", "base64-decoded")
DIGEST = "sha256:" + "0" * 64


def pull(presented: Presented = INTACT, host: str = "edge-1", at: float = 0.0, **more: object) -> Pull:
    """Make one."""
    base = Pull(
        at=START + dt.timedelta(seconds=at),
        client=f"address of {host}",
        host=host,
        user_agent="containerd/1.6.20",
        method="GET",
        action="manifest",
        repository="a/b",
        reference="v1",
        presented=presented,
        seconds=0.1,
    )
    return dataclasses.replace(base, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/v2/", Target("check")),
        ("/v2", Target("check")),
        ("/v2/?account=edge", Target("check")),
        ("/v2/a/manifests/v1", Target("manifest", "a", "v1")),
        (f"/v2/a/b/c/manifests/{DIGEST}", Target("manifest", "a/b/c", DIGEST)),
        (f"/v2/a/b/blobs/{DIGEST}", Target("blob", "a/b", DIGEST)),
        ("/v2/a/b/blobs/uploads/", Target("upload", "a/b")),
        ("/v2/a/b/blobs/uploads/0-0-0?_state=x", Target("upload", "a/b")),
        ("/v2/a/b/tags/list?n=3", Target("tags", "a/b", "list")),
        ("/v2/_catalog", Target("other")),
        ("/token", Target("other")),
        ("/v2/a/manifests/manifests/v1", Target("manifest", "a/manifests", "v1")),
        ("*", Target("other")),
        ("", Target("other")),
    ],
)
def test_a_path_says_what_is_asked_for(path: str, target: Target) -> None:
    """The endpoints of the registry API are told apart; anything else is 'other'."""
    assert Target.of(path) == target


def test_a_long_path_does_not_fill_the_journal() -> None:
    """Names of any length are cut."""
    assert len(Target.of(f"/v2/{'a' * 9000}/manifests/{'b' * 9000}").repository) < 300


def test_what_a_client_calls_itself_cannot_harm_a_report() -> None:
    """Control characters and anything beyond ASCII are replaced."""
    assert printable("go\x1b[31m\n\u202eé") == "go?[31m???"


def test_a_first_anonymous_request_is_no_change_when_a_credential_follows() -> None:
    """Pullers ask without a credential first; that counts only where none ever came."""
    assert changes([pull(ANONYMOUS), pull(INTACT, at=1)]) == []
    assert changes([pull(INTACT), pull(ANONYMOUS, at=1)]) == []


def test_a_client_that_never_presents_anything_is_a_change() -> None:
    """An empty password taken for 'anonymous' is found: once per client and phase."""
    first, other_host = pull(ANONYMOUS), pull(ANONYMOUS, host="edge-2", at=2)

    assert changes([first, pull(ANONYMOUS, at=1), other_host, pull(INTACT, host="edge-3")]) == [first, other_host]


def test_a_phase_with_a_credential_does_not_excuse_one_without() -> None:
    """Anonymous at repave is a change even though the same host presented its credential at deployment."""
    deploy, repave = Mark("deploy"), Mark("repave")
    silent = pull(ANONYMOUS, at=9, mark=repave)

    assert changes([pull(ANONYMOUS, mark=deploy), pull(INTACT, mark=deploy), silent]) == [silent]


def test_every_changed_pull_is_listed() -> None:
    """A host that presents something else each time is listed each time."""
    wrong = [pull(CHANGED, at=number) for number in range(3)]

    assert changes([pull(INTACT), *wrong]) == wrong


def test_hosts_that_pull_one_after_the_other_do_not_overlap() -> None:
    """Requests close together are one pull of an image; what another host pulls after it is not."""
    first = [pull(at=number / 2) for number in range(4)]
    second = [pull(host="edge-2", at=5 + number / 2) for number in range(4)]

    assert overlapping([*first, *second]) == []


def test_hosts_that_pull_at_the_same_time_overlap() -> None:
    """A request of another host between two close requests of the first one is a pull at the same time."""
    first = [pull(at=number / 2) for number in range(4)]
    second = pull(host="edge-2", at=0.7)

    assert overlapping([*first, second]) == [(first[0], second)]


def test_a_mark_belongs_to_its_hosts_and_to_its_time() -> None:
    """Marks of single hosts win over the general one, and the ones before come back."""
    journal = RequestLog()
    journal.begin(Mark("idle"))
    with journal.marked(Mark("repave", "c1"), ["edge-1"]):
        inside = (journal.mark_of("edge-1"), journal.mark_of("edge-2"))
        with journal.marked(Mark("deploy", "c2")):
            both = (journal.mark_of("edge-1"), journal.mark_of("edge-2"))

    assert inside == (Mark("repave", "c1"), Mark("idle"))
    assert both == (Mark("repave", "c1"), Mark("deploy", "c2"))
    assert journal.mark_of("edge-1") == Mark("idle")


def test_an_address_that_moves_to_another_host_is_followed() -> None:
    """Later knowledge about an address wins; unknown ones are no host."""
    journal = RequestLog()
    journal.know_hosts({"10.0.0.1": "edge-1"})
    journal.know_hosts({"10.0.0.1": "edge-2"})

    assert (journal.host_at("10.0.0.1"), journal.host_at("10.0.0.9")) == ("edge-2", "")


def test_a_request_that_is_over_is_read_once() -> None:
    """Runs ask for all pulls again and again: what is over is not copied each time, what goes on is."""
    journal = RequestLog()
    running = journal.open(pull())
    assert journal.pulls()[0] is not journal.pulls()[0]

    running.status = 200
    running.finish()
    assert journal.pulls()[0] is journal.pulls()[0]
    assert journal.pulls()[0].status == 200
