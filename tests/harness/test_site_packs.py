"""Without a profile of the user's, a site's layers are named in the site file or derived from the provider image."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.sites.base_profile import UnusableProfileError, WantedProfile, find_base
from harness.sites.packs import WantedPack, WantedPacks, find_packs, newest
from harness.sites.provider_kubernetes import Kubernetes, held_kubernetes, kubernetes_of
from harness.sites.site_references import BadSiteFileError
from palette.profiles import Pack
from palette.versions import version_key
from tests.harness.palette_site import PaletteSite, image, palette_site

K3S = Kubernetes("k3s", "v1.30.5+k3s1")
FACTS = {"KAIROS_SOFTWARE_VERSION_PREFIX": "rke2", "KAIROS_SOFTWARE_VERSION": "v1.30.5+rke2r1"}
IN_ORDER = (
    "latest", "1.9", "1.29.5", "1.33.x", "1.33.9", "1.33.10-rc1", "1.33.10-rc2", "1.33.10", "1.33.10-k3s0",
    "v1.33.10+k3s1", "1.33.10-k3s2", "1.33.10-k3s10", "1.34.0",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaletteSite]:
    """Yield a site that is a Palette endpoint only."""
    with palette_site(tmp_path_factory.mktemp("site")) as found:
        yield found


def test_versions_are_compared_as_versions() -> None:
    """1.33.10 comes after 1.33.9, -k3s1 after -k3s0, a release candidate before its release."""
    shuffled = list(IN_ORDER)
    random.Random(1).shuffle(shuffled)  # noqa: S311 - an order, no secret

    assert sorted(shuffled, key=version_key) == list(IN_ORDER)
    by_tag = {tag: Pack("edge-k3s", tag=tag) for tag in shuffled}
    assert newest(by_tag).tag == "1.34.0"
    del by_tag["1.34.0"]
    assert newest(by_tag).tag == "1.33.10-k3s10"


@pytest.mark.parametrize(
    ("release", "labels", "tag", "held"),
    [
        (FACTS, {}, "v1", "rke2 v1.30.5+rke2r1"),
        ({**FACTS, "KAIROS_SOFTWARE_VERSION_PREFIX": "kubeadm-fips"}, {}, "v1", "kubeadm v1.30.5+rke2r1"),
        ({}, {"kairos.io/software-version-prefix": "k3s", "kairos.io/software-version": "v1.31.4+k3s1"}, "v1",
         "k3s v1.31.4+k3s1"),
        ({}, FACTS, "k3s-1.31.4-v4.9.2-qa", "rke2 v1.30.5+rke2r1"),
        ({}, {}, "k3s-1.31.4-v4.9.2-qa", "k3s v1.31.4"),
        ({}, {}, "kubeadm-fips-1.30.5", "kubeadm v1.30.5"),
        ({}, {}, "canonical-1.32.3-v4.9.2", "canonical v1.32.3"),
        ({}, {}, "nodeadm-1.32.3-v4.9.2", None),
        ({**FACTS, "KAIROS_SOFTWARE_VERSION_PREFIX": "k0s"}, {}, "v1", None),
        ({**FACTS, "KAIROS_SOFTWARE_VERSION": "unknown"}, {}, "v1", None),
        ({}, {}, "v1", None),
    ],
)  # fmt: skip
def test_an_image_says_which_kubernetes_it_holds(
    tmp_path: Path, release: dict[str, str], labels: dict[str, str], tag: str, held: str | None
) -> None:
    """Labels count first, then the tag as the vendor's recipes write it, then the release file; else it is unknown."""
    found = kubernetes_of(image(tmp_path, release, labels=labels, tag=tag))

    assert (None if found is None else str(found)) == held


def test_large_layers_are_looked_into_only_where_that_has_to_be_known(tmp_path: Path) -> None:
    """With a profile of the user's a run begins without reading gigabytes for a check."""
    layout = image(tmp_path, FACTS)

    assert kubernetes_of(layout) is not None
    assert kubernetes_of(layout, largest=10) is None


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    """An image that is not there is for others to report."""
    assert held_kubernetes(tmp_path) is None


@pytest.mark.parametrize(
    ("held", "packs"),
    [
        (K3S, ["edge-native-byoi 2.1.0", "edge-k3s 1.30.5", "cni-calico 3.28.0"]),
        (Kubernetes("rke2", "v1.29.5+rke2r2"), ["edge-native-byoi 2.1.0", "edge-rke2 1.29.5", "cni-calico 3.28.0"]),
        (Kubernetes("kubeadm", "v1.30.5"), ["edge-native-byoi 2.1.0", "edge-k8s 1.30.5", "cni-calico 3.28.0"]),
    ],
)
def test_layers_are_derived_from_the_image(site: PaletteSite, held: Kubernetes, packs: list[str]) -> None:
    """The Kubernetes pack is of the image's distribution and version, not the newest of another."""
    with site.project() as project:
        assert [f"{pack.name} {pack.tag}" for pack in find_packs(project, WantedPacks(), held)] == packs


def test_layers_can_be_named(site: PaletteSite) -> None:
    """Name, tag and values of each layer are those of the site file."""
    (site.folder / "rke2.yaml").write_text("cluster: {mine: true}\n")
    wanted = site.file(
        packs={
            "kubernetes": {"name": "edge-rke2", "tag": "1.29.5", "values": "rke2.yaml"},
            "cni": {"name": "cni-custom"},
        }
    ).packs
    with site.project() as project:
        _, kubernetes, cni = find_packs(project, wanted, None)

    assert (kubernetes.name, kubernetes.tag, kubernetes.values) == ("edge-rke2", "1.29.5", "cluster: {mine: true}\n")
    assert (cni.name, cni.tag) == ("cni-custom", "0.1.0")


@pytest.mark.parametrize(
    ("packs", "held", "key", "said"),
    [
        (WantedPacks(), None, "packs.kubernetes", "write packs.kubernetes.name and packs.kubernetes.tag"),
        (WantedPacks(WantedPack("edge-rke2")), None, "packs.kubernetes", "write packs.kubernetes.name and"),
        (WantedPacks(WantedPack("edge-rke2")), K3S, "packs.kubernetes.name", "holds k3s v1.30.5+k3s1; write edge-k3s"),
        (WantedPacks(WantedPack("", "1.29.5")), K3S, "packs.kubernetes", "edge-k3s 1.29.5 does not fit"),
        (WantedPacks(WantedPack("edge-rke2", "1.30.5")), K3S, "packs.kubernetes", "edge-rke2 1.30.5 does not fit"),
        (WantedPacks(), Kubernetes("k3s", "v1.33.9+k3s1"), "packs.kubernetes.tag", "it has 1.31.4, 1.30.5, 1.29.5"),
        (WantedPacks(), Kubernetes("canonical", "v1.32.1"), "packs.kubernetes.name", "has no pack edge-canonical"),
        (WantedPacks(cni=WantedPack("cni-mine")), K3S, "packs.cni.name", "Public Repo has no pack cni-mine"),
        (WantedPacks(cni=WantedPack("cni-calico", "9.9")), K3S, "packs.cni.tag", "no tag 9.9; it has 3.28.0, 3.27.2"),
        (WantedPacks(csi=WantedPack("csi-longhorn", registry="Mine")), K3S, "packs.csi.registry", "no pack registry"),
    ],
)
def test_a_layer_that_cannot_be_derived_is_refused_with_the_key_to_write(
    site: PaletteSite, packs: WantedPacks, held: Kubernetes | None, key: str, said: str
) -> None:
    """One line each, before anything is created."""
    with site.project() as project, pytest.raises(UnusableProfileError) as refused:
        find_packs(project, packs, held)

    assert (refused.value.key, said in str(refused.value)) == (key, True), refused.value


def test_a_profile_whose_kubernetes_is_not_the_image_s_is_refused(site: PaletteSite) -> None:
    """The user's profile has edge-k3s 1.31.4: it fits that version of K3s and no other."""
    with site.project() as project:
        base = find_base(project, WantedProfile("edge-base"))

    base.check_fit(None)
    base.check_fit(Kubernetes("k3s", "v1.31.4+k3s1"))
    for held in (K3S, Kubernetes("rke2", "v1.31.4+rke2r1")):
        with pytest.raises(UnusableProfileError, match=r"edge-base 1\.2\.0: edge-k3s 1\.31\.4 does not fit .* holds"):
            base.check_fit(held)


@pytest.mark.parametrize(
    ("packs", "said"),
    [
        ({"kubernetes": {"tag": 1.33}}, "packs.kubernetes.tag: found 1.33; write the pack's tag in quotes"),
        ({"cni": {"tag": "3.28.0"}}, "packs.cni.name: it is missing; write name: the pack's name"),
        ({"kubernets": {}}, "packs.kubernets: unknown key; did you mean 'kubernetes'?"),
        ({"kubernetes": {"values": "nowhere.yaml"}}, "packs.kubernetes.values: nowhere.yaml is not a file"),
    ],
)
def test_wrong_packs_are_one_line_each(site: PaletteSite, packs: dict[str, Any], said: str) -> None:
    """Key, what was found and what would be right."""
    with pytest.raises(BadSiteFileError) as refused:
        site.file(packs=packs)

    assert said in str(refused.value)


def test_profile_and_packs_do_not_go_together(site: PaletteSite) -> None:
    """A profile has its own packs."""
    with pytest.raises(BadSiteFileError, match=r"packs: there is a profile, .* write profile or packs"):
        site.file(profile="edge-base", packs={"cni": {"name": "cni-custom"}})
