"""A cluster's API as the agent asks it: as ``kubectl`` would, with the administrator's kubeconfig."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yaml

from lab.agent import places

if TYPE_CHECKING:
    from collections.abc import Callable

Json = dict[str, Any]
ADMIN = Path("/etc/kubernetes/lab/admin.conf")
GONE = 60.0  # seconds until what is deleted is gone


class Refused(OSError):  # noqa: N818 - it names what happened
    """The API refused a request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"the Kubernetes API answers {status}: {message}")
        self.status = status


def ensure(kind: str, document: Json) -> bool:
    """Create an object. Return False where there is one of its name."""
    try:
        ask("POST", kind, document)
    except Refused as refused:
        if refused.status != http.client.CONFLICT:
            raise
        return False
    return True


def delete(path: str) -> None:
    """Delete an object, and wait until it is gone. Raises TimeoutError."""
    try:
        ask("DELETE", f"{path}?gracePeriodSeconds=0")
        wait_until(lambda: f"{path} is still there" if ask("GET", path) else "", GONE)
    except Refused as refused:
        if refused.status != http.client.NOT_FOUND:
            raise


def wait_until(missing: Callable[[], str], within: float) -> None:
    """Look until nothing is missing. Raises TimeoutError in the words of what was missing last."""
    deadline = time.monotonic() + within
    while found := missing():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{found}, after {within:g} s")
        time.sleep(0.1)


class _Connection(http.client.HTTPSConnection):
    """A connection to the API as its administrator, which is kept: a handshake costs both ends more than a question."""

    def __init__(self, kubeconfig: str) -> None:
        config = yaml.safe_load(kubeconfig)
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with places.work_area() as area:  # TLS takes a client's key from a file
            pem = base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"])
            places.write_private(area / "admin.pem", pem.decode())
            context.load_cert_chain(area / "admin.pem")
        where = urlsplit(cluster["server"])
        super().__init__(where.hostname or "", where.port, timeout=20, context=context)
        self.free = threading.Lock()

    def send_whole(self, method: str, target: str, body: str | None) -> tuple[int, bytes]:
        """Return the status and body of the answer. Raises OSError."""
        kind = "application/strategic-merge-patch+json" if method == "PATCH" else "application/json"
        try:
            self.request(method, target, body, {"Content-Type": kind})
            answer = self.getresponse()
            return answer.status, answer.read()
        except OSError:
            self.close()  # the next question opens it anew
            raise
        except http.client.HTTPException as error:
            self.close()
            raise OSError(f"the Kubernetes API is cut off: {error}") from error


_connection = lru_cache(maxsize=1)(_Connection)


def behind() -> str:
    """Return what an API server that has just begun has not read yet; until then it keeps nodes from their Secrets.

    Raises OSError.
    """
    status, said = _send("GET", "/readyz/informer-sync")
    return "" if status == http.client.OK else said.decode(errors="replace").strip()


def ask(method: str, path: str, body: Json | None = None) -> Json:
    """Ask the API as the cluster's administrator. Raises Refused, OSError."""
    status, said = _send(method, f"/api/v1/{path}", body)
    try:
        document: Json = json.loads(said)
    except ValueError as error:
        raise OSError(f"the Kubernetes API is cut off: {error}") from error
    if status >= http.client.BAD_REQUEST:
        raise Refused(status, str(document.get("message", "")))
    return document


def _send(method: str, target: str, body: Json | None = None) -> tuple[int, bytes]:
    connection, text = _connection(ADMIN.read_text()), json.dumps(body) if body else None
    with connection.free:
        was_kept = connection.sock is not None
        try:
            return connection.send_whole(method, target, text)
        except ConnectionError:
            if not was_kept:
                raise
        return connection.send_whole(method, target, text)  # the server has begun anew since the last question
