"""Whether an engine can carry labs and registries for this process: Docker's, with this machine's files and network.

Registry and lab hosts bind directories of this machine and are reached at addresses of its bridges. An engine in
another container (docker-in-docker) or on another machine answers every request, and then nothing works.
"""

from __future__ import annotations

import ipaddress
import socket
from errno import EADDRNOTAVAIL
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, ImageNotFound
from docker.types import Mount

from engine.tempdirs import temporary_directory

if TYPE_CHECKING:
    import docker

_WHAT_TO_DO = (
    "run where the engine runs: as a shell on its machine, or in a container with its network "
    "(network_mode: host) and with TMPDIR and this folder mounted at the same paths"
)
#: Kinds of engine whose containers have another network or other users than this machine, by what they say of it.
_KINDS = {"name=rootless": "rootless", "name=userns": "one with userns-remap"}
_NO_IMAGE = "palette-edge-conformance/no-such-image:0"


def trouble_with(client: docker.DockerClient) -> str:
    """Return why this engine cannot be used, and what to do; an empty text when it can."""
    if kind := _kind(client.version(), client.info()):
        return f"the engine is {kind}, which carries neither registry nor lab; use a rootful Docker engine"
    with temporary_directory("engine") as directory:
        for path in (directory, Path(__file__)):
            if not sees(client, path):
                return f"the Docker engine does not see {path}: it has other files than this process; {_WHAT_TO_DO}"
    if away := _address_away(client):
        return f"the Docker engine's address {away} is not one of this machine; {_WHAT_TO_DO}"
    return ""


def _kind(version: dict[str, Any], info: dict[str, Any]) -> str:
    components = [str(component.get("Name", "")) for component in version.get("Components") or ()]
    if any("podman" in name.lower() for name in components):
        return "Podman"
    options = " ".join(map(str, info.get("SecurityOptions") or ()))
    return next((kind for word, kind in _KINDS.items() if word in options), "")


def sees(client: docker.DockerClient, path: Path) -> bool:
    """Return whether the engine finds a path: it looks for what is to be mounted before it looks for the image."""
    try:
        client.containers.create(_NO_IMAGE, mounts=[Mount("/seen", str(path), type="bind", read_only=True)])
    except ImageNotFound:
        return True
    except APIError as error:
        return "does not exist" not in str(error.explanation)
    return True


def _address_away(client: docker.DockerClient) -> str:
    """Return the address of the engine's default bridge, if no program of this machine can have it."""
    for network in client.networks.list(names=["bridge"], filters={"driver": "bridge"}):
        for pool in (network.attrs.get("IPAM") or {}).get("Config") or ():
            # an engine that was never told the gateway takes the first address
            gateway = pool.get("Gateway") or str(ipaddress.ip_network(pool["Subnet"])[1])
            if _is_away(gateway):
                return str(gateway)
    return ""


def _is_away(address: str) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.errno == EADDRNOTAVAIL
    return False
