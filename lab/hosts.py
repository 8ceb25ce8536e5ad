"""The lab's Edge hosts: containers in which a firmware boots real systemd systems."""

from __future__ import annotations

import ipaddress
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import yaml
from docker.errors import APIError
from docker.types import IPAMConfig, IPAMPool, Mount

from lab.images import HostImages, unconfined

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker
    from docker.models.containers import Container
    from docker.models.networks import Network

#: How Palette's agent came onto a host, in the words of Palette's API (``spec.device.hostType``).
HostMode = Literal["appliance", "agent-mode"]
SOURCE = Path(__file__).parent
#: The least a system needs that mounts its own root, runs services under their own users and reboots itself.
CAPABILITIES = (
    "SYS_ADMIN", "SYS_BOOT", "SYS_CHROOT", "MKNOD", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "SETGID",
    "SETUID", "SETPCAP", "SETFCAP", "NET_BIND_SERVICE", "AUDIT_WRITE",
)  # fmt: skip
#: Names under which hosts reach this machine: the registry, and others for cases about wrong addresses.
NAMES = ("registry.lab.example", "registry2.lab.example", "other.lab.example", "palette.lab.example")
#: What a kubelet and its runtime need beside: a network's loopback, raw sockets, other users' processes.
FOR_KUBERNETES = ("NET_ADMIN", "NET_RAW", "SYS_PTRACE")
ROUTES = Path("/proc/net/route")
_FIRST_VIP = 150  # above the gateway; hosts are numbered from the gateway upwards


@dataclass(frozen=True)
class LabNetwork:
    """The lab's own network: internal, so that nothing on it reaches further than this machine."""

    network: Network
    gateway: str

    def address_of(self, number: int) -> str:
        """Return the fixed address of Edge host ``number`` (counted from 1)."""
        return str(ipaddress.ip_address(self.gateway) + 9 + number)

    def virtual_ips(self, count: int) -> str:
        """Return a range of ``count`` addresses that no host has, for the control planes of clusters."""
        first = ipaddress.ip_address(self.gateway) + _FIRST_VIP
        return f"{first}-{first + count - 1}"


def create_network(client: docker.DockerClient, name: str, labels: Mapping[str, str]) -> LabNetwork:
    """Create the lab's network in a range that no other network of the engine uses, and best no route leads to."""
    taken = [
        ipaddress.ip_network(pool["Subnet"])
        for network in client.networks.list()
        for pool in (network.attrs.get("IPAM") or {}).get("Config") or ()
        if "." in pool.get("Subnet", "")
    ]
    routed = _routed()
    candidates = list(ipaddress.IPv4Network("172.28.0.0/14").subnets(new_prefix=24))
    candidates.sort(key=lambda candidate: any(candidate.overlaps(route) for route in routed))
    for candidate in candidates:
        if any(candidate.overlaps(network) for network in taken):
            continue
        gateway = str(candidate[1])
        pool = IPAMPool(subnet=str(candidate), gateway=gateway)
        try:
            network = client.networks.create(
                name, driver="bridge", internal=True, labels=dict(labels), ipam=IPAMConfig(pool_configs=[pool])
            )
        except APIError as error:
            if "overlaps" not in str(error):
                raise
            continue  # another lab took this range since we looked
        return LabNetwork(network, gateway)
    raise RuntimeError("the engine has no free network between 172.28.0.0 and 172.31.255.0; remove unused ones")


def _routed() -> list[ipaddress.IPv4Network]:
    """Return the ranges to which this machine has routes, such as those of a company's network."""
    rows = [line.split() for line in ROUTES.read_text().splitlines()[1:]] if ROUTES.exists() else []
    found = [(socket.ntohl(int(row[1], 16)), socket.ntohl(int(row[7], 16))) for row in rows]
    return [ipaddress.IPv4Network((to, mask.bit_count())) for to, mask in found if mask]


@dataclass(frozen=True)
class HostSettings:
    """What distinguishes one Edge host: its name, its place on the network, and the user data it boots with.

    ``machine`` is what ``uname -m`` says there; "" is what this machine says. Nothing else of another machine is there.
    """

    name: str
    address: str
    user_data: Mapping[str, object]
    authorized_key: str
    programs: Path | None = None
    machine: str = ""
    mode: HostMode = "appliance"


@dataclass(frozen=True)
class LabHost:
    """A running Edge host of the lab."""

    settings: HostSettings
    container: Container

    @property
    def console(self) -> str:
        """The last lines that the host wrote to its console, as one."""
        return " / ".join(self.container.logs(tail=5).decode(errors="replace").split("\n")).strip(" /")

    def has_ended(self) -> bool:
        """Return whether the host has no power: it was shut down, or could not boot."""
        self.container.reload()
        return bool(self.container.status == "exited")

    def cut_power(self) -> None:
        """Take the power away for a moment: the host boots again with whatever was on its disk."""
        self.container.kill("SIGUSR1")


def start_host(
    client: docker.DockerClient,
    images: HostImages,
    network: LabNetwork,
    settings: HostSettings,
    *,
    run: str,
    area: Path,
    labels: Mapping[str, str],
) -> LabHost:
    """Create and power on a host; it is ready when its agent has registered with Palette."""
    user_data = _write_user_data(area, settings)
    name = f"{run}-{settings.name}"
    client.volumes.create(name, labels=dict(labels))
    network_name = str(network.network.name)
    container = client.containers.create(
        images.engine_image,
        name=name,
        hostname=settings.name,
        labels=dict(labels),
        cap_drop=["ALL"],
        cap_add=[*CAPABILITIES, *(FOR_KUBERNETES if settings.programs else ())],
        security_opt=unconfined(client),
        cgroupns="private",
        tmpfs={"/run": "", "/tmp": ""},  # noqa: S108 - the container's own
        mounts=[
            Mount("/state", name),
            Mount("/seed", images.medium, read_only=True),
            Mount("/user-data", str(user_data), type="bind", read_only=True),
            Mount("/opt/lab/lab", str(SOURCE), type="bind", read_only=True),
            *_ours(),
            *(
                [Mount("/opt/lab/programs", str(settings.programs), "bind", read_only=True)]
                if settings.programs
                else ()
            ),
        ],
        extra_hosts=dict.fromkeys(NAMES, network.gateway),
        network=network_name,
        networking_config={network_name: client.api.create_endpoint_config(ipv4_address=settings.address)},
        pids_limit=4096,
        mem_limit="1g" if settings.programs else "768m",
    )
    container.start()
    return LabHost(settings, container)


def _ours() -> list[Mount]:
    """Mount what the lab's own code needs of ours: the transforms of seeded faults, and the look at the machine."""
    root = SOURCE.parent
    return [
        Mount(f"/opt/lab/{name}", str(root / name), type="bind", read_only=True)
        for name in ("registry/transforms", "engine/machine.py")
    ]


def _write_user_data(area: Path, settings: HostSettings) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"{settings.name}-", dir=area))
    file = folder / ("90_custom.yaml" if settings.mode == "appliance" else "userdata")
    file.write_text("#cloud-config\n" + yaml.safe_dump(dict(settings.user_data), sort_keys=False))
    file.chmod(0o600)
    (folder / "authorized_keys").write_text(settings.authorized_key)
    if settings.machine:
        (folder / "machine").write_text(settings.machine)
    return folder
