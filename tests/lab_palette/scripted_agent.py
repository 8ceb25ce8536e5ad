"""An Edge host's agent in a few lines: it speaks the agent channel and pretends to pull, install and reboot."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import requests

Json = dict[str, Any]


@dataclass
class PretendRegistry:
    """Accepts one password; ``images`` holds what it has. ``pulls`` is every pull: host, image, password, worked."""

    password: str = "Pa!sw#rd*1"
    images: set[str] = field(default_factory=set)
    pulls: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def pull(self, host: str, image: str, credential: Json | None) -> str:
        """Return what went wrong, empty when the pull works."""
        presented = credential["password"] if credential else ""
        problem = "" if presented == self.password else "401 Unauthorized"
        if not problem and image not in self.images:
            problem = "manifest unknown"
        self.pulls.append((host, image, presented, not problem))
        return problem


class ScriptedAgent:
    """Registers and follows its orders in a thread until it is stopped."""

    def __init__(self, url: str, token: str, ca: str, uid: str, registry: PretendRegistry) -> None:
        self.uid = uid
        self.registry = registry
        self.orders: list[Json] = []
        self.running_image = ""
        self.generation = 0
        self.resets = 0
        self.boot_id = ""
        self.hold = threading.Event()
        """While it is cleared, the agent does not begin to work on an order."""
        self.hold.set()
        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = ca
        self._session.headers["RegistrationToken"] = token
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"agent-{uid}", daemon=True)

    def register(self, **device: Any) -> Json:  # noqa: ANN401 - fields of the device
        """Register with the published operation and give the answer."""
        facts = {"archType": "amd64", "hostType": "appliance", **device}
        body = {"metadata": {"uid": self.uid, "name": self.uid}, "spec": {"device": facts}}
        answer = self._session.post(f"{self._url}/v1/edgehosts/register", json=body, timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def report(self, *reports: Json) -> None:
        """Send reports."""
        answer = self._session.post(f"{self._url}/lab/agents/{self.uid}/reports", json={"reports": reports}, timeout=10)
        answer.raise_for_status()

    def order(self) -> Json:
        """Ask for the order of its cluster, without following it."""
        answer = self._session.get(f"{self._url}/lab/agents/{self.uid}/orders", timeout=10)
        return dict(answer.json()["cluster"])

    def start(self) -> None:
        """Begin to follow orders."""
        self._thread.start()

    def leave(self) -> None:
        """Ask the thread to end."""
        self._stop.set()
        self.hold.set()

    def stop(self) -> None:
        """End the thread."""
        self.leave()
        self._thread.join(10)
        self._session.close()

    def _run(self) -> None:
        revision = -1
        while not self._stop.is_set():
            try:
                params = {"after": revision}
                answer = self._session.get(f"{self._url}/lab/agents/{self.uid}/orders", params=params, timeout=10)
            except requests.ConnectionError:
                return  # the endpoint is gone
            if not answer.ok:
                return
            order = answer.json()
            if order["revision"] > revision:
                revision = order["revision"]
                self.orders.append(order)
                self.hold.wait()
                self._follow(order)

    def _follow(self, order: Json) -> None:
        cluster = order["cluster"]
        if order["reset"] > self.resets or cluster is None:
            self._reset(order["reset"])
        if cluster is not None and cluster["turn"] and cluster["generation"] != self.generation:
            self._move_to(cluster)

    def _reset(self, resets: int) -> None:
        self.resets, self.running_image, self.generation = resets, "", 0
        self.report({"kind": "state", "state": "idle", "reset": resets, "generation": 0})

    def _move_to(self, cluster: Json) -> None:
        image, generation = cluster["image"], cluster["generation"]
        if image != self.running_image or cluster["repave"]:
            self.report(self._event("Normal", "PullingImage", f'Pulling provider image "{image}"'))
            self.report({"kind": "state", "state": "pulling", "generation": generation})
            problem = self.registry.pull(self.uid, image, cluster["credential"])
            if problem:
                message = f'Failed to pull provider image "{image}": {problem}'
                failed = {"kind": "state", "state": "failed", "generation": generation, "message": message}
                self.report(self._event("Error", "FailedPullImage", message), failed)
                return
            self.boot_id = str(uuid.uuid4())
        self.running_image, self.generation = image, generation
        facts = {"image": image, "digest": "sha256:00", "activeSlot": "active", "bootId": self.boot_id}
        self.report({"kind": "state", "state": "running", "generation": generation, **facts})

    def _event(self, severity: str, reason: str, message: str) -> Json:
        return {"kind": "event", "severity": severity, "reason": reason, "message": message}


@contextmanager
def following(*agents: ScriptedAgent) -> Iterator[None]:
    """Register agents and let them follow their orders."""
    for agent in agents:
        agent.register()
        agent.start()
    try:
        yield
    finally:
        for agent in agents:
            agent.leave()
        for agent in agents:
            agent.stop()
