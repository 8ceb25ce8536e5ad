"""A lab's hosts show the Kubernetes distribution of its kind, and a Kubernetes layer of another does not run."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from edge import Mode
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.sites.base_profile import WantedProfile
from harness.sites.site import Site
from harness.sites.site_file import read_site_file
from lab.kinds import KINDS, KindName, misfit
from palette.errors import PaletteError
from tests.lab.ground import Ground, open_ground, running_lab, wait_for_event

RKE2 = {"KAIROS_SOFTWARE_VERSION_PREFIX": "rke2", "KAIROS_SOFTWARE_VERSION": "v1.30.5+rke2r1"}


@pytest.mark.parametrize(
    ("kind", "distribution", "units"),
    [("rke2", "rke2", {"rke2-server", "rke2-agent"}), ("kubeadm", "pxk-e", {"kubelet"})],
)
def test_hosts_are_those_of_the_kind(
    kind: KindName, distribution: str, units: set[str], engine: docker.DockerClient, tmp_path: Path
) -> None:
    """Units, runtime and release facts are the distribution's, on control plane and worker, after deploy and repave."""
    with running_lab(2, kind=kind) as lab, open_ground(lab, engine, tmp_path) as ground:
        with ground.registry.account() as account, ground.site.deploy(ground.layer(account), hosts=2) as cluster:
            cluster.repave(ground.layer(account))
            layouts = [host.layout() for host in cluster.hosts]
            assert {layout.kubernetes_unit for layout in layouts} == units
            assert {str(layout.distribution) for layout in layouts} == {distribution}
            assert all(host.unit(host.runtime_unit).is_running for host in cluster.hosts)
            release = cluster.host.boot().release
            assert release["KAIROS_SOFTWARE_VERSION"] == KINDS[kind].version


@pytest.mark.parametrize(
    ("kind", "units"),
    [("k3s", ("spectro-stylus-agent", "k3s")), ("kubeadm", ("spectro-stylus-agent", "spectro-containerd"))],
)
def test_hosts_in_agent_mode_are_laid_out_as_documented(
    kind: KindName, units: tuple[str, str], engine: docker.DockerClient, tmp_path: Path
) -> None:
    """Units, user data and Palette's word are those of agent mode; which image such a host runs nothing tells."""
    with running_lab(1, kind=kind, mode="agent-mode") as lab, open_ground(lab, engine, tmp_path) as ground:
        assert ground.site.project.edge_hosts.get("edge-1").host_type == "agent-mode"
        assert ground.host.layout().cluster_units == ("spectro-stylus-agent",)
        with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
            first = cluster.host.boot()
            cluster.repave(ground.layer(account))
            layout, boot = cluster.host.layout(), cluster.host.boot()
            assert (layout.mode, layout.root, layout.cluster_units) == (Mode.AGENT, "/persistent/spectro", units)
            assert [unit for unit in units if not cluster.host.unit(unit).is_running] == []
            assert cluster.host.file("/var/lib/spectro/userdata").exists
            assert not cluster.host.file("/run/cos").exists
            assert boot.boot_id != first.boot_id
            assert (boot.slot, boot.names_image, cluster.wrong_boot()) == ("unknown", False, "")
            [said] = set(ground.site.evidence.undocumented)
            assert said.startswith("host edge-1 is in agent-mode: no page says how such a host tells which")


def test_a_kubernetes_layer_that_does_not_fit_leaves_the_cluster_not_running(ground: Ground, tmp_path: Path) -> None:
    """The image boots, the cluster stays Provisioning, and an event says what does not fit what."""
    project, base = ground.site.project, ground.site.base
    assert base is not None
    packs = project.profiles.get(base.uid).packs
    other = project.packs.versions("edge-rke2", project.registries.named().uid).by_tag["1.30.5"]
    made = project.profiles.create("misfit", [other if pack.layer == "k8s" else pack for pack in packs])
    file = replace(read_site_file(ground.lab.site_file), profile=WantedProfile("misfit"))
    try:
        with (
            Site.open(file, "own-misfit", Ledger(), Evidence(tmp_path)) as site,
            ground.registry.account() as account,
            site.begin_deploy(ground.layer(account)) as cluster,
        ):
            event = wait_for_event(cluster, "FailedOnHost")
            assert "edge-rke2 1.30.5 does not fit the provider image, which holds k3s v1.31.4+k3s1" in event.message
            assert project.clusters.get(cluster.uid).state == "Provisioning"
    finally:
        with suppress(PaletteError):
            project.profiles.delete(made)


@pytest.mark.parametrize(
    ("pack", "tag", "release", "said"),
    [
        ("edge-rke2", "1.30.5", RKE2, ""),
        ("edge-rke2", "1.29.5", RKE2, "edge-rke2 1.29.5 does not fit .* rke2 v1.30.5"),
        ("edge-k3s", "1.30.5", RKE2, "edge-k3s 1.30.5 does not fit"),
        ("edge-k3s", "1.30.5", {}, ""),
        ("my-kubernetes", "1.0.0", RKE2, ""),
    ],
)
def test_what_fits_what(pack: str, tag: str, release: dict[str, str], said: str) -> None:
    """Distribution and version have to be those of the image; of an image that says nothing any layer is taken."""
    assert re.fullmatch(f".*{said}.*" if said else "", misfit((pack, tag), release))
