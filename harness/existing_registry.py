"""The registry of a site: one that the run starts, or one that somebody else runs and the site file names.

In front of an existing registry the witness stands on this machine, where the hosts reach an address of it. Where they
reach none they pull from the registry itself, nobody sees what they present, and every case that asks is not covered.
"""

from __future__ import annotations

import ssl
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, NoReturn, cast

import requests

from bounded.failures import connection_failure
from harness import private_registry
from harness.private_registry import SiteRegistry
from harness.run import NotCovered
from registry.manifests import RegistryError
from registry.tls import Authority
from registry.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    import docker

    from engine.debian import Say
    from engine.ownership import Owner
    from harness.clusters import Cluster
    from harness.evidence import Evidence
    from harness.options import Options
    from harness.sites.site_file import SiteFile
    from registry.address import RegistryAddress
    from registry.client import RegistryClient
    from registry.existing import ExistingRegistry
    from registry.server import Account
    from registry.tls import ServerCertificate

WITHOUT = "no witness stands in front of the site's registry: its hosts reach no address of this machine"


class RegistryNotUsableError(Exception):
    """The existing registry is not as the site file says; the message says what is wrong and what to do."""


@contextmanager
def open_registry(
    site: SiteFile, options: Options | None, client: docker.DockerClient, owner: Owner, say: Say
) -> Iterator[SiteRegistry]:
    """Yield the registry that the site's hosts pull from. Raises RegistryNotUsableError for an existing one."""
    existing = site.existing_registry
    if existing is None:
        with private_registry.open_registry(site, options, client, owner, say) as registry:
            yield registry
        return
    place = f"{site.path.name}: registry.existing ({existing.address})"
    if wrong := trouble_with(existing):
        raise RegistryNotUsableError(f"{place}: {wrong[0]}; correct the site file or the registry, then: ./run doctor")
    if site.own_address is None:
        yield WithoutWitness(existing, _NOBODY, ())
        return
    port = (options.registry_port if options else None) or site.registry_port
    with Witness(existing, bind=site.own_address, port=port, names=site.registry_names, renamed=True) as witness:
        yield SiteRegistry(existing, witness, site.registry_names)


def trouble_with(existing: ExistingRegistry) -> list[str]:
    """Return what is wrong with an existing registry: it is away, its certificate, its logins; empty if all is well."""
    try:
        return existing.check()
    except requests.RequestException as error:
        return [f"it cannot be reached: {connection_failure(error).message}"]
    except RegistryError as error:
        return [str(error)]
    except ssl.SSLError as error:
        return [f"the file of its authority is no certificate in PEM: {error.reason}"]


class _NoWitness:
    """Stands where a witness would: whatever is asked of it is not covered, and nothing of it ever passes."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotCovered(WITHOUT)


_NOBODY = cast("Witness", _NoWitness())


class _TheirAuthority(Authority):
    """Who vouches for an existing registry: its certificate is known, its key is not ours."""

    def __init__(self, pem: str) -> None:
        self._pem = pem

    @property
    def pem(self) -> str:
        """The authority's certificate, PEM; empty where a well-known one vouches."""
        return self._pem

    def issue(self, *names: str) -> ServerCertificate:
        """Issue nothing."""
        raise NotCovered(f"the site's registry has its own authority, which issues nothing for {', '.join(names)}")

    def client_context(self) -> ssl.SSLContext:
        """Leave that to the registry's own client."""
        raise NotCovered(WITHOUT)


class WithoutWitness(SiteRegistry):
    """An existing registry from which the hosts pull directly."""

    private: ExistingRegistry

    @property
    def has_witness(self) -> bool:
        """Nobody sees the pulls."""
        return False

    @property
    def address(self) -> RegistryAddress:
        """Where hosts reach it."""
        return self.private.address

    @property
    def addresses(self) -> tuple[RegistryAddress, ...]:
        """Its one address."""
        return (self.private.address,)

    @property
    def authority(self) -> Authority:
        """Who vouches for it."""
        return _TheirAuthority(self.private.trusted or "")

    def account(self, username: str | None = None, password: str | None = None) -> AbstractContextManager[Account]:
        """Lend one of the given accounts. Raises AccountNotGivenError."""
        return self.private.account(username, password)

    def refusing(self, _username: str, _password: str, /) -> AbstractContextManager[None]:
        """Expect nothing: nobody sees what is presented."""
        return nullcontext()

    def client(self, account: Account | None = None) -> RegistryClient:
        """Return a client of its API."""
        return self.private.client(account)

    def watch(self, cluster: Cluster, phase: str, evidence: Evidence) -> None:
        """Watch nothing."""
