"""What only the cases about limits stand on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager

import docker
import pytest

from engine import ownership
from fixtures.session import Say
from fixtures.token_registries import TokenRegistryAt, token_registries
from harness.private_registry import SiteRegistry
from harness.run import NotCovered, Run
from harness.sites.site_file import SiteFile
from registry.redirecting import RedirectingRegistry, RedirectTo, redirecting
from registry.token_realm import TokenRealm, serving


@pytest.fixture(scope="session")
def token_registry(described_site: SiteFile, run: Run, docker_engine: docker.DockerClient, say: Say) -> TokenRegistryAt:
    """Return a way to start registries that ask for tokens."""
    return token_registries(described_site, docker_engine, ownership.Owner.this_process(run.id), say)


@pytest.fixture
def _second_name(described_site: SiteFile) -> None:
    """Leave a case to sites whose hosts know this machine by a name beside its address."""
    if not described_site.registry_names:
        raise NotCovered("the site file gives the registry no name beside its address (registry.names)")


@pytest.fixture
def plain_server(described_site: SiteFile) -> Iterator[TokenRealm]:
    """Yield a server on plain HTTP that asks everybody for a login and notes what it is sent."""
    with serving(TokenRealm(described_site.registry_bind, certificate=None)) as server:
        yield server


@pytest.fixture
def redirecting_to(described_site: SiteFile, private_registry: SiteRegistry) -> RedirectTo:
    """Return a way to start registries that redirect; where they do may be another host, another port or plain HTTP."""

    def start(place: str) -> AbstractContextManager[RedirectingRegistry]:
        bind = described_site.registry_bind
        if place != "another port" and not described_site.registry_names:
            raise NotCovered("the site file gives the registry no name beside its address (registry.names)")
        there = bind if place == "another port" else described_site.registry_names[-1]
        origin, authority = private_registry.client(), private_registry.authority
        return redirecting(origin, bind, authority, there, tls=place != "plain HTTP")

    return start
