"""The private registry: the server itself, its accounts and images, and the witness in front of it.

Most users need the names below. They are loaded when they are first used: the transforms in this package also run on
hosts that have none of the libraries which the rest needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.address import RegistryAddress
    from registry.client import RegistryClient
    from registry.htpasswd import UnusableCredential
    from registry.images import Image
    from registry.manifests import RegistryError
    from registry.mint import Difference, mint
    from registry.server import Account, PrivateRegistry
    from registry.tls import Authority, ServerCertificate
    from registry.witness import Witness

__all__ = [
    "Account",
    "Authority",
    "Difference",
    "Image",
    "PrivateRegistry",
    "RegistryAddress",
    "RegistryClient",
    "RegistryError",
    "ServerCertificate",
    "UnusableCredential",
    "Witness",
    "mint",
]

_HOMES = {
    "Account": "server",
    "Authority": "tls",
    "Difference": "mint",
    "Image": "images",
    "PrivateRegistry": "server",
    "RegistryAddress": "address",
    "RegistryClient": "client",
    "RegistryError": "manifests",
    "ServerCertificate": "tls",
    "UnusableCredential": "htpasswd",
    "Witness": "witness",
    "mint": "mint",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
