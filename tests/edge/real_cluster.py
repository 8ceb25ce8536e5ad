"""A real Kubernetes API on loopback: etcd and kube-apiserver, with a node, an upgrade that cannot pull, and its events.

No kubelet runs: what kubelet and the upgrade controller would write is written here, through the API, which checks it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from engine.children import environment
from lab.kubernetes.control_plane import ControlPlane
from lab.kubernetes.pki import ClusterPki
from tests.edge.mock_cluster_api import IMAGE, POD, event, node, pod

READY = 60.0  # seconds; two on an idle machine
SPACE = "spectro-task-0123"
Json = dict[str, Any]


@dataclass(frozen=True)
class RealCluster:
    """A running API server, and the authority of its cluster."""

    plane: ControlPlane
    pki: ClusterPki
    session: requests.Session

    def write(self, method: str, path: str, document: Json) -> Json:
        """Send an object; return the API's answer. Raises requests.HTTPError."""
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        url = f"{self.plane.server}/api/v1/{path}"
        answer = self.session.request(method, url, json=document, headers={"Content-Type": kind}, timeout=20)
        answer.raise_for_status()
        found: Json = answer.json()
        return found

    def kubeconfig(self, **options: Any) -> str:  # noqa: ANN401 - ClusterPki.kubeconfig's
        """Return a kubeconfig of this cluster."""
        return self.pki.kubeconfig(self.plane.server, **options)


@contextmanager
def real_cluster(programs: Path, area: Path) -> Iterator[RealCluster]:
    """Run a control plane for the time of the context, at an address of loopback that only this process uses."""
    pid = os.getpid()
    address = f"127.{64 + (pid >> 16) % 64}.{pid >> 8 & 255}.{pid & 255}"
    plane, pki = ControlPlane(programs, area, address, address), ClusterPki()
    for name, text in pki.server_files(address).items():
        (area / name).write_text(text)
    with ExitStack() as stack:
        for command in (plane.etcd(), plane.api_server()):
            stack.enter_context(_running(command, area))
        session = stack.enter_context(requests.Session())
        (area / "admin.pem").write_bytes(b"".join(pki.user()))
        session.trust_env, session.verify, session.cert = False, str(area / "ca.crt"), str(area / "admin.pem")
        _ready(session, plane, area)
        yield RealCluster(plane, pki, session)


@contextmanager
def _running(command: list[str], area: Path) -> Iterator[None]:
    log = area / f"{Path(command[0]).name}.log"
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file, env=environment()) as process:
        try:
            yield
        finally:
            process.kill()


def _ready(session: requests.Session, plane: ControlPlane, area: Path) -> None:
    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        try:
            if session.get(f"{plane.server}/readyz", timeout=5).ok:
                return
        except requests.ConnectionError:
            pass  # it does not listen yet
        time.sleep(0.05)
    said = (area / "kube-apiserver.log").read_text().splitlines()[-3:]
    raise AssertionError(f"kube-apiserver is not ready after {READY:g} s: {said}")


def fill(cluster: RealCluster) -> None:
    """Write two nodes, a pod of an upgrade that cannot pull its image, its pull secret, and the events of its pull."""
    for each in (node("edge-1", cordoned=True), node("edge-2", ready=False)):
        cluster.write("POST", "nodes", each)
        cluster.write("PATCH", f"nodes/{each['metadata']['name']}/status", {"status": each["status"]})
    cluster.write("POST", "namespaces", {"metadata": {"name": SPACE}})
    upgrade = _of_space(pod(waiting="ImagePullBackOff", secrets=("provider-credentials",)))
    for kind, document in (
        ("serviceaccounts", {"metadata": {"name": "system-upgrade"}}),
        ("secrets", _pull_secret()),
        ("pods", upgrade),
        ("events", event("Failed", f'Failed to pull image "{IMAGE}": 401 Unauthorized', second=2, warning=True)),
        ("events", event("Pulling", f'Pulling image "{IMAGE}"', second=1)),
        ("events", event("BackOff", "Back-off restarting failed container", second=4, warning=True)),
    ):
        cluster.write("POST", f"namespaces/{SPACE}/{kind}", _of_space(document))
    cluster.write("PATCH", f"namespaces/{SPACE}/pods/{POD}/status", {"status": upgrade["status"]})


def _pull_secret() -> Json:
    login = '{"auths": {"10.0.0.5:5443": {"username": "u", "password": "p"}}}'
    named = {"metadata": {"name": "provider-credentials"}, "type": "kubernetes.io/dockerconfigjson"}
    return {**named, "stringData": {".dockerconfigjson": login}}


def _of_space(document: Json) -> Json:
    for reference in (document["metadata"], document.get("involvedObject", {})):
        reference["namespace"] = SPACE
    return document
