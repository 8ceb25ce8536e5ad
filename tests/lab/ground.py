"""What the tests of lab and Edge hosts stand on: a lab, its site, and a private registry with provider images."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from edge import EdgeHost, HostUnreachable
from harness.clusters import Cluster
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.provider_images import ProviderImages
from harness.sites.site import Site
from harness.sites.site_file import read_site_file
from lab import control
from lab.settings import LabSettings, labs_folder
from palette.events import Event
from palette.os_layer import OsLayer, ProviderCredentials
from registry.server import Account, PrivateRegistry
from tests.settling import settled


def command_lines() -> list[str]:
    """Return the command lines of this machine's processes, as anybody can read them."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended since
            found.append(entry.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
    return found


def say(_message: str) -> None:
    """Ignore the message."""


@contextmanager
def running_lab(hosts: int, **other: Any) -> Iterator[control.RunningLab]:  # noqa: ANN401 - fields of LabSettings
    """Run a lab with a folder and a name of its own."""
    folder = labs_folder() / f"lab-test-{secrets.token_hex(3)}"
    lab = control.start(LabSettings(folder, hosts, **other), say)
    try:
        yield lab
    finally:
        lab.stop()


@dataclass(frozen=True)
class Ground:
    """A lab with everything that a deployment needs."""

    lab: control.RunningLab
    site: Site
    registry: PrivateRegistry
    images: ProviderImages
    engine: docker.DockerClient

    def layer(self, account: Account | None, image: str | None = None) -> OsLayer:
        """Return an OS layer with an image that no host has pulled before, or with the one named."""
        credentials = None
        if account is not None:
            credentials = ProviderCredentials(
                str(self.registry.address), account.username, account.password, self.registry.authority.pem
            )
        return OsLayer(image or self.images.fresh().reference, credentials)

    @property
    def host(self) -> EdgeHost:
        """The host that the next cluster of one host will be made of."""
        return self.site.free_hosts(1)[0]

    def container(self, host: EdgeHost) -> str:
        """Return the name of the container that a host is."""
        return f"{self.lab.settings.folder.name}-{host.uid}"


@contextmanager
def open_ground(lab: control.RunningLab, engine: docker.DockerClient, area: Path) -> Iterator[Ground]:
    """Start a registry where the lab's hosts reach it, and open the lab as a site."""
    file = read_site_file(lab.site_file)
    with (
        Site.open(file, f"own-{secrets.token_hex(2)}", Ledger(), Evidence(area)) as site,
        PrivateRegistry(engine, bind=file.registry_bind, names=file.registry_names, say=say) as registry,
    ):
        images = ProviderImages(registry.client(), file.provider_image, say, registry.address)
        yield Ground(lab, site, registry, images, engine)


def wait_for_event(cluster: Cluster, reason: str) -> Event:
    """Wait for an event of a cluster; return the newest one."""

    def found() -> list[Event]:
        return [event for event in cluster.events() if event.reason == reason]

    assert settled(lambda: bool(found()), 20), f"no event {reason} within 20 s: {[e.reason for e in cluster.events()]}"
    return found()[-1]


def kill_agent(host: EdgeHost) -> None:
    """Kill the agent as nothing can be killed more; a host that just reboots has none."""
    try:
        host.run("systemctl kill --signal=KILL stylus-agent")
    except HostUnreachable:
        return
