"""The Kubernetes of a lab host that has its programs: control plane, kubelet, and upgrades whose images kubelet pulls.

The units live in ``/run``, so every boot starts them anew; what a cluster keeps is in ``/etc/kubernetes``, which
outlives a boot. Everything asks the API as ``kubectl`` would, with the cluster's own kubeconfig.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import yaml

from lab.agent import kubernetes_api, kubernetes_host, places, runtime
from lab.agent.orders import Overtaken
from lab.agent.puller import PULL_TIMEOUT, PullFailed
from lab.kubernetes.control_plane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.agent.secret import Credential

Json = dict[str, Any]

PROGRAMS = Path("/run/lab/programs")
AREA = kubernetes_api.ADMIN.parent
UNITS = Path("/run/systemd/system")
READY = 60.0  # seconds until this node is Ready; about five after a boot
#: On one core, and with memory instead of collection, an API server starts with a fifth less of the processor.
#: One that is told to end waits a minute for whoever watches it, and etcd loses nothing by a kill.
_UNIT = """\
[Unit]
Description={name}
[Service]
ExecStart={start}
Environment=GOMAXPROCS=1 GOGC=400
Restart=always
RestartSec=0.5
KillMode=process
KillSignal=SIGKILL
"""
#: Reasons for which a container waits that no waiting mends.
_NO_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ImageInspectError", "ErrImageNeverPull",
     "CreateContainerError"}
)  # fmt: skip
#: Of these, those after which kubelet pulls again by itself.
_TRIED_AGAIN = ("ErrImagePull", "ImagePullBackOff")
#: The pull policy that does what was decided: whether to pull, and whether the node has the image.
_POLICIES = {(True, True): "Always", (False, False): "Never"}
#: The reason that kubelet gives where it cannot read a pull secret yet.
PULLS_WITHOUT = "FailedToRetrieveImagePullSecret"
PLAN_LABEL, NODE_LABEL = "upgrade.cattle.io/plan", "upgrade.cattle.io/node"
SECRET = "provider-credentials"  # noqa: S105 - the name of an object


def is_here() -> bool:
    """Return whether this host has the programs of a Kubernetes."""
    return PROGRAMS.exists()


# --- the cluster's programs on this host ------------------------------------------------------------------------------


def up(cluster: Json, overtaken: Callable[[], bool]) -> str:
    """Start what this host runs of its cluster, wait until its node is Ready, and return the cluster's kubeconfig.

    Raises:
        Overtaken: a newer order arrived.
        TimeoutError: in the words of what was missing.

    """
    given = cluster["realKubernetes"]
    for name, text in given["files"].items():
        places.write_private(AREA / name, text)
    if not (UNITS / "kubelet-lab.service").exists():
        if cluster["role"] == "control-plane":
            plane = ControlPlane(PROGRAMS, AREA, given["address"])
            _start({"etcd": plane.etcd(), "kube-apiserver": plane.api_server()})
        kubernetes_host.prepare()
        _start({"kubelet-lab": _kubelet(given["node"])})
    _await_ready(given["node"], overtaken)
    return str(given["files"]["admin.conf"])


def down() -> None:
    """Stop everything and forget the cluster."""
    units = ("kubelet-lab", "kube-apiserver", "etcd")
    subprocess.run(["systemctl", "stop", *units], check=False, capture_output=True)
    for name in units:
        (UNITS / f"{name}.service").unlink(missing_ok=True)
    runtime.end_containers()
    shutil.rmtree(AREA, ignore_errors=True)


def _start(commands: dict[str, list[str]]) -> None:
    """Start a unit for each command, and do not wait for it."""
    UNITS.mkdir(parents=True, exist_ok=True)
    for name, command in commands.items():
        (UNITS / f"{name}.service").write_text(_UNIT.format(name=name, start=" ".join(command)))
    subprocess.run(["systemctl", "daemon-reload"], check=True, capture_output=True)
    subprocess.run(["systemctl", "start", "--no-block", *commands], check=True, capture_output=True)


def _kubelet(node: str) -> list[str]:
    configuration = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {"x509": {"clientCAFile": str(AREA / "ca.crt")}},
        "containerRuntimeEndpoint": f"unix://{runtime.socket()}",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "localStorageCapacityIsolation": False,
        "registryPullQPS": 0,  # else five a second
        "featureGates": {"KubeletInUserNamespace": True},
        "evictionHard": dict.fromkeys(("memory.available", "nodefs.available", "imagefs.available"), "0%"),
        "imageGCHighThresholdPercent": 100,
    }
    (AREA / "kubelet.yaml").write_text(yaml.safe_dump(configuration))
    options = {"config": AREA / "kubelet.yaml", "kubeconfig": AREA / "kubelet.conf", "hostname-override": node}
    return [str(PROGRAMS / "kubelet"), *(f"--{name}={value}" for name, value in options.items())]


def _await_ready(node: str, overtaken: Callable[[], bool]) -> None:
    def missing() -> str:
        try:
            found = kubernetes_api.behind() or _unready(kubernetes_api.ask("GET", f"nodes/{node}"))
        except (OSError, LookupError) as error:
            found = f"{type(error).__name__}: {error}"
        if found and overtaken():
            raise Overtaken
        return found and f"node {node} is not Ready: {found}"

    kubernetes_api.wait_until(missing, READY)


def _unready(node: Json) -> str:
    if node["status"]["nodeInfo"]["bootID"] != places.BOOT_ID.read_text().strip():
        return "its kubelet has not reported since the boot"
    ready = [each for each in node["status"]["conditions"] if each["type"] == "Ready"]
    return "" if ready and ready[0]["status"] == "True" else str(ready[0]["message"] if ready else "no condition yet")


# --- an upgrade: a pod whose image is the provider image --------------------------------------------------------------


def upgrade(image: str, credential: Credential | None, *, pull: bool = True) -> None:
    """Drain the node and run the upgrade's pod, whose image kubelet pulls if it is to. Raises PullFailed."""
    record = places.read_json(places.STATE)
    node, space = str(record["node"]), f"spectro-task-{record['cluster']}"
    name = _plan_name(node, image, str(record["role"]))
    policy = _POLICIES.get((pull, runtime.has_image(image)), "IfNotPresent")
    try:
        _drain(node)
        kubernetes_api.ensure("namespaces", {"metadata": {"name": space}})
        kubernetes_api.ensure(f"namespaces/{space}/serviceaccounts", {"metadata": {"name": "system-upgrade"}})
        _delete_upgrades(space, node)
        secrets = _write_secret(space, image, credential)
        kubernetes_api.ask("POST", f"namespaces/{space}/pods", _pod(name, node, image, policy, secrets))
        _await_upgrade(space, name)
    except OSError as error:
        raise PullFailed(f"the upgrade of node {node} could not be run: {error}") from error


def back_in_service(cluster: Json) -> None:
    """Allow pods on the node again, and drop what still waits of an upgrade that is not wanted any more."""
    node = str(cluster["realKubernetes"]["node"])
    _delete_upgrades(f"spectro-task-{cluster['uid']}", node, only="status.phase=Pending")
    _cordon(node, on=False)


def _delete_upgrades(space: str, node: str, only: str = "") -> None:
    """Delete the pods of this node's upgrades: a failed one would go on with its pulls."""
    selected = urlencode({"labelSelector": f"{NODE_LABEL}={node}", "fieldSelector": only})
    for pod in kubernetes_api.ask("GET", f"namespaces/{space}/pods?{selected}")["items"]:
        kubernetes_api.delete(f"namespaces/{space}/pods/{pod['metadata']['name']}")


def _write_secret(space: str, image: str, credential: Credential | None) -> list[Json]:
    """Write the pull secret of an upgrade. Return the references to it: none without a login."""
    if credential is None:
        return []
    secret = _pull_secret(image, credential)
    if not kubernetes_api.ensure(f"namespaces/{space}/secrets", secret):
        kubernetes_api.ask("PUT", f"namespaces/{space}/secrets/{SECRET}", secret)
    return [{"name": SECRET}]


def _drain(node: str) -> None:
    """Keep pods away from the node and delete those on it, but for upgrades, whatever namespace they are in."""
    _cordon(node, on=True)
    selected = urlencode({"labelSelector": f"!{PLAN_LABEL}", "fieldSelector": f"spec.nodeName={node}"})
    for pod in kubernetes_api.ask("GET", f"pods?{selected}")["items"]:
        kubernetes_api.delete(f"namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}")


def _cordon(node: str, *, on: bool) -> None:
    kubernetes_api.ask("PATCH", f"nodes/{node}", {"spec": {"unschedulable": on}})


def _plan_name(node: str, image: str, role: str) -> str:
    plan = "worker" if role == "worker" else "control"
    return f"apply-{plan}-plan-on-{node}-with-{hashlib.sha256(image.encode()).hexdigest()[:10]}"


def _pull_secret(image: str, credential: Credential) -> Json:
    """Return the Secret as ``kubectl create secret docker-registry`` writes it."""
    pair = f"{credential.username}:{credential.password}".encode("utf-8", "surrogateescape")
    login = {"username": credential.username, "password": credential.password, "auth": base64.b64encode(pair).decode()}
    document = json.dumps({"auths": {credential.registry or image.partition("/")[0]: login}})
    return {
        "metadata": {"name": SECRET},
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(document.encode()).decode()},
    }


def _pod(name: str, node: str, image: str, policy: str, secrets: list[Json]) -> Json:
    prepare = ["chroot", "/host", "env", "PYTHONPATH=/run/lab", "python3", "-m", "lab.agent.runtime", image]
    upgrade = {
        "name": "upgrade",
        "image": image,
        "imagePullPolicy": policy,
        "command": prepare,
        "securityContext": {"privileged": True},
        "volumeMounts": [{"name": "host", "mountPath": "/host"}],
    }
    plan = name.partition("-on-")[0].removeprefix("apply-")
    return {
        "metadata": {"name": name, "labels": {PLAN_LABEL: plan, NODE_LABEL: node}},
        "spec": {
            "nodeName": node,
            "hostNetwork": True,
            "hostPID": True,
            "restartPolicy": "Never",
            "serviceAccountName": "system-upgrade",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "tolerations": [{"operator": "Exists"}],
            "imagePullSecrets": secrets,
            "containers": [upgrade],
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        },
    }


def _await_upgrade(space: str, name: str) -> None:
    def missing() -> str:
        pod = kubernetes_api.ask("GET", f"namespaces/{space}/pods/{name}")
        status = pod["status"]
        for said in _troubles(status):
            if not (said.startswith(_TRIED_AGAIN) and _pulls_again(space, pod)):
                raise PullFailed(said)
        return "" if status.get("phase") == "Succeeded" else f"pod {name} is {status.get('phase', 'not begun')}"

    kubernetes_api.wait_until(missing, PULL_TIMEOUT)


def _pulls_again(space: str, pod: Json) -> bool:
    """Return whether kubelet is to be waited for: it pulled before it could read the Secret, and pulls again with it.

    The API server lets a node read a Secret once it has seen that a pod there refers to it, which may be later.
    """
    if not pod["spec"].get("imagePullSecrets"):
        return False
    selected = urlencode({"fieldSelector": f"involvedObject.uid={pod['metadata']['uid']}"})
    told: list[Json] = kubernetes_api.ask("GET", f"namespaces/{space}/events?{selected}")["items"]
    failed = sum(event.get("count") or 1 for event in told if event["message"].startswith("Failed to pull image"))
    is_without = any(event["reason"] == PULLS_WITHOUT for event in told)
    return failed <= int(is_without)  # kubelet tells in the order of what happens, and later than the pod's state


def _troubles(status: Json) -> Iterator[str]:
    if status.get("phase") == "Failed":
        yield f"the upgrade's pod failed: {status.get('message') or status.get('reason') or status}"
    for container in status.get("containerStatuses", ()):
        waiting = container["state"].get("waiting") or {}
        if waiting.get("reason") in _NO_IMAGE:
            yield f"{waiting['reason']}: {waiting.get('message', '')}"
