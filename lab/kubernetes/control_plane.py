"""The command lines of a small control plane: etcd and kube-apiserver, at fixed ports of one address.

Only what a cluster of a test needs is on: no aggregation of other APIs, and etcd does not wait for its disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

API_PORT, ETCD_PORT, PEER_PORT = 6443, 2379, 2380
SERVICES = "10.152.0.0/24"
#: Where kube-apiserver finds the files of :meth:`lab.kubernetes.pki.ClusterPki.server_files`.
_FILES = {
    "client-ca-file": "ca.crt",
    "tls-cert-file": "apiserver.crt",
    "tls-private-key-file": "apiserver.key",
    "service-account-key-file": "sa.key",
    "service-account-signing-key-file": "sa.key",
}


@dataclass(frozen=True)
class ControlPlane:
    """Where a control plane's programs, files and data are, and at which address it listens."""

    programs: Path
    area: Path
    address: str
    local: str = "127.0.0.1"  # where etcd listens: to everybody on this machine, and so never further

    @property
    def server(self) -> str:
        """The URL of the API."""
        return f"https://{self.address}:{API_PORT}"

    def etcd(self) -> list[str]:
        """Return the command that runs etcd."""
        clients, peers = f"http://{self.local}:{ETCD_PORT}", f"http://{self.local}:{PEER_PORT}"
        return _command(
            self.programs / "etcd",
            {
                "data-dir": str(self.area / "etcd"),
                "listen-client-urls": clients,
                "advertise-client-urls": clients,
                "listen-peer-urls": peers,
                "initial-advertise-peer-urls": peers,
                "initial-cluster": f"default={peers}",
                "unsafe-no-fsync": "true",
                "log-level": "warn",
            },
        )

    def api_server(self) -> list[str]:
        """Return the command that runs kube-apiserver; it tries until its etcd answers."""
        return _command(
            self.programs / "kube-apiserver",
            {
                **{option: str(self.area / file) for option, file in _FILES.items()},
                "etcd-servers": f"http://{self.local}:{ETCD_PORT}",
                "bind-address": self.address,
                "advertise-address": self.address,
                "secure-port": str(API_PORT),
                "service-account-issuer": self.server,
                "service-cluster-ip-range": SERVICES,
                "endpoint-reconciler-type": "none",
                "authorization-mode": "Node,RBAC",
                "allow-privileged": "true",
                "profiling": "false",
            },
        )


def _command(program: Path, options: dict[str, str]) -> list[str]:
    return [str(program), *(f"--{name}={value}" for name, value in options.items())]
