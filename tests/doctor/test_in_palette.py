"""What the doctor finds by asking Palette alone: profiles, packs and virtual IPs that no run could work with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from doctor.in_palette import look_at_palette, refusal
from palette import RetryPolicy
from palette.cluster_request import AttachedProfile, ClusterRequest, MachinePool, PoolHost
from tests.harness.palette_site import PaletteSite, image, palette_site

K3S = {"KAIROS_SOFTWARE_VERSION_PREFIX": "k3s", "KAIROS_SOFTWARE_VERSION": "v1.31.4+k3s1"}
RKE2 = {"KAIROS_SOFTWARE_VERSION_PREFIX": "rke2", "KAIROS_SOFTWARE_VERSION": "v1.30.5+rke2r1"}
BASE = {"profile": "edge-base"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaletteSite]:
    """Yield a project with two free Edge hosts, one in a cluster with an endpoint, and profiles of many kinds."""
    with palette_site(tmp_path_factory.mktemp("site")) as found:
        for number in (1, 2, 3):
            found.register(f"edge-{number}", f"10.0.0.1{number}")
        with found.project() as project:
            (base,) = (each.uid for each in project.profiles.list() if each.name == "edge-base")
            packs = project.profiles.get(base).packs
            project.profiles.create("draft", packs, publish=False)
            project.profiles.create("no-os", packs[1:], kind="add-on")
            attached = (AttachedProfile(base),)
            pools = (MachinePool("control-plane-pool", (PoolHost("edge-3"),)),)
            project.clusters.create(ClusterRequest("other", attached, pools, vip="10.0.0.99"))
        (found.folder / "na.yaml").write_text("options:\n  system.uri: NA   # systemd extensions\n")
        (found.folder / "external.yaml").write_text("stages:\n  boot:\n  - registryCredentials: {domain: x}\n")
        yield found


@pytest.mark.parametrize(
    ("release", "changes", "said"),
    [
        (K3S, BASE, ""),
        (RKE2, {}, ""),
        (K3S, {"profile": "edge-bass"}, "profile: profile: there is no cluster profile edge-bass; the project has: "),
        (K3S, {"profile": "draft"}, "profile: profile: draft 1.0.0 is a draft; publish it"),
        (K3S, {"profile": "no-os"}, "profile: profile: no-os 1.0.0: its OS layers are none; a run needs one"),
        (K3S, {"profile": {"name": "edge-base", "os_values": "external.yaml"}}, "has registryCredentials"),
        (K3S, {"profile": {"name": "edge-base", "os_values": "na.yaml"}}, "the scenario does not exist there"),
        (RKE2, BASE, "edge-base 1.2.0: edge-k3s 1.31.4 does not fit the provider image, which holds rke2 v1.30.5"),
        ({}, {}, "profile: packs.kubernetes: what Kubernetes the provider image holds"),
        (K3S, {**BASE, "cluster": None}, "not checked: cluster.vip: neither a virtual IP nor an overlay is named"),
        (K3S, {**BASE, "cluster": {"overlay_cidr_range": "100.64.0.0/23"}}, ""),
        (K3S, {**BASE, "cluster": {"vip": "10.0.0.50"}}, "note: cluster.vip: there are 1 virtual IP for 2 Edge hosts"),
        (K3S, {**BASE, "cluster": {"vip": ["10.0.0.11", "10.0.0.50"]}}, "10.0.0.11 is the address of Edge host edge-1"),
        (K3S, {**BASE, "cluster": {"vip": ["10.0.0.50", "10.0.0.99"]}}, "10.0.0.99 is the endpoint of another cluster"),
    ],
)  # fmt: skip
def test_what_palette_says_of_a_site(
    site: PaletteSite, release: dict[str, str], changes: dict[str, Any], said: str
) -> None:
    """One line for what stands in the way, none for a site that is right."""
    layout = image(site.folder / "image-of-the-case", release)
    found = [str(finding) for finding in look_at_palette(site.file(provider_image=f"oci:{layout}", **changes)).findings]

    assert [line for line in found if said in line and said] == found, found
    assert len(found) == bool(said)


def test_a_run_refuses_layers_that_do_not_fit_before_anything_is_made(site: PaletteSite) -> None:
    """The same line is the run's reason to end."""
    file = site.file(provider_image=f"oci:{image(site.folder / 'rke2', RKE2)}", **BASE)

    assert "edge-k3s 1.31.4 does not fit" in str(refusal(file, RetryPolicy()))
