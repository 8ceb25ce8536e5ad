"""The control-plane endpoint of a cluster: what the lab refuses as a real site would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.lab_palette.api import Api, ApiRefusedError, cluster, eventually
from tests.lab_palette.conftest import PaletteLab
from tests.lab_palette.scripted_agent import ScriptedAgent

Hosts = Callable[..., list[ScriptedAgent]]
CREATE = "/v1/spectroclusters/edge-native"


def made(api: Api, name: str, host: str, **cloud: Any) -> str:  # noqa: ANN401 - JSON
    """Ask for a cluster with other network settings."""
    profiles = [found["metadata"] for found in api.get("/v1/dashboard/clusterprofiles/metadata")["items"]]
    profile = profiles[0]["uid"] if profiles else api.make_profile()
    body = cluster(name, profile, (host,))
    body["spec"]["cloudConfig"] |= cloud
    return str(api.call("POST", CREATE, body)["uid"])


def endpoint(host: str) -> dict[str, str]:
    """Return an endpoint."""
    return {"host": host, "type": "VIP"}


def test_an_endpoint_of_another_cluster_is_refused(api: Api, hosts: Hosts) -> None:
    """The refusal names the cluster that has it; once that is gone the endpoint is free."""
    hosts("edge-1", "edge-2")
    first = made(api, "one", "edge-1", controlPlaneEndpoint=endpoint("10.0.0.100"))

    with pytest.raises(ApiRefusedError) as refused:
        made(api, "two", "edge-2", controlPlaneEndpoint=endpoint("10.0.0.100"))

    assert (refused.value.status, refused.value.code) == (409, "ControlPlaneEndpointInUse")
    assert "'one'" in refused.value.message
    api.call("DELETE", f"/v1/spectroclusters/{first}?forceDelete=true")
    eventually(lambda: api.state(first) == "Deleted", "Deleted")
    made(api, "two", "edge-2", controlPlaneEndpoint=endpoint("10.0.0.100"))


@pytest.mark.parametrize("own", ["10.0.0.7", "192.0.2.7"])
def test_an_edge_hosts_own_address_is_no_endpoint(own: str, palette_lab: PaletteLab, hosts: Hosts) -> None:
    """Whichever of its networks it is on."""
    hosts("edge-1")
    agent = palette_lab.agent("edge-2")
    agent.register(nics=[{"nicName": "eth0", "ip": "10.0.0.7"}, {"nicName": "eth1", "ip": "192.0.2.7"}])
    api = palette_lab.client()

    with pytest.raises(ApiRefusedError, match="is the address of Edge host 'edge-2'") as refused:
        made(api, "one", "edge-1", controlPlaneEndpoint=endpoint(own))

    assert refused.value.status == 400


def test_without_an_overlay_an_endpoint_is_needed(api: Api, hosts: Hosts) -> None:
    """An overlay has addresses of its own, so two clusters may have the same endpoint in theirs."""
    hosts("edge-1", "edge-2")
    overlay = {"cidr": "100.64.192.0/23", "enable": True}
    with pytest.raises(ApiRefusedError, match="controlPlaneEndpoint"):
        made(api, "one", "edge-1", controlPlaneEndpoint={})

    for name, host in (("one", "edge-1"), ("two", "edge-2")):
        made(api, name, host, controlPlaneEndpoint=endpoint("100.64.192.1"), overlayNetworkConfiguration=overlay)


def test_a_two_node_cluster_has_two_control_plane_hosts(api: Api, hosts: Hosts) -> None:
    """Two are right there and wrong elsewhere."""
    hosts("edge-1", "edge-2")
    body = cluster("one", api.make_profile(), ("edge-1", "edge-2"))
    with pytest.raises(ApiRefusedError, match="it takes 1, 3 or 5"):
        api.call("POST", CREATE, body)

    body["spec"]["cloudConfig"]["isTwoNodeCluster"] = True
    api.call("POST", CREATE, body)
