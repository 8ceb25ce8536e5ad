"""A lab whose clusters run a real Kubernetes: deployed, repaved by a pod whose image kubelet pulls, and asked."""

from __future__ import annotations

import base64
import http.server
import json
import re
import ssl
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
import trustme
import yaml
from kubernetes import client, config

from edge.cluster_api import ClusterApi
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.in_kubernetes import look
from lab.kubernetes import programs
from protected import Secret
from registry.server import Account
from tests.lab.ground import Ground, open_ground, running_lab
from tests.settling import settled
from tests.vectors.test_kubelet_keyring import DOCUMENT, FORMS, entry, logins

PASSWORD = "q\"u'o\\te$&<> é"


@pytest.fixture(scope="module")
def kubernetes(engine: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Yield a lab of one host whose cluster runs Kubernetes."""
    folder = programs.find()
    if folder is None:
        pytest.skip(programs.ABSENT)
    with running_lab(1, kubernetes=folder) as lab, open_ground(lab, engine, tmp_path_factory.mktemp("k8s")) as ground:
        yield ground


def kubeconfig(cluster: Cluster) -> str:
    """Return the kubeconfig that Palette has of a cluster."""
    return cluster.site.project.clusters.kubeconfig(cluster.uid).decode()


@contextmanager
def api_of(cluster: Cluster, area: Path) -> Iterator[ClusterApi]:
    """Yield the API of a cluster as evidence asks it."""
    with ClusterApi(Secret(kubeconfig(cluster)), area) as api:
        yield api


def administrator(cluster: Cluster) -> Any:  # noqa: ANN401 - CoreV1Api, which takes mappings although its types do not
    """Return the API of a cluster as its administrator uses it."""
    loaded = yaml.safe_load(kubeconfig(cluster))
    return client.CoreV1Api(config.new_client_from_config_dict(loaded))  # type: ignore[no-untyped-call] # as published


def test_a_repave_is_a_pod_whose_image_kubelet_pulls(kubernetes: Ground, tmp_path: Path) -> None:
    """The node is drained, kubelet pulls the provider image with the Secret's login, and the node is back then."""
    with kubernetes.registry.account(password=PASSWORD) as account:
        with kubernetes.site.deploy(kubernetes.layer(account)) as cluster:
            api = administrator(cluster)
            begin(api, "user")
            api.create_namespaced_pod("user", waiting_pod(cluster))
            cluster.repave(layer := kubernetes.layer(account))
            with api_of(cluster, tmp_path) as api:
                (node,) = api.nodes()
                (pod,) = api.upgrade_pods()
                pulled = [event.message for event in api.pull_events() if event.is_of_an_upgrade]
            secret = administrator(cluster).read_namespaced_secret("provider-credentials", pod.namespace)
            drained = administrator(cluster).list_namespaced_pod("user").items

        assert (node.is_ready, node.takes_pods, node.version) == (True, True, f"v{programs.KUBERNETES}")
        assert (pod.images, pod.pull_secrets, pod.phase) == ((layer.image,), ("provider-credentials",), "Succeeded")
        assert pod.name.startswith(f"apply-control-plan-on-{node.name}-with-")
        assert pod.namespace == f"spectro-task-{cluster.uid}"
        assert any(f'Successfully pulled image "{layer.image}"' in said for said in pulled)
        assert drained == []
    (login,) = json.loads(base64.b64decode(secret.data[".dockerconfigjson"]))["auths"].values()
    assert secret.type == "kubernetes.io/dockerconfigjson"
    assert (login["username"], login["password"]) == (account.username, PASSWORD)


def waiting_pod(cluster: Cluster) -> dict[str, object]:
    """Return a pod of a user that waits on the cluster's node."""
    container = {"name": "user", "image": "lab.example/pause:1", "imagePullPolicy": "Never"}
    node = cluster.host.uid
    spec = {"nodeName": node, "hostNetwork": True, "automountServiceAccountToken": False, "containers": [container]}
    return {"metadata": {"name": "of-a-user"}, "spec": spec}


def test_a_repave_that_cannot_pull_shows_in_the_cluster(kubernetes: Ground, tmp_path: Path) -> None:
    """The pod waits for its image, events have containerd's words, and the right login completes the repave."""
    with kubernetes.registry.account() as account:
        with kubernetes.site.deploy(kubernetes.layer(account)) as cluster:
            before = cluster.host.boot()
            cluster.begin_repave(kubernetes.layer(Account(account.username, "wrong")))
            cluster.fails(ErrorCause.LOGIN)
            with api_of(cluster, tmp_path) as api:
                assert settled(lambda: [pod.cannot_pull for pod in api.upgrade_pods()] == [True], 20)
            evidence = look(Secret(kubeconfig(cluster))).events
            assert cluster.host.boot() == before
            assert any(row.reason == "UpgradePod" and row.severity == "Error" for row in evidence)
            assert any("401 Unauthorized" in row.message for row in evidence if row.reason == "Failed"), evidence
            cluster.repave(kubernetes.layer(account))


#: A row of the table of docs/vectors.md: what a registry sees of a login, in each form of a pull secret.
_ROW = re.compile(r"^\| ((?:PW|UN)-\d+) \|[^|]*\| ([^|]+) \| ([^|]+) \|[^|]*\|$", re.MULTILINE)


@contextmanager
def recording(address: str) -> Iterator[tuple[str, str, dict[str, str | None]]]:
    """Run a registry that has no image. Yields its address, its authority, and the login presented for each name."""
    seen: dict[str, str | None] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            name = self.path.split("/")[2]
            seen[name] = self.headers["Authorization"] or seen.get(name)
            self.send_response(404 if self.headers["Authorization"] else 401)
            self.send_header("WWW-Authenticate", 'Basic realm="none"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Write no log."""

    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(address).configure_cert(context)
    with http.server.ThreadingHTTPServer((address, 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{address}:{server.server_port}", authority.cert_pem.bytes().decode(), seen
        server.shutdown()


def shown(login: tuple[bytes, bytes], name: str, seen: dict[str, str | None]) -> str:
    """Return what a registry saw of a login, in the words of the table."""
    if name not in seen:
        return "nothing is asked"
    if (presented := seen[name]) is None:
        return "no login"
    username, _, password = base64.b64decode(presented.removeprefix("Basic ")).partition(b":")
    same = b":".join((username, password)) == b":".join(login)
    words = (text.decode().encode("unicode_escape").decode() for text in (username, password))
    return "arrives" if same else "arrives as `{}` with `{}`".format(*words)


def test_a_registry_sees_what_the_table_of_logins_has(kubernetes: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every vector goes from a Secret through kubelet and containerd; each one without a row arrives as it is."""
    monkeypatch.setattr("http.client._MAXLINE", 1 << 20)  # for a password of 64 KiB
    wanted = {f"{name.lower()}-{form.split()[0]}": (name, form) for name in logins() for form in FORMS}
    with kubernetes.registry.account() as account, kubernetes.site.deploy(kubernetes.layer(account)) as cluster:
        with recording(str(kubernetes.registry.address).partition(":")[0]) as (registry, authority, seen):
            trust(cluster, registry, authority)
            begin(api := administrator(cluster), "logins")
            auths = {f"{registry}/{key}": entry(logins()[name], form) for key, (name, form) in wanted.items()}
            document = json.dumps({"auths": auths}, ensure_ascii=False).encode("utf-8", "surrogateescape")
            data = {".dockerconfigjson": base64.b64encode(document).decode()}
            secret = {"metadata": {"name": "logins"}, "type": "kubernetes.io/dockerconfigjson", "data": data}
            api.create_namespaced_secret("logins", secret)
            api.create_namespaced_pod("logins", pulling(cluster, registry, wanted))
            assert settled(lambda: all(map(has_tried, api.list_namespaced_pod("logins").items)), 120)
    found: dict[str, dict[str, str]] = {name: {} for name in logins()}
    for key, (name, form) in wanted.items():
        found[name][form] = shown(logins()[name], key, seen)
    rows = {name: dict(zip(FORMS, row, strict=True)) for name, *row in _ROW.findall(DOCUMENT.read_text())}
    assert found == {name: dict.fromkeys(FORMS, "arrives") for name in logins()} | rows


def trust(cluster: Cluster, registry: str, authority: str) -> None:
    """Have the cluster's host trust a registry."""
    folder, hosts = f"/etc/containerd/certs.d/{registry}", f'server = "https://{registry}"\nca = "ca.crt"\n'
    for file, text in (("ca.crt", authority), ("hosts.toml", hosts)):
        cluster.host.run(f"mkdir -p {folder} && echo {b64(text)} | base64 -d > {folder}/{file}")


def begin(api: Any, space: str) -> None:  # noqa: ANN401 - CoreV1Api
    """Create a namespace with the account that pods need."""
    api.create_namespace({"metadata": {"name": space}})
    api.create_namespaced_service_account(space, {"metadata": {"name": "default"}})


def b64(text: str) -> str:
    """Return a text as base64; of a vector that is no text its bytes."""
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def pulling(cluster: Cluster, registry: str, names: Iterable[str]) -> dict[str, object]:
    """Return a pod with a container for each of these images."""
    containers = [{"name": name, "image": f"{registry}/{name}:1"} for name in names]
    spec = {"nodeName": cluster.host.uid, "hostNetwork": True, "automountServiceAccountToken": False}
    more = {"containers": containers, "imagePullSecrets": [{"name": "logins"}]}
    return {"metadata": {"name": "all"}, "spec": {**spec, **more}}


def has_tried(pod: Any) -> bool:  # noqa: ANN401 - V1Pod
    """Return whether the pull of every image was tried."""
    waiting = [each.state.waiting for each in pod.status.container_statuses or () if each.state.waiting]
    tried = [each for each in waiting if each.reason in {"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}]
    return len(tried) == len(pod.spec.containers)
