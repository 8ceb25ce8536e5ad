"""A bare client of the endpoint and the bodies that tests send."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import requests
import yaml

Json = dict[str, Any]
Judge = Callable[[str, str, requests.Response], None]

PASSWORD = "Pa!sw#rd*1"


class ApiRefusedError(AssertionError):
    """An answer that is not a success."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body.get("code", "")
        self.message = body.get("message", "")
        self.body = body


class Api:
    """Sends requests with the lab's key in one project."""

    def __init__(self, url: str, key: str, ca: str, project: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = ca
        self.session.headers.update({"ApiKey": key, "ProjectUid": project})
        self.project = project
        self.judge: Judge | None = None
        """Called with every answer; raises what is wrong with it."""

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:  # noqa: ANN401 - JSON
        """Send a request and give the answer, whatever it is, once the published description allows it."""
        answer = self.session.request(method, self.url + path, json=body, timeout=10, **options)
        if self.judge is not None:
            self.judge(method, path, answer)
        return answer

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:  # noqa: ANN401 - JSON
        """Send a request and give the body of a success. Raises RefusedError."""
        answer = self.send(method, path, body, **options)
        if not answer.ok:
            raise ApiRefusedError(answer.status_code, answer.json())
        return answer.json() if answer.content else None

    def get(self, path: str, body: Any = None, **options: Any) -> Any:  # noqa: ANN401 - JSON
        """GET."""
        return self.call("GET", path, body, **options)

    # -- words ----------------------------------------------------------------------------------------------------

    def make_profile(self, name: str = "edge", version: str = "1.0.0", *, publish: bool = True, **changes: Any) -> str:  # noqa: ANN401 - values
        """Make a profile; ``changes`` go to :func:`os_values`."""
        body = profile(name, version, changes.pop("values", None) or os_values(**changes))
        return str(self.call("POST", f"/v1/clusterprofiles?publish={str(publish).lower()}", body)["uid"])

    def new_version(self, uid: str, version: str, **changes: Any) -> str:  # noqa: ANN401 - values
        """Clone a profile to a new version with other values, and publish it."""
        name = self.get(f"/v1/clusterprofiles/{uid}")["metadata"]["name"]
        body = {"metadata": {"name": name, "version": version, "target": {"scope": "project"}}}
        clone = str(self.call("POST", f"/v1/clusterprofiles/{uid}/clone", body)["uid"])
        self.set_values(clone, changes.pop("values", None) or os_values(**changes))
        return clone

    def set_values(self, uid: str, values: str) -> None:
        """Change the OS layer of a profile and publish it."""
        path = f"/v1/clusterprofiles/{uid}/packs/edge-native-byoi"
        pack = self.get(path)["spec"]["pack"]
        sent = {"name": pack["name"], "uid": self.get(path)["metadata"]["uid"], "values": values}
        self.call("PUT", path, {"pack": sent})
        self.call("PATCH", f"/v1/clusterprofiles/{uid}/publish")

    def deploy(
        self,
        profile_uid: str,
        *hosts: str,
        name: str = "edge-cluster",
        workers: tuple[str, ...] = (),
        **own: Any,  # noqa: ANN401 - JSON
    ) -> str:
        """Make a cluster with these hosts as control plane; ``own`` are its own values or variables."""
        body = cluster(name, profile_uid, hosts, workers)
        body["spec"]["profiles"][0] |= own
        return str(self.call("POST", "/v1/spectroclusters/edge-native", body)["uid"])

    def move(self, uid: str, old: str, new: str) -> None:
        """Move a cluster to another profile version."""
        self.call(
            "PATCH", f"/v1/spectroclusters/{uid}/profiles", {"profiles": [{"uid": new, "replaceWithProfile": old}]}
        )

    def approve(self, uid: str) -> None:
        """Approve a repave."""
        self.call("PATCH", f"/v1/spectroclusters/{uid}/repave/approve")

    def state(self, uid: str) -> str:
        """Return a cluster's state."""
        return str(self.get(f"/v1/spectroclusters/{uid}/status")["status"]["state"])

    def health(self, uid: str) -> str:
        """Return a cluster's health."""
        return str(self.get(f"/v1/dashboard/spectroclusters/{uid}/overview")["status"]["health"]["state"])

    def done(self, uid: str) -> bool:
        """Return whether a cluster is running and healthy."""
        return (self.state(uid), self.health(uid)) == ("Running", "Healthy")

    def events(self, uid: str, kind: str = "spectrocluster") -> list[Json]:
        """Return all events, newest first."""
        items: list[Json] = []
        token = ""
        while True:
            page = self.get(f"/v1/events/components/{kind}/{uid}", params={"continue": token})
            items += page["items"]
            token = page["listmeta"]["continue"]
            if not token:
                return items

    def reasons(self, uid: str) -> list[str]:
        """Return the reasons of all events, oldest first."""
        return [event["reason"] for event in reversed(self.events(uid))]

    def machines(self, uid: str) -> list[Json]:
        """Return the machines of all pools."""
        config = self.get(f"/v1/spectroclusters/{uid}")["spec"]["cloudConfigRef"]["uid"]
        path = f"/v1/cloudconfigs/edge-native/{config}"
        pools = [pool["name"] for pool in self.get(path)["spec"]["machinePoolConfig"]]
        return [machine for pool in pools for machine in self.get(f"{path}/machinePools/{pool}/machines")["items"]]


def eventually(condition: Callable[[], Any], what: str, seconds: float = 5.0) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def os_values(
    image: str = "registry.test/edge:v1",
    password: str | None = PASSWORD,
    certificates: str = "",
    **credentials: Any,  # noqa: ANN401 - YAML
) -> str:
    """Write values of a BYOOS layer; a ``password`` of None means no credentials at all."""
    values: Json = {
        "pack": {"content": {"images": [{"image": "{{.spectro.pack.edge-native-byoi.options.system.uri}}"}]}},
        "options": {"system.uri": image},
    }
    if password is not None:
        values["providerCredentials"] = {"registry": "registry.test", "user": "robot", "password": password}
        values["providerCredentials"] |= {"certificates": certificates} if certificates else {}
        values["providerCredentials"] |= credentials
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def profile(name: str, version: str, values: str) -> Json:
    """Write the body of an infrastructure profile."""
    packs = [
        {"name": "edge-native-byoi", "layer": "os", "values": values},
        {"name": "edge-k3s", "layer": "k8s"},
        {"name": "cni-calico", "layer": "cni"},
    ]
    template = {"type": "infra", "cloudType": "edge-native", "packs": packs}
    return {"metadata": {"name": name}, "spec": {"version": version, "template": template}}


def pool(name: str, hosts: tuple[str, ...], *, control_plane: bool) -> Json:
    """Write a machine pool."""
    return {
        "cloudConfig": {"edgeHosts": [{"hostUid": host} for host in hosts]},
        "poolConfig": {
            "name": name,
            "size": len(hosts),
            "labels": ["control-plane" if control_plane else "worker"],
            "isControlPlane": control_plane,
        },
    }


def cluster(
    name: str, profile_uid: str, hosts: tuple[str, ...], workers: tuple[str, ...] = (), *, vip: str = ""
) -> Json:
    """Write the body of a cluster with a virtual IP of its own.

    Workers come first, so that nothing but their role can decide who repaves first.
    """
    pools = [pool("worker-pool", workers, control_plane=False)] if workers else []
    pools.append(pool("control-plane-pool", hosts, control_plane=True))
    return {
        "metadata": {"name": name},
        "spec": {
            "cloudConfig": {"controlPlaneEndpoint": {"host": vip or f"{name}.vip.example", "type": "VIP"}},
            "machinepoolconfig": pools,
            "profiles": [{"uid": profile_uid}],
        },
    }
