"""How an agent asks its cluster's API: over a connection that is kept for as long as the server keeps it."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.agent import kubernetes, kubernetes_api
from lab.kubernetes.pki import ClusterPki


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers two questions on a connection, and ends it without a word at the third."""

    protocol_version = "HTTP/1.1"
    connections = 0

    def setup(self) -> None:
        """Count the connection."""
        super().setup()
        type(self).connections += 1
        self.asked = 0

    def do_GET(self) -> None:
        """Answer, or go."""
        self.asked += 1
        if self.asked > 2:
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Answers]]:
    """Yield the handler of the server that the agent's kubeconfig names."""
    pki = ClusterPki()
    for name, text in pki.server_files("127.0.0.1").items():
        (tmp_path / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "apiserver.crt", tmp_path / "apiserver.key")
    handler = type("OfThisTest", (Answers,), {"connections": 0})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "admin.conf").write_text(pki.kubeconfig(f"https://127.0.0.1:{server.server_port}"))
        monkeypatch.setattr(kubernetes_api, "ADMIN", tmp_path / "admin.conf")
        monkeypatch.setattr("lab.agent.places.WORK", tmp_path / "work")
        yield handler
        server.shutdown()


def test_a_connection_is_kept_and_opened_anew_once_the_server_has_ended_it(answers: type[Answers]) -> None:
    """Of five questions, no two cost a connection each, and none fails because a server ended what was kept."""
    assert [kubernetes_api.ask("GET", "nodes") for _ in range(5)] == [{}] * 5
    assert answers.connections == 3


LACKS = {"reason": kubernetes.WITHOUT_SECRET, "message": "Unable to retrieve some image pull secrets", "count": 3}
PULLING = {"reason": "Pulling", "message": 'Pulling image "i"', "count": 2}
WAITS = {"reason": "Failed", "message": "Error: ImagePullBackOff", "count": 4}


def failed(count: int | None) -> dict[str, object]:
    """Return what kubelet tells of pulls that failed."""
    return {"reason": "Failed", "message": 'Failed to pull image "i": 401', "count": count}


@pytest.mark.parametrize(
    ("secrets", "told", "again"),
    [
        (True, [], True),
        (True, [LACKS, PULLING], True),
        (True, [LACKS, PULLING, WAITS, failed(1)], True),
        (True, [LACKS, PULLING, WAITS, failed(2)], False),
        (True, [PULLING, WAITS, failed(None)], False),
        (False, [LACKS, PULLING, failed(1)], False),
    ],
)
def test_a_pull_before_kubelet_could_read_the_secret_is_not_the_last(
    monkeypatch: pytest.MonkeyPatch,
    secrets: bool,  # noqa: FBT001 - a column
    told: list[dict[str, object]],
    again: bool,  # noqa: FBT001 - a column
) -> None:
    """Kubelet says why before it pulls without a login, and that it failed after it; its next pull is the upgrade's."""
    monkeypatch.setattr(kubernetes_api, "ask", lambda *_: {"items": told})
    pod = {"metadata": {"uid": "u"}, "spec": {"imagePullSecrets": [{"name": kubernetes.SECRET}] if secrets else []}}

    assert kubernetes._pulls_again("space", pod) is again
