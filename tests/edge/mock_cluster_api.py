"""A MOCK of a Kubernetes API: fixed objects in the published shapes (core/v1 lists), over TLS, for one bearer token.

It is used in tests only, for what a real API cannot be made to answer; ``real_cluster.py`` has a real one. It pages as
the real one does, and checks the token; it knows nothing else.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from protected import Secret
from registry.tls import Authority
from tests.palette.servers import Request, serving

Json = dict[str, Any]
TOKEN = "t0ken-of-a-mock-cluster"
IMAGE = "10.0.0.5:5443/conformance/provider:v2"
POD = "apply-control-plan-on-edge-1-with-0a1b2c3d4e"


def node(name: str, *, ready: bool = True, cordoned: bool = False) -> Json:
    """Return a node."""
    info = {
        "kubeletVersion": "v1.30.5+k3s1", "containerRuntimeVersion": "containerd://1.7.21-k3s2",
        "osImage": "Ubuntu 22.04", "kernelVersion": "5.15", "architecture": "amd64", "bootID": "b",
        "kubeProxyVersion": "v1.30.5",
        "machineID": "m", "operatingSystem": "linux", "systemUUID": "s",
    }  # fmt: skip
    ready_is = {"type": "Ready", "status": "True" if ready else "False", "reason": "r", "message": "m"}
    return {
        "metadata": {"name": name},
        "spec": {"unschedulable": True} if cordoned else {},
        "status": {"conditions": [ready_is], "nodeInfo": info},
    }


def pod(name: str = POD, *, waiting: str = "", secrets: tuple[str, ...] = ()) -> Json:
    """Return a pod of the upgrade controller's, as its job makes it."""
    state = {"waiting": {"reason": waiting, "message": f'Back-off pulling image "{IMAGE}"'}} if waiting else {}
    status = {"name": "upgrade", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return {
        "metadata": {
            "name": name,
            "namespace": "spectro-task-0123",
            "labels": {"upgrade.cattle.io/plan": "control-plan"},
            "creationTimestamp": "2026-11-22T03:00:00Z",
        },
        "spec": {
            "nodeName": "edge-1",
            "serviceAccountName": "system-upgrade",
            "imagePullSecrets": [{"name": secret} for secret in secrets],
            "containers": [{"name": "upgrade", "image": IMAGE}],
        },
        "status": {"phase": "Pending", "containerStatuses": [status]},
    }


def event(reason: str, message: str, *, pod_name: str = POD, second: int = 0, warning: bool = False) -> Json:
    """Return an event of kubelet's about a pod."""
    return {
        "metadata": {"name": f"e{second}", "namespace": "spectro-task-0123"},
        "involvedObject": {"kind": "Pod", "name": pod_name, "namespace": "spectro-task-0123"},
        "reason": reason,
        "message": message,
        "type": "Warning" if warning else "Normal",
        "source": {"component": "kubelet", "host": "edge-1"},
        "lastTimestamp": f"2026-11-22T03:00:{second:02}Z",
    }


@dataclass
class MockClusterApi:
    """A mock of a cluster's Kubernetes API: what it holds, how many objects a page has, and a status to fail with."""

    nodes: list[Json] = field(default_factory=list)
    pods: list[Json] = field(default_factory=list)
    events: list[Json] = field(default_factory=list)
    page: int = 100
    failing: int = 0
    padding: int = 0
    asked: list[str] = field(default_factory=list)
    port: int = 0
    authority: Authority = field(default_factory=Authority)

    def kubeconfig(self, *, token: str = TOKEN, trusted: str | None = None, **user: Any) -> Secret:  # noqa: ANN401 - any
        """Return a kubeconfig of it, as Palette hands them out."""
        pem = base64.b64encode((trusted or self.authority.pem).encode()).decode()
        cluster = {"server": f"https://127.0.0.1:{self.port}", "certificate-authority-data": pem}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": user or {"token": token}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        return Secret(yaml.safe_dump(document))

    def answer(self, path: str, query: dict[str, list[str]], authorization: str) -> tuple[int, Json]:
        """Answer a request for a list."""
        self.asked.append(path)
        lists = {"/api/v1/nodes": self.nodes, "/api/v1/pods": self.pods, "/api/v1/events": self.events}
        if self.failing:
            return self.failing, {"kind": "Status", "message": "no", "code": self.failing}
        if authorization != f"Bearer {TOKEN}":
            return 401, {"kind": "Status", "message": "Unauthorized", "reason": "Unauthorized", "code": 401}
        if path not in lists:
            return 404, {"kind": "Status", "message": f"no {path} in this mock", "code": 404}
        begin = int(query.get("continue", ["0"])[0])
        end = begin + min(self.page, int(query.get("limit", ["500"])[0]))
        more = {"continue": str(end)} if end < len(lists[path]) else {}
        return 200, {"kind": "List", "apiVersion": "v1", "metadata": more, "items": lists[path][begin:end]}


@contextmanager
def mocked(api: MockClusterApi) -> Iterator[MockClusterApi]:
    """Run the mock on a free port of loopback."""

    def act(request: Request) -> None:
        asked = parse_qs(urlsplit(request.url).query)
        status, body = api.answer(request.path, asked, request.handler.headers.get("Authorization", ""))
        content, more = json.dumps(body).encode(), {}
        if api.padding:
            content, more = gzip.compress(content + b" " * api.padding, 1), {"Content_Encoding": "gzip"}
        request.send(status, content, Content_Type="application/json", **more)

    with serving(act, certificate=api.authority.issue("127.0.0.1")) as server:
        api.port = server.port
        yield api
