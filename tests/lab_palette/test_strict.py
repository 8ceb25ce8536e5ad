"""Strict mode: published rate limits, random trouble that repeats by seed, slow states, free texts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
import requests

from lab.palette import Settings, Strictness
from lab.palette.limits import RateLimits, Troubles, rate_of
from tests.lab_palette.api import Api, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import following


@pytest.mark.parametrize(
    ("path", "rate"),
    [
        ("/v1/clusterprofiles/x/packs", 50),
        ("/v1/spectroclusters", 50),
        ("/v1/spectroclusters/x/profiles", 50),
        ("/v1/spectroclusters/x/status", 10),
        ("/v1/events/components/edgehost/x", 50),
        ("/v1/cloudconfigs/edge-native/x", 50),
        ("/v1/edgehosts", 10),
        ("/v1/dashboard/edgehosts/search", 10),
    ],
)
def test_a_path_has_the_published_rate(path: str, rate: float) -> None:
    """Requests per second by parent resource, as the API documentation lists them."""
    assert rate_of(path)[1] == rate


def test_a_burst_is_admitted_and_then_the_rate() -> None:
    """Fifty at once, then ten per second, counted per address and per parent resource."""
    now = 0.0
    limits = RateLimits(lambda: now)
    admitted = [limits.admits("a", "/v1/edgehosts/x") for _ in range(60)]
    assert admitted == [True] * 50 + [False] * 10
    assert limits.admits("b", "/v1/edgehosts")
    assert limits.admits("a", "/v1/packs/search")
    now = 0.5
    assert [limits.admits("a", "/v1/edgehosts") for _ in range(6)] == [True] * 5 + [False]


def test_the_same_seed_draws_the_same_trouble() -> None:
    """Trouble is random by the share and repeatable by the seed."""
    strictness = Strictness(seed=7, share_429=0.1, share_5xx=0.1, share_resets=0.1)
    one, two = (Troubles(strictness) for _ in range(2))
    drawn = [one.next() for _ in range(1000)]
    assert drawn == [two.next() for _ in range(1000)]
    for trouble in ("too-many", "server-error", "reset"):
        assert 60 < drawn.count(trouble) < 140
    assert Troubles(Strictness()).next() is None


@pytest.mark.parametrize(("share", "statuses"), [({"share_429": 1.0}, 429), ({"share_5xx": 1.0}, 503)])
def test_trouble_is_answered_in_the_envelope(
    make_lab: Callable[..., PaletteLab], share: dict[str, float], statuses: int
) -> None:
    """A request that meets trouble did nothing, and says so in the error envelope."""
    api = make_lab(strictness=Strictness(**share)).client()  # type: ignore[arg-type]
    with api.session:
        answer = api.send("GET", "/v1/edgehosts")
        assert answer.status_code == statuses
        assert answer.json()["code"] in {"TooManyRequests", "ServiceUnavailable"}
        assert "Retry-After" not in answer.headers


def test_a_reset_breaks_the_connection(make_lab: Callable[..., PaletteLab]) -> None:
    """A connection that is reset gives no answer at all."""
    api = make_lab(strictness=Strictness(share_resets=1.0)).client()
    with api.session, pytest.raises(requests.ConnectionError):
        api.send("GET", "/v1/edgehosts")


def test_agents_have_no_trouble(make_lab: Callable[..., PaletteLab]) -> None:
    """Strictness is for clients of the published API; hosts register and report all the same."""
    lab = make_lab(strictness=Strictness(share_5xx=1.0))
    agent = lab.agent("edge-1")
    agent.register()
    agent.report({"kind": "heartbeat"})
    agent._session.close()


def test_too_many_requests_are_refused(make_lab: Callable[..., PaletteLab]) -> None:
    """The rate limits count when they are switched on."""
    api = make_lab(strictness=Strictness(rate_limits=True)).client()
    with api.session:
        statuses = list(itertools.islice(_until_refused(api), 5000))
    assert statuses[:50] == [200] * 50
    assert statuses[-1] == 429


def _until_refused(api: Api) -> Iterator[int]:
    status = 200
    while status == 200:
        status = api.send("GET", "/v1/edgehosts").status_code
        yield status


def test_a_state_shows_late(make_lab: Callable[..., PaletteLab]) -> None:
    """A cluster's new state takes the configured time to show."""
    lab = make_lab(strictness=Strictness(state_delay_s=2.0))
    api = lab.client()
    agent = lab.agent("edge-1")
    with api.session, following(agent):
        uid = api.deploy(api.make_profile(), "edge-1")
        eventually(lambda: "ClusterRunning" in api.reasons(uid), "running")
        assert api.state(uid) == "Provisioning"
        eventually(lambda: api.state(uid) == "Running", "shown")


def test_events_are_free_text(make_lab: Callable[..., PaletteLab]) -> None:
    """Nobody can rely on fixed reasons; the severity and the facts in the message stay."""
    lab = make_lab(strictness=Strictness(free_text_events=True))
    api: Api = lab.client()
    agent = lab.agent("edge-1")
    with api.session, following(agent):
        uid = api.deploy(api.make_profile(password="wrong"), "edge-1")
        eventually(lambda: "ReconcileError" in api.reasons(uid), "an error")
        (error,) = [event for event in api.events(uid) if event["severity"] == "Error"]
    assert "registry.test/edge:v1" in error["message"]


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        *((Strictness, wrong) for wrong in ({"share_429": 2}, {"share_5xx": -1}, {"state_delay_s": -1})),
        *((Settings, wrong) for wrong in ({"api_keys": ()}, {"api_keys": ("",)}, {"projects": (), "api_keys": ("k",)})),
    ],
)
def test_wrong_settings_are_refused(kind: Callable[..., object], wrong: dict[str, object]) -> None:
    """A share is from 0 to 1, a delay not negative, an endpoint has key and project; the message names the field."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        kind(**wrong)


def test_a_taken_port_is_reported(palette_lab: PaletteLab) -> None:
    """Starting on a port that is in use fails as an operating system error and leaves nothing behind."""
    from lab.palette import PaletteEndpoint, serving  # noqa: PLC0415 - used here only

    port = int(palette_lab.url.rpartition(":")[2])
    other = PaletteEndpoint(Settings(api_keys=("k",)))
    with pytest.raises(OSError, match="address already in use"), serving(other, port=port):
        pass
