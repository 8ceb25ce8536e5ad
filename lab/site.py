"""A running lab: Palette endpoint, network and Edge hosts, brought up and taken down as one.

The lab runs in a process of its own (:mod:`lab.serving`) and is used through what it writes: a site file like that of
any other site.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import ssl
import subprocess
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import trustme
import yaml

from engine import ownership
from engine.children import environment
from engine.trouble import TROUBLE
from lab import base_profile, hosts, images
from lab.kinds import KINDS
from lab.palette.server import PaletteEndpoint
from lab.palette.settings import Settings, Strictness

if TYPE_CHECKING:
    from pathlib import Path

    import docker
    from docker.models.containers import Container

    from lab.settings import LabSettings, Message


Say = Callable[[str], None]

#: Seconds until every host must have registered; a host boots and registers in about one.
REGISTRATION = 60.0
HOST_LOOK = 1.0  # seconds between two looks whether hosts have power
USER = "kairos"


@dataclass
class Lab:
    """The parts of a running lab."""

    settings: LabSettings
    client: docker.DockerClient
    images: images.HostImages
    network: hosts.LabNetwork
    authority: trustme.CA
    endpoint: PaletteEndpoint
    port: int
    hosts: list[hosts.LabHost] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address of the lab's Palette, as anybody reaches it."""
        return f"https://{self.network.gateway}:{self.port}"


@contextlib.asynccontextmanager
async def running_lab(
    settings: LabSettings, client: docker.DockerClient, built: images.HostImages, say: Say
) -> AsyncIterator[Lab]:
    """Start, wait until every host is registered, write the site file; afterwards remove everything."""
    run = settings.folder.name
    owner = ownership.Owner.this_process(run)
    try:
        say(f"starting Palette and {settings.hosts} Edge hosts")
        network = await asyncio.to_thread(hosts.create_network, client, run, owner.labels)
        lab = await _start_palette(settings, client, built, network)
        try:
            await asyncio.to_thread(_create_profile, lab)
            await _start_hosts(lab, owner)
            _write_site(lab, await _host_keys([host.settings.address for host in lab.hosts]))
            yield lab
        finally:
            await lab.endpoint.stop()
    finally:
        await asyncio.to_thread(_remove, client, run)


def _remove(client: docker.DockerClient, run: str) -> None:
    """Remove what carries the run's labels; containers in parallel, since each takes a moment."""
    label = ownership.label_of(run)
    containers = client.containers.list(all=True, filters={"label": label}, ignore_removed=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(_remove_quietly, containers))
    ownership.remove_run(client, run)
    left = ownership.left_of(client, run)
    if left:
        sys.stderr.write(f"lab: could not remove {', '.join(left)}\n")


def _remove_quietly(container: Container) -> None:
    with contextlib.suppress(*TROUBLE):  # the second look names what is left
        container.remove(force=True, v=True)


async def _start_palette(
    settings: LabSettings, client: docker.DockerClient, built: images.HostImages, network: hosts.LabNetwork
) -> Lab:
    authority = trustme.CA(organization_name="Lab Palette")
    certificate = authority.issue_cert(network.gateway, *hosts.NAMES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    for name in ("api_key", "token"):
        _write_secret(settings.folder / name, secrets.token_urlsafe(24))
    strict = Strictness() if settings.strict_seed is None else Strictness.strict(settings.strict_seed)
    strict = replace(strict, masks=settings.masks, deploy_s=settings.takes[0], repave_s=settings.takes[1])
    endpoint = PaletteEndpoint(
        Settings(
            api_keys=((settings.folder / "api_key").read_text(),),
            registration_tokens=((settings.folder / "token").read_text(),),
            strictness=strict,
            agent_version=settings.version,
            kubernetes=settings.kubernetes is not None,
        )
    )
    endpoint.seed(settings.faults)
    port = await endpoint.start(network.gateway, 0, context)
    return Lab(settings, client, built, network, authority, endpoint, port)


def _create_profile(lab: Lab) -> None:
    authority = lab.settings.folder / "palette-ca.pem"
    authority.write_bytes(lab.authority.cert_pem.bytes())
    api_key = (lab.settings.folder / "api_key").read_text()
    base_profile.create(lab.url, lab.endpoint.project_uid("Default"), api_key, authority, KINDS[lab.settings.kind])


async def _start_hosts(lab: Lab, owner: ownership.Owner) -> None:
    key = _make_ssh_key(lab.settings.folder)
    with ThreadPoolExecutor(4) as pool:
        loop = asyncio.get_running_loop()
        starts = [
            loop.run_in_executor(pool, _start_host, lab, owner, number, key)
            for number in range(1, lab.settings.hosts + 1)
        ]
        lab.hosts = list(await asyncio.gather(*starts))
    await _registered(lab)


async def _registered(lab: Lab) -> None:
    """Wait until every host is registered. Raises TimeoutError; RuntimeError for a host that could not boot."""
    now = looked = time.monotonic()
    deadline = now + REGISTRATION
    while lab.endpoint.registered_hosts() < lab.settings.hosts:
        now = time.monotonic()
        if now - looked > HOST_LOOK:
            looked = now
            ended = [host for host in lab.hosts if await asyncio.to_thread(host.has_ended)]
            if ended:
                raise RuntimeError(f"an Edge host of the lab could not boot; {_consoles(ended)}")
        if now > deadline:
            raise TimeoutError(
                f"not every Edge host of the lab registered within {REGISTRATION:g} s; {_consoles(lab.hosts)}"
            )
        await asyncio.sleep(0.02)


def _start_host(lab: Lab, owner: ownership.Owner, number: int, key: str) -> hosts.LabHost:
    name = f"edge-{number}"
    user_data: Message = {
        "stylus": {
            "site": {
                "name": name,
                "paletteEndpoint": f"{lab.network.gateway}:{lab.port}",
                "edgeHostToken": (lab.settings.folder / "token").read_text(),
                "caCerts": [lab.authority.cert_pem.bytes().decode()],
                "tags": {"lab": owner.run},
            }
        },
        "stages": {"initramfs": [{"users": {USER: {"ssh_authorized_keys": [key]}}}]},
    }
    machine = "".join(lab.settings.machines[number - 1 : number])
    settings = hosts.HostSettings(
        name, lab.network.address_of(number), user_data, key, lab.settings.kubernetes, machine, lab.settings.mode
    )
    return hosts.start_host(
        lab.client, lab.images, lab.network, settings, run=owner.run, area=lab.settings.folder, labels=owner.labels
    )


def _consoles(shown: Sequence[hosts.LabHost]) -> str:
    return "consoles: " + " | ".join(f"{host.settings.name}: {host.console}" for host in shown)


def _make_ssh_key(folder: Path) -> str:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", folder.name, "-f", str(folder / "ssh_key")]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    return (folder / "ssh_key.pub").read_text()


def _write_secret(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _write_site(lab: Lab, host_keys: str) -> None:
    """Describe the lab as any site is described; the file appears whole, when everything is ready."""
    folder = lab.settings.folder
    (folder / "known_hosts").write_text(host_keys)
    document = {
        "name": "lab",
        "palette": {
            "url": lab.url,
            "project": "Default",
            "api_key": {"file": str(folder / "api_key")},
            "authority": str(folder / "palette-ca.pem"),
            "rate_limits": lab.settings.strict_seed is not None,
        },
        "edge_hosts": [{"uid": h.settings.name, "ssh": f"{USER}@{h.settings.address}"} for h in lab.hosts],
        "ssh": {"key": str(folder / "ssh_key"), "known_hosts": str(folder / "known_hosts"), "sudo": True},
        "cluster": {"vip": lab.network.virtual_ips(len(lab.hosts))},
        "registry": {"bind": lab.network.gateway, "names": list(hosts.NAMES[:2])},
        "provider_image": f"oci:{lab.images.provider_image}",
        "profile": base_profile.NAME,
        "examples": EXAMPLES,
        "same_machine": True,
        "timeouts": TIMEOUTS if lab.settings.strict_seed is None else {**TIMEOUTS, **STRICT_TIMEOUTS},
    }
    if lab.settings.kubernetes:
        document |= {"features": ["kubernetes"], "timeouts": {**TIMEOUTS, **KUBERNETES_TIMEOUTS}}
    partial = folder / "site.yaml.new"
    partial.write_text("# written by the lab; a site file like any other\n" + yaml.safe_dump(document, sort_keys=False))
    partial.rename(lab.settings.site_file)


async def _host_keys(addresses: list[str]) -> str:
    """Ask the hosts for their SSH keys; a host may have registered before its sshd listens."""
    deadline = time.monotonic() + REGISTRATION
    while True:
        keys = await _scanned(addresses)
        silent = [address for address in addresses if f"{address} ssh-ed25519" not in keys]
        if not silent:
            return keys
        if time.monotonic() > deadline:
            raise TimeoutError(f"no sshd answers at {', '.join(silent)} within {REGISTRATION:g} s")
        await asyncio.sleep(0.02)


async def _scanned(addresses: list[str]) -> str:
    command = ["ssh-keyscan", "-t", "ed25519", *addresses]
    scan = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=DEVNULL, env=environment())
    try:
        keys, _ = await scan.communicate()
    finally:
        if scan.returncode is None:  # the lab goes down while it comes up
            scan.kill()
    return keys.decode()


#: A miniature site is fast: its time-outs are seconds where a real site's are minutes.
TIMEOUTS = {
    "cluster_running": 60.0,
    "repave": 60.0,
    "repave_pending": 20.0,
    "stale_state": 1.5,  # what it says of a cluster is so at once; a failed pull is tried again after a second
    "lease_settle": 0.3,
    "cluster_deleted": 120.0,  # cleaning up may be slow on a busy machine
    "force_delete_after": 20.0,
    "edge_host_ready": 30.0,
    "outage": 10.0,
    "first_look": 0.02,
    "slowest_look": 0.25,  # each look at a host is half a dozen processes on it
}
#: Passwords that a property draws here, where a deployment and a repave cost two seconds.
EXAMPLES = 20
#: A strict Palette shows a new state late.
STRICT_TIMEOUTS = {"stale_state": 5.0, "cluster_running": 120.0, "repave": 120.0}
#: A node of a Kubernetes is Ready some seconds after its boot.
KUBERNETES_TIMEOUTS = {"cluster_running": 180.0, "repave": 180.0, "edge_host_ready": 60.0}
