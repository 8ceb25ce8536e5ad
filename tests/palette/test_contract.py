"""Every request of the client, and every answer it reads, held against the published API description."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from palette import Palette
from palette.client import ProjectView, ScopedView
from palette.cluster_request import AttachedProfile, ClusterRequest, MachinePool, PoolHost
from palette.profiles import Pack
from palette.searching import Filter
from palette.transport import encoded
from protected import Secret
from tests.palette.conftest import load_spec
from tests.palette.openapi import SPEC_4_8, SPEC_4_9, Spec, SpecViolationError, directory
from tests.palette.servers import Request, Server, serving

OUTSIDE_SUBSET = {"GET /v1/users/info"}
"""The client asks this of the full API; the cut of 4.9 leaves it out."""

PACK = Pack("edge-native-byoi", "pack-1", "2.1.0", "pack: {}\n", "os", "registry-1")
ATTACHED = AttachedProfile("new", replaces="old", variables={"domain": "qa.example"})
POOL = MachinePool("pool", (PoolHost("h1", "primary"), PoolHost("h2", "secondary")))
CLUSTER = ClusterRequest(
    "c1",
    (ATTACHED,),
    (POOL,),
    vip="192.0.2.9",
    ssh_keys=("ssh-ed25519 AAAA",),
    ntp_servers=("ntp.example",),
    two_node=True,
    labels={"run": "1"},
)
OVERLAY = ClusterRequest("c2", (ATTACHED,), (POOL,), vip="100.64.192.1", overlay="100.64.192.0/23")
ASSIGNED = ClusterRequest("c3", (ATTACHED,), (POOL,))
NIC = {"nicName": "eth0", "ip": "10.0.0.5", "subnet": "255.255.255.0", "gateway": "10.0.0.1", "dns": ["10.0.0.2"]}
NAMED = ClusterRequest(
    "c4",
    (ATTACHED,),
    (MachinePool("pool", (PoolHost("h1", name="edge-a", nic=NIC),)),),
    vip="edge",
    endpoint="DDNS",
    search_domain="qa.example",
)

CALLS: dict[str, Callable[[ProjectView], Any]] = {
    "profiles.create": lambda p: p.profiles.create("n", [PACK], labels={"run": "1"}),
    "profiles.clone": lambda p: p.profiles.clone("u", name="n", version="2.0.0"),
    "profiles.new_version": lambda p: p.profiles.new_version("u", "2.0.0", {"name-text": "a: 2\n"}),
    "profiles.update_pack": lambda p: p.profiles.update_pack("u", PACK),
    "profiles.publish": lambda p: p.profiles.publish("u"),
    "profiles.get": lambda p: p.profiles.get("u"),
    "profiles.list": lambda p: list(p.profiles.list()),
    "profiles.find": lambda p: p.profiles.find("name-text", "version-text"),
    "profiles.packs": lambda p: p.profiles.packs("u"),
    "profiles.pack": lambda p: p.profiles.pack("u", "edge-native-byoi"),
    "profiles.resolved_values": lambda p: p.profiles.resolved_values("u", ["spectro.pack.x"]),
    "profiles.export": lambda p: p.profiles.export("u", form="json"),
    "profiles.delete": lambda p: p.profiles.delete("u"),
    "profiles.variables": lambda p: p.profiles.variables("u"),
    "clusters.create": lambda p: [p.clusters.create(wish) for wish in (CLUSTER, OVERLAY, ASSIGNED, NAMED)],
    "clusters.endpoint": lambda p: p.clusters.endpoint("u"),
    "clusters.endpoints": lambda p: p.clusters.endpoints(),
    "clusters.get": lambda p: p.clusters.get("u"),
    "clusters.state": lambda p: p.clusters.state("u"),
    "clusters.state_or_gone": lambda p: p.clusters.state_or_gone("u"),
    "clusters.overview": lambda p: p.clusters.overview("u"),
    "clusters.search": lambda p: list(p.clusters.search(Filter("clusterName", ("c",), "beginsWith"))),
    "clusters.find": lambda p: p.clusters.find("name-text"),
    "clusters.replace_profile": lambda p: p.clusters.replace_profile(
        "u", old="old", new="new", variables=ATTACHED.variables
    ),
    "clusters.profiles": lambda p: p.clusters.profiles("u"),
    "clusters.profile_updates": lambda p: p.clusters.profile_updates("u"),
    "clusters.pack_values": lambda p: p.clusters.pack_values("u", "profile", "edge-native-byoi"),
    "clusters.resolved_values": lambda p: p.clusters.resolved_values("u", ["spectro.pack.x"]),
    "clusters.variables": lambda p: p.clusters.variables("u"),
    "clusters.would_repave": lambda p: p.clusters.would_repave("u", [ATTACHED]),
    "clusters.repave": lambda p: p.clusters.repave("u"),
    "clusters.approve_repave": lambda p: p.clusters.approve_repave("u"),
    "clusters.delete": lambda p: p.clusters.delete("u", force=True),
    "clusters.hosts": lambda p: p.clusters.hosts("u"),
    "clusters.kubeconfig": lambda p: [
        p.clusters.kubeconfig("u", kind=kind) for kind in ("kubeconfig", "adminKubeconfig", "kubeconfigclient")
    ],
    "clusters.download": lambda p: p.clusters.download("u"),
    "cloud_configs.get": lambda p: p.cloud_configs.get("cc"),
    "edge_hosts.search": lambda p: list(p.edge_hosts.search(Filter("tags", ("a:b",), negated=True))),
    "edge_hosts.get": lambda p: p.edge_hosts.get("h"),
    "edge_hosts.clusters": lambda p: p.edge_hosts.clusters("h"),
    "edge_hosts.set_labels": lambda p: p.edge_hosts.set_labels("h", {"a": "b"}, name="edge-1"),
    "edge_hosts.update_labels": lambda p: p.edge_hosts.update_labels("h", {"a": "b"}, ("c",)),
    "events.of_cluster": lambda p: list(p.events.of_cluster("c")),
    "events.of_edge_host": lambda p: list(p.events.of_edge_host("h", since=datetime(2026, 1, 1, tzinfo=UTC))),
    "packs.versions": lambda p: p.packs.versions("edge-k3s", "registry-1", layer="k8s"),
    "registries.list": lambda p: list(p.registries.list()),
    "registries.named": lambda p: p.registries.named("name-text"),
    "projects.list": lambda p: list(p.projects.list()),
    "projects.named": lambda p: p.projects.named("name-text"),
    "tenant.uid": lambda p: p.tenant.uid(),
    "tenant.service_version": lambda p: p.tenant.service_version("stylus", edge_host="h", cluster="c"),
    "logs.request": lambda p: p.logs.request("c", node_logs=("syslog",)),
    "logs.state": lambda p: p.logs.state("c", "request"),
    "logs.download": lambda p: p.logs.download("request"),
    "macros.list": lambda p: p.macros.list(),
    "macros.create": lambda p: p.macros.create({"m": Secret("v")}),
    "macros.update": lambda p: p.macros.update({"m": "v"}),
    "macros.delete": lambda p: p.macros.delete(["m"]),
    "tenant_macros.list": lambda p: p.tenant_macros.list(),
    "tenant_macros.create": lambda p: p.tenant_macros.create({"m": "v"}),
    "tenant_macros.update": lambda p: p.tenant_macros.update({"m": "v"}),
    "tenant_macros.delete": lambda p: p.tenant_macros.delete(["m"]),
    "visible_macros": lambda p: p.visible_macros(),
}


def by_description(spec: Spec) -> Callable[[Request], None]:
    """Answer every request with the description's own example of the answer."""

    def act(request: Request) -> None:
        status, body = spec.example(request.method, request.path)
        if isinstance(body, str):
            request.send(status, body.encode(), Content_Type="application/octet-stream")
        else:
            request.send(status, b"" if body is None else json.dumps(body).encode(), Content_Type="application/json")

    return act


@pytest.fixture(scope="module")
def exemplary() -> Iterator[Server]:
    """Run a server that gives the vendor's own description back as examples."""
    with serving(by_description(load_spec(directory() / SPEC_4_8))) as server:
        yield server


def judge(spec: Spec, requests: list[Request]) -> None:
    """Hold recorded requests against a description."""
    for request in requests:
        if spec.name == SPEC_4_9 and f"{request.method} {request.path}" in OUTSIDE_SUBSET:
            continue
        spec.validate_request(request.method, request.url, request.body, request.headers)


def publics(noun: object) -> set[str]:
    """Return the public methods of a noun."""
    return {name for name, _ in inspect.getmembers(noun, inspect.ismethod) if not name.startswith("_")}


@pytest.mark.parametrize("name", CALLS)
def test_requests_and_answers_are_as_published(name: str, exemplary: Server, client: Callable[..., Palette]) -> None:
    """A call sends only what both descriptions declare, and finds every field it reads in the described answer."""
    project = client(exemplary.url).in_project_with("project-1", name="Default")
    first = len(exemplary.requests)

    result = CALLS[name](project)

    sent = exemplary.requests[first:]
    assert sent
    for version in (SPEC_4_9, SPEC_4_8):
        judge(load_spec(directory() / version), sent)
    assert list(empty_places(result, name)) == []


def test_every_noun_and_every_method_is_held_against_the_description(client: Callable[..., Palette]) -> None:
    """No public method of the client is left out of the contract tests; waiting is made of methods that are in."""
    project = client("https://palette.invalid").in_project_with("p")
    nouns = [
        name for kind in (ScopedView, ProjectView) for name, value in vars(kind).items() if hasattr(value, "attrname")
    ]
    missing = [
        f"{noun}.{method}"
        for noun in set(nouns) - {"tenant_macros"}
        for method in publics(getattr(project, noun))
        if f"{noun}.{method}" not in CALLS and not method.startswith("wait_")
    ]

    assert missing == []


def empty_places(value: object, place: str) -> Iterator[str]:
    """Name every place of a result that holds nothing, which is what reading a misspelled field gives."""
    if isinstance(value, Secret):
        value = value.reveal()
    if is_dataclass(value):
        for one in fields(value):
            yield from empty_places(getattr(value, one.name), f"{place}.{one.name}")
    elif isinstance(value, dict):
        for key, one in [*value.items(), *([("", "")] if not value else [])]:
            yield from empty_places(one, f"{place}[{key!r}]")
    elif isinstance(value, tuple | list):
        for one in value or [""]:
            yield from empty_places(one, f"{place}[]")
    elif value in ("", b"", 0, False):
        yield place


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("profiles.get", "project-1"),
        ("edge_hosts.get", "project-1"),
        ("events.of_cluster", "project-1"),
        ("visible_macros", "project-1"),
        ("macros.list", None),
        ("projects.list", None),
        ("registries.list", None),
        ("tenant.uid", None),
    ],
)
def test_the_project_header_goes_with_project_resources_only(
    name: str, expected: str | None, exemplary: Server, client: Callable[..., Palette]
) -> None:
    """ProjectUid is sent for resources of a project and left out for those of the tenant."""
    CALLS[name](client(exemplary.url).in_project_with("project-1"))

    assert exemplary.requests[-1].headers.get("ProjectUid") == expected


def test_a_misspelled_field_would_be_noticed(spec: Spec) -> None:
    """A request with a property that the description does not know is refused, nested ones included."""
    body = json.loads(encoded(CLUSTER.body()))
    spec.validate_request("POST", "/v1/spectroclusters/edge-native", body)
    body["spec"]["machinepoolconfig"][0]["poolConfig"]["useControlPlaneAsWorkr"] = True

    with pytest.raises(SpecViolationError, match="useControlPlaneAsWorkr"):
        spec.validate_request("POST", "/v1/spectroclusters/edge-native", body)
