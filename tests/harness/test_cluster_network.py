"""The clusters' network as a site file describes it, and the requests that come of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.sites.cluster_network import ClusterNetwork, pools_of, read_cluster_network, read_host_network
from harness.sites.site_references import BadSiteFileError, SiteText
from palette.cluster_request import AttachedProfile, ClusterRequest

PATH = SiteText(Path("site.yaml"))


@pytest.mark.parametrize(
    ("vip", "addresses"),
    [
        ("10.0.0.5", ("10.0.0.5",)),
        ("edge.example", ("edge.example",)),
        ("edge-a.example", ("edge-a.example",)),
        ("10.0.0.9-10.0.0.11", ("10.0.0.9", "10.0.0.10", "10.0.0.11")),
        (["10.0.0.5", "10.0.0.254 - 10.0.1.0"], ("10.0.0.5", "10.0.0.254", "10.0.0.255", "10.0.1.0")),
        ("fd00::1-fd00::2", ("fd00::1", "fd00::2")),
    ],
)
def test_virtual_ips_are_an_address_a_name_a_range_or_a_list(vip: object, addresses: tuple[str, ...]) -> None:
    """Every address of a range counts; a name with a hyphen is a name."""
    assert read_cluster_network(PATH, {"vip": vip}).vips == addresses


STATIC = {"static_ip": "10.0.0.5", "nic_name": "eth0", "subnet_mask": "255.255.255.0"}


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"vip": "10.0.0.9-10.0.0.1"}, "site.yaml: cluster.vip: '10.0.0.9-10.0.0.1' is a range of -7 addresses"),
        ({"vip": "10.0.0.1-10.9.0.1"}, "at most 256 addresses"),
        ({"vip": "10.0.0.1-fd00::1"}, "write FIRST-LAST"),
        ({"vip": "10.0.0.300-10.0.0.301"}, "does not appear to be an IPv4 or IPv6 address"),
        ({"vip": ["10.0.0.1-10.0.0.3", "10.0.0.2"]}, "10.0.0.2 is there twice"),
        ({"overlay_cidr_range": "100.64.0.0/33"}, "site.yaml: cluster.overlay_cidr_range"),
        ({"overlay_cidr_range": "100.64.0.1"}, "is too small"),
        ({"endpoint_type": "DDNS"}, "cluster.endpoint_type: DDNS needs names or addresses"),
        ({"vip": "a.example", "ddns_search_domain": "example"}, "cluster.ddns_search_domain: the endpoint is of type"),
        ({"static_ip": "10.0.0.5"}, "edge_hosts[0].static_ip: a static address needs nic_name and subnet_mask as well"),
        ({**STATIC, "static_ip": "10.0.0.500"}, "edge_hosts[0].static_ip: '10"),
        ({**STATIC, "subnet_mask": "255.0.1.0"}, "a mask as in 255.255.255.0"),
        ({**STATIC, "default_gateway": "10.0.1.1"}, "edge_hosts[0].default_gateway: 10.0.1.1 is not in 10.0.0.0/24"),
        ({"tag": "rack:2", "host_name": "edge"}, "edge_hosts[0].host_name: many hosts may have a tag"),
    ],
)
def test_a_wrong_network_is_one_line(section: dict[str, Any], words: str) -> None:
    """The file, the key or host, and what would be right are named."""
    of_a_host = section.keys() & {"static_ip", "host_name"}
    with pytest.raises(BadSiteFileError) as refused:
        read_host_network(PATH, "edge_hosts[0]", section) if of_a_host else read_cluster_network(PATH, section)

    assert words in str(refused.value)


def test_a_hosts_network_is_sent_as_the_vendors_terraform_provider_sends_it() -> None:
    """Name and interface go with the host; a host of which nothing is said is sent by its uid alone."""
    more = {"default_gateway": "10.0.0.1", "dns_servers": ["10.0.0.2"]}
    host = {"uid": "a", "host_name": "edge-a", **STATIC, **more}
    control, workers = pools_of(("a", "b"), ClusterNetwork(), {}, {"a": read_host_network(PATH, "edge_hosts[0]", host)})

    assert [each.body() for each in (*control.hosts, *workers.hosts)] == [
        {
            "hostUid": "a",
            "hostName": "edge-a",
            "nic": {
                "nicName": "eth0", "ip": "10.0.0.5", "subnet": "255.255.255.0", "gateway": "10.0.0.1",
                "dns": ["10.0.0.2"],
            },
        },
        {"hostUid": "b"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("section", "endpoint"),
    [
        ({"vip": "api.example", "endpoint_type": "External"}, {"host": "api.example", "type": "External"}),
        (
            {"vip": "edge", "endpoint_type": "DDNS", "ddns_search_domain": "qa.example"},
            {"host": "edge", "type": "DDNS", "ddnsSearchDomain": "qa.example"},
        ),
    ],
)
def test_an_endpoint_can_be_of_another_type(section: dict[str, Any], endpoint: dict[str, str]) -> None:
    """DDNS and an endpoint that somebody else provides have their own types."""
    assert wished(section, "h1")["cloudConfig"]["controlPlaneEndpoint"] == endpoint


def wished(section: dict[str, Any], *hosts: str) -> Any:  # noqa: ANN401 - JSON
    """Return the specification that is sent for a cluster of these hosts."""
    wish = read_cluster_network(PATH, section)
    vip = wish.vips[0] if wish.vips else wish.overlay_endpoint
    pools = pools_of(hosts, wish)
    two_node = wish.two_node
    return ClusterRequest(
        "c", (AttachedProfile("p"),), pools, vip=vip, overlay=wish.overlay, ssh_keys=wish.ssh_keys,
        ntp_servers=wish.ntp_servers, two_node=two_node, endpoint=wish.endpoint, search_domain=wish.search_domain,
    ).body()["spec"]  # fmt: skip


def test_a_virtual_ip_is_sent_as_the_vendors_terraform_provider_sends_it() -> None:
    """The endpoint has the type VIP, and there is no overlay network."""
    cloud = wished({"vip": "10.0.0.5", "ntp_servers": ["ntp"], "ssh_keys": ["k"]}, "h1")["cloudConfig"]

    assert cloud == {
        "controlPlaneEndpoint": {"host": "10.0.0.5", "type": "VIP"},
        "overlayNetworkConfiguration": {"enable": False},
        "sshKeys": ["k"],
        "ntpServers": ["ntp"],
        "isTwoNodeCluster": False,
    }


def test_an_overlay_has_its_first_address_for_endpoint() -> None:
    """Without a virtual IP the first address of the overlay's range is the endpoint, of type VIP."""
    cloud = wished({"overlay_cidr_range": "100.64.192.0/23"}, "h1")["cloudConfig"]

    assert cloud["controlPlaneEndpoint"] == {"host": "100.64.192.1", "type": "VIP"}
    assert cloud["overlayNetworkConfiguration"] == {"cidr": "100.64.192.0/23", "enable": True}


def test_palette_assigns_an_address_where_the_site_names_none() -> None:
    """The endpoint is empty."""
    assert wished({}, "h1")["cloudConfig"]["controlPlaneEndpoint"] == {}


def test_workers_have_a_pool_of_their_own() -> None:
    """The first host leads; the control plane works as well unless the site says otherwise."""
    control, workers = (
        pool["poolConfig"] for pool in wished({"control_plane_as_worker": False}, "a", "b", "c")["machinepoolconfig"]
    )

    assert (control["labels"], control["size"], control["useControlPlaneAsWorker"]) == (["control-plane"], 1, False)
    assert (workers["labels"], workers["size"], workers["isControlPlane"]) == (["worker"], 2, False)


def test_two_hosts_make_a_two_node_cluster_where_the_site_wants_it() -> None:
    """Both hosts are of the control plane, one primary and one secondary."""
    spec = wished({"two_node": True}, "a", "b")
    (pool,) = spec["machinepoolconfig"]

    assert spec["cloudConfig"]["isTwoNodeCluster"]
    assert [host["twoNodeCandidatePriority"] for host in pool["cloudConfig"]["edgeHosts"]] == ["primary", "secondary"]


def test_one_host_is_an_ordinary_cluster_on_a_site_of_two_nodes() -> None:
    """A case that needs one host has one."""
    assert len(pools_of(["a"], ClusterNetwork(two_node=True))) == 1


def test_a_pool_has_the_architecture_of_its_hosts() -> None:
    """What Palette says of the hosts is asked for; a host of which it says nothing is amd64."""
    pools = pools_of(("a", "b"), ClusterNetwork(), {"a": "arm64", "b": ""})

    assert [pool.architecture for pool in pools] == ["arm64", "amd64"]


def test_workers_of_two_architectures_have_two_pools() -> None:
    """Palette refuses a pool with hosts of another architecture than its own."""
    pools = pools_of(tuple("abcd"), ClusterNetwork(), {"b": "amd64", "c": "arm64", "d": "amd64"})

    assert [(pool.name, pool.architecture, [host.uid for host in pool.hosts]) for pool in pools] == [
        ("control-plane-pool", "amd64", ["a"]),
        ("worker-pool", "amd64", ["b", "d"]),
        ("worker-pool-arm64", "arm64", ["c"]),
    ]
