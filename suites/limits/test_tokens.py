"""Registries that ask for tokens: what is supported, and where a login must never be sent."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from fixtures.token_registries import Place, TokenRegistryAt, TokenSite
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.events import Event
from registry.address import RegistryAddress
from registry.token_realm import TokenRealm


def refused_login(event: Event) -> bool:
    """Return whether an event is about a login that did not work."""
    return ErrorCause.LOGIN.is_named_in(event.message)


def fail_to_repave_to(cluster: Cluster, token_site: TokenSite) -> None:
    """Move a cluster to an image that another registry does not have, and wait until that has failed for good."""
    layer = token_site.layer()
    assert not cluster.try_repave(layer), f"the cluster runs {layer.image}, which its registry does not have"


@requirement("LIMIT-05", phase="limits", records=True)
def test_a_realm_that_takes_no_passwords_is_not_supported(
    site: Site, token_registry: TokenRegistryAt, evidence: Evidence
) -> None:
    """Where tokens take something else than user and password the cluster does not run, and an event says why."""
    with token_registry(takes_passwords=False) as token_site:
        with site.begin_deploy(token_site.layer()) as cluster:
            assert not cluster.runs_or_fails(), "the cluster runs although its registry gave nobody a token"
            event = cluster.errors()[0]
            told = "is said to be a failed login" if refused_login(event) else "is said to be something else"
            evidence.note(f"X4: a token scheme as AWS ECR's does not run, and {told}")

            assert refused_login(event), f"the event does not say that the login failed: {event.message}"


@requirement("LIMIT-06", phase="limits", records=True)
def test_a_realm_that_takes_passwords_is_recorded(
    site: Site, token_registry: TokenRegistryAt, evidence: Evidence
) -> None:
    """Where tokens are given for user and password, as at registry-1.docker.io, what happens is recorded."""
    with token_registry() as token_site:
        with site.begin_deploy(token_site.layer()) as cluster:
            event = cluster.wait_for_error()
            refused = refused_login(event)
            works = token_site.realm.was_sent(token_site.account) and not refused
            evidence.note(f"deploy: a token for user and password {'works' if works else 'does not work'}")

            assert works or refused, f"the login was not sent, and the event gives another reason: {event.message}"
            assert cluster.state() != "Running", "the cluster runs an image that its registry does not have"


@requirement("SAFE-01", phase="limits")
@pytest.mark.usefixtures("_second_name")
def test_a_realm_of_another_host_gets_no_credentials(site: Site, token_registry: TokenRegistryAt) -> None:
    """A registry that sends whoever asks to a token realm of another host does not get the login sent there."""
    not_sent_at_deployment(site, token_registry, "another host")


@requirement("SAFE-02", phase="limits")
def test_a_realm_without_tls_gets_no_credentials(site: Site, token_registry: TokenRegistryAt) -> None:
    """A registry that names a token realm on plain HTTP does not get the login sent there."""
    not_sent_at_deployment(site, token_registry, "plain HTTP")


def not_sent_at_deployment(site: Site, token_registry: TokenRegistryAt, place: Place) -> None:
    """Deploy from a registry whose realm is at this place; the realm must not hear of the login."""
    with token_registry(place) as token_site, site.begin_deploy(token_site.layer()) as cluster:
        runs = cluster.runs_or_fails()

        assert token_site.realm.presented == [], f"a login was sent to {token_site.realm.url}"
        assert not runs, "the cluster runs an image that its registry does not have"


@requirement("SAFE-01", phase="repave", repaves=1)
@pytest.mark.usefixtures("_second_name")
def test_no_realm_elsewhere_gets_the_credentials_of_a_repave(token_registry: TokenRegistryAt, trusting: Use) -> None:
    """At a repave, too, no token realm of another host gets the login."""
    with trusting() as shared, token_registry("another host", authority=shared.known["authority"]) as far:
        fail_to_repave_to(shared.cluster, far)

        assert far.realm.presented == [], f"a login was sent to {far.realm.url}"


@requirement("SAFE-02", phase="limits")
def test_a_registry_without_tls_gets_no_credentials_at_deployment(
    site: Site, layers: Layers, private_registry: SiteRegistry, plain_server: TokenRealm
) -> None:
    """Credentials for a registry that speaks plain HTTP are never sent to it, and the cluster does not run."""
    address = RegistryAddress(plain_server.bind, plain_server.port)
    with private_registry.account() as account:
        credentials = layers.registry.credentials(account, registry=str(address))
        image = address.reference("conformance/provider", "v1")
        with site.begin_deploy(layers.fresh(None, image=image, credentials=credentials)) as cluster:
            runs = cluster.runs_or_fails()

            assert plain_server.presented == [], f"credentials were sent to http://{address} in clear"
            assert not runs, "the cluster runs an image of a registry without TLS"


@requirement("SAFE-02", phase="repave", repaves=2)
def test_nothing_without_tls_gets_the_credentials_of_a_repave(
    layers: Layers, token_registry: TokenRegistryAt, plain_server: TokenRealm, trusting: Use
) -> None:
    """Moved to a realm or a registry on plain HTTP, a cluster sends it no credentials, and its host stays as it was."""
    address = RegistryAddress(plain_server.bind, plain_server.port)
    with trusting() as shared, token_registry("plain HTTP", authority=shared.known["authority"]) as bare:
        cluster = shared.cluster
        fail_to_repave_to(cluster, bare)

        assert bare.realm.presented == [], f"a login was sent to {bare.realm.url}"
        image = address.reference("conformance/provider", "v1")
        credentials = layers.registry.credentials(shared.account, registry=str(address))
        cluster.begin_repave(layers.fresh(None, image=image, credentials=credentials))
        assert not cluster.repaves_or_fails(about=image), "the cluster runs an image of a registry without TLS"
        assert plain_server.presented == [], f"credentials were sent to http://{address} in clear"
        assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the host has changed"
