"""How the registry credential reaches a repave: as a Kubernetes Secret, base64 in ``data``, decoded exactly once."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from lab.agent import places

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Credential:
    """A login for one registry. Values are text; a fault's raw bytes travel as surrogates (PEP 383)."""

    registry: str
    username: str
    password: str = field(repr=False)


def store(credential: Credential | None, write: Callable[[Path, str], None] = places.write_private) -> None:
    """Write the Secret, or remove it when the cluster has no credential."""
    if credential is None:
        places.SECRET.unlink(missing_ok=True)
        return
    document = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "provider-credentials", "namespace": "spectro-task"},
        "type": "Opaque",
        "data": {
            "registry": _encode(credential.registry),
            "username": _encode(credential.username),
            "password": _encode(credential.password),
        },
    }
    write(places.SECRET, yaml.safe_dump(document, sort_keys=False))


def load() -> Credential | None:
    """Read the Secret back, each value decoded once, as every reader of a Secret does."""
    try:
        data = yaml.safe_load(places.SECRET.read_text())["data"]
    except OSError:
        return None
    return Credential(_decode(data["registry"]), _decode(data["username"]), _decode(data["password"]))


def decode_once(text: str) -> str:
    """Decode what a profile declares as ``encodedPassword``; text that is not base64 is kept as it is."""
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "surrogateescape")
    except (ValueError, binascii.Error):
        return text


def _encode(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()


def _decode(text: str) -> str:
    return base64.b64decode(text).decode("utf-8", "surrogateescape")
