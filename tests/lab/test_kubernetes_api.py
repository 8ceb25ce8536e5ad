"""How an agent asks its cluster's API: over a connection that is kept for as long as the server keeps it."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
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


LACKS = {"reason": kubernetes.PULLS_WITHOUT, "message": "Unable to retrieve some image pull secrets", "count": 3}
PULLING = {"reason": "Pulling", "message": 'Pulling image "i"', "count": 2}
WAITS = {"reason": "Failed", "message": "Error: ImagePullBackOff", "count": 4}
SECRETS = [{"name": kubernetes.SECRET}]


def failed(count: int | None) -> dict[str, object]:
    """Return what kubelet tells of pulls that failed."""
    return {"reason": "Failed", "message": 'Failed to pull image "i": 401', "count": count}


@pytest.fixture
def pulls_again(monkeypatch: pytest.MonkeyPatch) -> Callable[..., bool]:
    """Return a way to ask whether kubelet is to be waited for, with the events of a pod and its pull secrets."""

    def ask(told: list[dict[str, object]], secrets: list[dict[str, str]]) -> bool:
        monkeypatch.setattr(kubernetes_api, "ask", lambda *_: {"items": told})
        return kubernetes._pulls_again("space", {"metadata": {"uid": "u"}, "spec": {"imagePullSecrets": secrets}})

    return ask


@pytest.mark.parametrize("told", [[], [LACKS, PULLING], [LACKS, PULLING, WAITS, failed(1)]])
def test_kubelet_is_waited_for_where_it_pulled_without_the_secret(
    pulls_again: Callable[..., bool], told: list[dict[str, object]]
) -> None:
    """It tells later than the pod's state, but in order: first that it pulls without, then that this failed."""
    assert pulls_again(told, SECRETS)


@pytest.mark.parametrize(
    ("told", "secrets"),
    [
        ([LACKS, PULLING, WAITS, failed(2)], SECRETS),
        ([PULLING, WAITS, failed(None)], SECRETS),
        ([LACKS, PULLING, failed(1)], []),
    ],
)
def test_a_pull_that_failed_with_all_that_it_was_given_is_the_last(
    pulls_again: Callable[..., bool], told: list[dict[str, object]], secrets: list[dict[str, str]]
) -> None:
    """With the Secret, or for a pod that has none, a failed pull is the upgrade's failure."""
    assert not pulls_again(told, secrets)
