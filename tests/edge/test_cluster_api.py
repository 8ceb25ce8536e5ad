"""What a cluster's Kubernetes API says of a repave is read from the published shapes; the API itself is a mock."""

from __future__ import annotations

import base64
import json
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bounded import LARGEST_ANSWER
from edge.cluster_api import ClusterApi, ClusterApiError, credentials_of
from harness.clusters import Cluster
from harness.in_kubernetes import FEATURE, Seen, look, seen_in_kubernetes, within
from protected import Secret
from registry.tls import Authority
from reports.leak_forms import Protected
from tests.edge.mock_cluster_api import IMAGE, POD, TOKEN, MockClusterApi, event, mocked, node, pod

FAILED = f'Failed to pull image "{IMAGE}": 401 Unauthorized'


@pytest.fixture
def mock() -> Iterator[MockClusterApi]:
    """Yield a mock of a cluster whose upgrade cannot pull its image."""
    api = MockClusterApi(
        nodes=[node("edge-1", cordoned=True), node("edge-2", ready=False)],
        pods=[pod(waiting="ImagePullBackOff", secrets=("provider-credentials",))],
        events=[
            event("Failed", FAILED, second=2, warning=True),
            event("Pulling", f'Pulling image "{IMAGE}"', second=1),
            event("Failed", "Error: ErrImagePull", second=3, warning=True),
            event("BackOff", "Back-off restarting failed container", second=4, warning=True),
            event("Pulled", "Container image already present", pod_name="coredns-1", second=5),
            event("Scheduled", "Successfully assigned", second=0),
        ],
    )
    with mocked(api) as listening:
        yield listening


@pytest.fixture
def cluster(mock: MockClusterApi, tmp_path: Path) -> Iterator[ClusterApi]:
    """Yield the mocked cluster's API."""
    with ClusterApi(mock.kubeconfig(), tmp_path) as api:
        yield api


def test_nodes_are_told_with_state_and_versions(cluster: ClusterApi) -> None:
    """A node says whether it is ready, whether it takes pods, and what runs on it."""
    first, second = cluster.nodes()

    assert (first.name, first.is_ready, first.takes_pods) == ("edge-1", True, False)
    assert str(first) == "node edge-1: Ready, cordoned, v1.30.5+k3s1, containerd://1.7.21-k3s2"
    assert (second.name, second.is_ready, second.takes_pods) == ("edge-2", False, True)


def test_an_upgrade_pod_says_with_what_it_pulls_and_what_it_waits_for(cluster: ClusterApi) -> None:
    """A pod of an upgrade plan names node, image, pull secrets and account, and why it waits."""
    (found,) = cluster.upgrade_pods()

    assert (found.name, found.node, found.images, found.service_account) == (POD, "edge-1", (IMAGE,), "system-upgrade")
    assert found.pull_secrets == ("provider-credentials",)
    assert found.cannot_pull
    assert "ImagePullBackOff: Back-off pulling image" in str(found)


def test_a_pod_that_waits_for_nothing_pulls_well(mock: MockClusterApi, tmp_path: Path) -> None:
    """A pod without pull secrets that waits for nothing is no failed pull."""
    mock.pods = [pod()]
    with ClusterApi(mock.kubeconfig(), tmp_path) as api:
        (found,) = api.upgrade_pods()

    assert not found.cannot_pull
    assert str(found).endswith("pull secrets: none")


def test_only_events_about_images_are_told_in_their_order(cluster: ClusterApi) -> None:
    """Events of pulls come in order of time with pod and node; what is not about an image is left out."""
    found = cluster.pull_events()

    assert [(each.reason, each.is_of_an_upgrade) for each in found] == [
        ("Pulling", True), ("Failed", True), ("Failed", True), ("Pulled", False),
    ]  # fmt: skip
    assert (found[1].message, found[1].node, found[1].is_warning) == (FAILED, "edge-1", True)


def test_long_lists_are_read_to_their_end(mock: MockClusterApi, tmp_path: Path) -> None:
    """What does not fit into one answer is asked for page by page."""
    mock.nodes = [node(f"edge-{number}") for number in range(7)]
    mock.page = 3
    with ClusterApi(mock.kubeconfig(), tmp_path) as api:
        assert [each.name for each in api.nodes()] == [f"edge-{number}" for number in range(7)]
    assert mock.asked == ["/api/v1/nodes"] * 3


@pytest.mark.parametrize(
    ("status", "token", "said"),
    [(0, "a-wrong-token", "answers 401"), (403, TOKEN, "answers 403"), (500, TOKEN, "answers 500")],
)
def test_a_refusal_is_one_line_without_the_credential(
    mock: MockClusterApi, tmp_path: Path, status: int, token: str, said: str
) -> None:
    """An API that refuses or fails is named with what it answered, and nothing of the kubeconfig is told."""
    mock.failing = status
    with ClusterApi(mock.kubeconfig(token=token), tmp_path) as api, pytest.raises(ClusterApiError) as refused:
        api.nodes()

    assert said in str(refused.value)
    assert f"127.0.0.1:{mock.port}" in str(refused.value)
    assert token not in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_api_that_is_away_or_somebody_elses_is_told(mock: MockClusterApi, tmp_path: Path) -> None:
    """Silence and a certificate that another authority issued end in one line each."""
    with ClusterApi(mock.kubeconfig(trusted=Authority().pem), tmp_path) as api:
        with pytest.raises(ClusterApiError, match="cannot be asked: SSLError"):
            api.nodes()
    mock.port = 9
    with ClusterApi(mock.kubeconfig(), tmp_path) as api, pytest.raises(ClusterApiError, match="cannot be asked: "):
        api.nodes()


@pytest.mark.parametrize(
    ("kubeconfig", "said"),
    [
        (Secret("no: kubeconfig"), "is no mapping with clusters"),
        (Secret("{"), "is no mapping with clusters"),
        (Secret("clusters: []\nusers: []\ncontexts: []\n"), "cannot be used: "),
    ],
)
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, kubeconfig: Secret, said: str) -> None:
    """A text that is no kubeconfig is refused, and not quoted."""
    with pytest.raises(ClusterApiError, match=said):
        ClusterApi(kubeconfig, tmp_path)


@pytest.mark.parametrize(
    "server", ["http://10.0.0.1:6443", "https://qa:s3cret@10.0.0.1", "https://h/\x1b[2J", "file:///x"]
)
def test_a_kubeconfig_with_another_kind_of_server_is_refused(tmp_path: Path, server: str) -> None:
    """No token travels in clear, and no message quotes a password that stands in a URL."""
    text = json.dumps({"clusters": [{"name": "c", "cluster": {"server": server}}], "users": [], "contexts": []})
    with pytest.raises(ClusterApiError, match=r"a server in it is not https://host\[:port\]$"):
        ClusterApi(Secret(text), tmp_path)


def test_the_credentials_in_a_kubeconfig_are_secrets_by_themselves() -> None:
    """A token or a key of it may leak without the rest."""
    key = base64.b64encode(b"-----BEGIN KEY-----").decode()
    users = [{"user": {"token": "t0ken"}}, {"user": {"password": "pass", "client-key-data": key}}, {"user": None}, 1]

    assert credentials_of(Secret(json.dumps({"users": users}))) == ["t0ken", "pass", "-----BEGIN KEY-----"]
    for text in ("", "[", "users: 1", "users: [{user: {client-key-data: 'a'}}]"):
        assert credentials_of(Secret(text)) == []


def test_a_kubeconfig_that_runs_a_program_is_refused(mock: MockClusterApi, tmp_path: Path) -> None:
    """A kubeconfig whose credential comes from a program is refused before that program runs on this machine."""
    ran = tmp_path / "ran"
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(ran)]}
    with pytest.raises(ClusterApiError, match="it runs a program for its credential"):
        ClusterApi(mock.kubeconfig(exec=program), tmp_path)

    assert not ran.exists()


@pytest.mark.parametrize("key", ["tokenFile", "client-certificate", "client-key"])
def test_a_kubeconfig_that_names_a_file_of_this_machine_is_refused(
    mock: MockClusterApi, tmp_path: Path, key: str
) -> None:
    """Palette's kubeconfig may not choose a file here whose content is sent to a server that it chose as well."""
    mine = tmp_path / "id_ed25519"
    mine.write_text("a key of the user's")
    with pytest.raises(ClusterApiError, match=rf"names files of this machine \({key}\)"):
        ClusterApi(mock.kubeconfig(**{key: str(mine)}), tmp_path)


@pytest.mark.parametrize(
    "text",
    ["clusters: 5", "clusters: [5]\nusers: [x]\n", "clusters: [{cluster: [x]}]\nusers: {user: 5}\n",
     "clusters: [{name: a, cluster: {server: [1]}}]\ncontexts: [{name: c, context: {cluster: a}}]\ncurrent-context: c"],
)  # fmt: skip
def test_a_kubeconfig_of_another_shape_is_one_line(tmp_path: Path, text: str) -> None:
    """No type in it leads to a traceback, neither when it is read nor when it is used."""
    with pytest.raises(ClusterApiError), ClusterApi(Secret(text), tmp_path) as api:
        api.nodes()


@pytest.mark.parametrize("odd", [{"metadata": 5}, {"status": {"conditions": [1]}}, {"metadata": {"name": [1]}}, {}])
def test_objects_of_another_shape_are_one_line(mock: MockClusterApi, tmp_path: Path, odd: dict[str, object]) -> None:
    """An answer that cannot be read is no traceback: the case is neither better nor worse."""
    mock.nodes = mock.pods = mock.events = [odd]
    with ClusterApi(mock.kubeconfig(), tmp_path) as api:
        for ask in (api.nodes, api.upgrade_pods, api.pull_events):
            with suppress(ClusterApiError):
                str(ask())


def test_an_answer_that_unpacks_to_more_than_the_largest_size_is_refused(mock: MockClusterApi, tmp_path: Path) -> None:
    """A few KiB of an odd API take no more memory here than the largest answer."""
    mock.padding = LARGEST_ANSWER + 1
    with ClusterApi(mock.kubeconfig(), tmp_path) as api, pytest.raises(ClusterApiError, match="AnswerTooLargeError"):
        api.nodes()


def test_the_credentials_that_palette_hands_out_are_searched_for(mock: MockClusterApi) -> None:
    """The token of a kubeconfig from Palette is a protected secret of the run, as one from the site file is."""
    clusters = SimpleNamespace(kubeconfig=lambda _uid: mock.kubeconfig().reveal().encode())
    site = SimpleNamespace(
        features={FEATURE}, file=SimpleNamespace(kubeconfig=None), project=SimpleNamespace(clusters=clusters)
    )
    protected: list[Protected] = []
    seen = seen_in_kubernetes(cast("Cluster", SimpleNamespace(site=site, uid="c")), protected)

    assert seen.events
    assert [known.secret.reveal() for known in protected] == [TOKEN]


def test_an_api_that_never_ends_is_given_up() -> None:
    """Pages that drip have a deadline together."""
    over = threading.Event()
    with pytest.raises(ClusterApiError, match=r"does not answer within 0\.05 s"):
        within(0.05, lambda: Seen() if over.wait(60) else Seen(()))
    over.set()


def test_evidence_has_nodes_pods_and_pulls_and_leaves_no_file(
    mock: MockClusterApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look gives errors as errors and pulls as moments of their node; of other pods only troubles; no file stays."""
    rooms = tmp_path / "rooms"
    rooms.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(rooms))
    seen = look(mock.kubeconfig())

    assert [(each.severity, each.reason) for each in seen.events] == [
        ("Info", "Node"), ("Error", "Node"), ("Error", "UpgradePod"),
        ("Info", "Pulling"), ("Error", "Failed"), ("Error", "Failed"),
    ]  # fmt: skip
    assert seen.events[4].message == f"pod {POD} on edge-1: {FAILED}"
    assert [(moment.lane, moment.host) for moment in seen.moments] == [("host", "edge-1")] * 3
    assert seen.moments[0].time == "2026-11-22T03:00:01.000Z"
    assert [*rooms.iterdir()] == []
