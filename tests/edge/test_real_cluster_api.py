"""What is read of a cluster's Kubernetes API is read of a real one, where its programs are present."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge import cluster_api
from edge.cluster_api import ClusterApi, ClusterApiError
from harness.in_kubernetes import look
from lab.kubernetes import programs
from lab.kubernetes.pki import ClusterPki
from protected import Secret
from tests.edge.mock_cluster_api import IMAGE, POD
from tests.edge.real_cluster import SPACE, RealCluster, fill, real_cluster
from tests.vectors.test_kubelet_keyring import entry, logins


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    """Yield a real API with a cordoned node, one that is not ready, and an upgrade that cannot pull."""
    folder = programs.find(("etcd", "kube-apiserver"))
    if folder is None:
        pytest.skip(programs.ABSENT)
    with real_cluster(folder, tmp_path_factory.mktemp("kubernetes")) as running:
        fill(running)
        yield running


@pytest.fixture
def api(cluster: RealCluster, tmp_path: Path) -> Iterator[ClusterApi]:
    """Yield our client of it."""
    with ClusterApi(Secret(cluster.kubeconfig()), tmp_path) as asked:
        yield asked


def test_a_real_api_tells_nodes_pods_and_events(api: ClusterApi) -> None:
    """Nodes, upgrade pods with their pull secrets, and events of pulls come from the real API as from the mock."""
    first, second = api.nodes()
    (upgrade,) = api.upgrade_pods()
    pulls = api.pull_events()

    assert (first.is_ready, first.takes_pods, second.is_ready, second.takes_pods) == (True, False, False, True)
    assert str(first) == "node edge-1: Ready, cordoned, v1.30.5+k3s1, containerd://1.7.21-k3s2"
    assert (upgrade.name, upgrade.node, upgrade.images) == (POD, "edge-1", (IMAGE,))
    assert (upgrade.pull_secrets, upgrade.service_account) == (("provider-credentials",), "system-upgrade")
    assert upgrade.cannot_pull
    assert [(each.reason, each.node, each.is_of_an_upgrade) for each in pulls] == [
        ("Pulling", "edge-1", True), ("Failed", "edge-1", True),
    ]  # fmt: skip


def test_a_real_api_is_read_page_by_page(api: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that does not fit into one answer is read to its end with the API's own continuation."""
    monkeypatch.setattr(cluster_api, "PAGE", 1)

    assert [each.name for each in api.nodes()] == ["edge-1", "edge-2"]


def test_evidence_of_a_real_api(cluster: RealCluster) -> None:
    """A look at a real API gives nodes, the upgrade's pod and its pulls; what is wrong is an error."""
    seen = look(Secret(cluster.kubeconfig()))

    assert [(each.severity, each.reason) for each in seen.events] == [
        ("Info", "Node"), ("Error", "Node"), ("Error", "UpgradePod"), ("Info", "Pulling"), ("Error", "Failed"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "said"),
    [({"lasts": timedelta(days=-1)}, "answers 401"), ({"name": "guest", "group": "guests"}, "answers 403")],
    ids=["expired", "no rights"],
)
def test_a_real_api_refuses(cluster: RealCluster, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    """A kubeconfig that has expired is answered 401, one without rights 403: one line each, without the credential."""
    with ClusterApi(Secret(cluster.kubeconfig(**options)), tmp_path) as asked, pytest.raises(ClusterApiError) as error:
        asked.nodes()

    assert said in str(error.value)
    assert cluster.plane.address in str(error.value)
    assert "\n" not in str(error.value)


def test_a_real_api_of_another_authority_is_not_asked(cluster: RealCluster, tmp_path: Path) -> None:
    """A kubeconfig with another cluster's authority ends in one line, before anything is sent."""
    other = ClusterPki().kubeconfig(cluster.plane.server)
    with ClusterApi(Secret(other), tmp_path) as asked, pytest.raises(ClusterApiError, match="cannot be asked: SSLErr"):
        asked.nodes()


@pytest.mark.parametrize(("content", "status"), [("the login of every vector", 201), ('{"auths": ', 422)])
def test_a_real_api_takes_a_pull_secret_that_is_json(cluster: RealCluster, content: str, status: int) -> None:
    """A pull secret with the login of every vector is kept byte for byte; one that is no JSON is refused."""
    if status == 201:
        entries = {name.lower(): entry(login, "auth") for name, login in logins().items()}
        content = json.dumps({"auths": entries}, ensure_ascii=False)
    given = base64.b64encode(content.encode()).decode()
    secret = {
        "metadata": {"generateName": "vectors-"},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": given},
    }
    url = f"{cluster.plane.server}/api/v1/namespaces/{SPACE}/secrets"
    answer = cluster.session.post(url, json=secret, timeout=20)

    assert answer.status_code == status, answer.text
    if status == 201:
        assert answer.json()["data"][".dockerconfigjson"] == given
