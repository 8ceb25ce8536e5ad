"""The packs of the lab's one pack registry, "Public Repo", with plausible default values.

Names and the outline of the values: docs/palette.md §3.3 and §4.1, CanvOS' profile template.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lab.palette.store import PackRecord

BYOOS_VALUES = """\
pack:
  content:
    images:
      - image: "{{.spectro.pack.edge-native-byoi.options.system.uri}}"
      # - image: example.io/my-other-images/example:v1.0.0
      # - image: example.io/my-super-other-images/example:v1.0.0
  # Drain pods before a node is replaced: true, false or auto
  drainPods: "auto"

options:
  system.uri: example.io/my-images/example-custom-os:v1.4.5
"""

K3S_VALUES = """\
cluster:
  config: |
    flannel-backend: none
    disable-network-policy: true
    disable:
      - traefik
      - local-storage
      - servicelb
      - metrics-server
    write-kubeconfig: /run/kubeconfig
    write-kubeconfig-mode: 600
    kube-apiserver-arg:
      - anonymous-auth=true
      - profiling=false
pack:
  palette:
    config:
      oidc:
        identityProvider: noauth
"""

RKE2_VALUES = """\
cluster:
  config: |
    cni: none
    disable:
      - rke2-ingress-nginx
pack:
  palette:
    config:
      oidc:
        identityProvider: noauth
"""

PXKE_VALUES = """\
cluster:
  config: |
    clusterConfiguration:
      apiServer:
        extraArgs:
          anonymous-auth: "true"
pack:
  palette:
    config:
      dashboard:
        identityProvider: palette
"""

CNI_VALUES = """\
pack:
  content:
    images: []
manifests:
  calico:
    encapsulationType: CALICO_IPV4POOL_VXLAN
"""


def _uid(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:24]


REGISTRY_UID = _uid("Public Repo")


@dataclass(frozen=True)
class CataloguePack:
    """A pack as its registry offers it, in its versions, newest last."""

    name: str
    display_name: str
    layer: str
    versions: tuple[str, ...]
    values: str

    def uid(self, version: str) -> str:
        """Return the identity of one version."""
        return _uid(f"{self.name}:{version}")

    @property
    def latest(self) -> str:
        """The newest version."""
        return self.versions[-1]


PACKS: tuple[CataloguePack, ...] = (
    CataloguePack("edge-native-byoi", "BYOS Edge OS", "os", ("1.0.0", "2.0.0", "2.1.0"), BYOOS_VALUES),
    CataloguePack("edge-k3s", "Palette Optimized K3s", "k8s", ("1.29.5", "1.30.5", "1.31.4"), K3S_VALUES),
    CataloguePack("edge-rke2", "Palette Optimized RKE2", "k8s", ("1.29.5", "1.30.5"), RKE2_VALUES),
    CataloguePack("edge-k8s", "Palette eXtended Kubernetes - Edge", "k8s", ("1.29.5", "1.30.5"), PXKE_VALUES),
    CataloguePack("cni-calico", "Calico", "cni", ("3.27.2", "3.28.0"), CNI_VALUES),
    CataloguePack("cni-custom", "Custom CNI", "cni", ("0.1.0",), "pack:\n  content:\n    images: []\n"),
)


def by_name(name: str) -> CataloguePack | None:
    """Return the pack of that name, None when the registry has none."""
    return next((pack for pack in PACKS if pack.name == name), None)


def by_uid(uid: str) -> tuple[CataloguePack, str] | None:
    """Return the pack and version of that identity."""
    return next(((pack, version) for pack in PACKS for version in pack.versions if pack.uid(version) == uid), None)


def pack_version(pack: PackRecord) -> str:
    """Return the version of a profile's pack: that of its identity, else its tag."""
    known = by_uid(pack.uid)
    return known[1] if known else pack.tag
