"""A cluster's certificates, as its maker issues them: one authority for servers and clients, and a kubeconfig."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import trustme
import yaml

ADMINISTRATORS = "system:masters"
#: What a certificate of a user needs and nobody looks at: its subject says who she is.
_NO_HOST = "user.invalid"


class ClusterPki:
    """The authority of one cluster."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="lab kubernetes")
        self._service_accounts = self._authority.issue_cert(_NO_HOST).private_key_pem.bytes().decode()

    @property
    def authority(self) -> str:
        """The certificate of the authority, as PEM."""
        return self._authority.cert_pem.bytes().decode()

    def server_files(self, *names: str) -> dict[str, str]:
        """Return what an API server at these names needs: file name and PEM text."""
        issued = self._authority.issue_cert(*names, common_name="kube-apiserver")
        return {
            "ca.crt": self.authority,
            "apiserver.crt": b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode(),
            "apiserver.key": issued.private_key_pem.bytes().decode(),
            "sa.key": self._service_accounts,
        }

    def user(
        self, name: str = "admin", group: str = ADMINISTRATORS, *, lasts: timedelta = timedelta(days=1)
    ) -> tuple[bytes, bytes]:
        """Return the certificate and key of a user of a group; one that ``lasts`` less than nothing has expired."""
        until = datetime.now(UTC) + lasts
        issued = self._authority.issue_cert(
            _NO_HOST, common_name=name, organization_name=group, not_before=until - timedelta(days=2), not_after=until
        )
        return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()

    def kubeconfig(self, server: str, **user: Any) -> str:  # noqa: ANN401 - those of :meth:`user`
        """Return a kubeconfig for a user."""
        return _kubeconfig(server, self.authority.encode(), *self.user(**user))


def _kubeconfig(server: str, authority: bytes, certificate: bytes, key: bytes) -> str:
    def data(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    document: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": data(authority)}}],
        "users": [
            {"name": "lab", "user": {"client-certificate-data": data(certificate), "client-key-data": data(key)}}
        ],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
    return yaml.safe_dump(document, sort_keys=False)
