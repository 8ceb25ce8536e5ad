"""A cluster cannot pull from more than one private registry, and no other one gets its credentials."""

from __future__ import annotations

from fixtures.layers import AnotherRegistry, Layers
from fixtures.shared_clusters import Use
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.os_layer import OsLayer
from registry.server import Account


def elsewhere(layers: Layers, others: Layers, account: Account) -> OsLayer:
    """Return a layer whose image is in the other registry and whose credentials are for the first one.

    Both authorities are trusted: TLS is not to be what stops the pull.
    """
    both = layers.registry.authority.pem + others.registry.authority.pem
    image = others.registry.address.reference("conformance/provider", "second")
    return layers.fresh(None, image=image, credentials=layers.registry.credentials(account, certificates=both))


@requirement("LIMIT-01", phase="limits", witness=True)
def test_a_second_registry_gets_no_credentials_at_deployment(
    site: Site, layers: Layers, private_registry: SiteRegistry, another_registry: AnotherRegistry
) -> None:
    """An image in another registry than the credentials' is asked for anonymously at most, and does not deploy."""
    with private_registry.account() as account, another_registry() as others:
        with (
            others.registry.account(account.username, account.password),  # a trap: there the login would work
            site.begin_deploy(elsewhere(layers, others, account)) as cluster,
        ):
            cluster.fails(ErrorCause.LOGIN)
            sent = others.registry.witness.users(cluster)

            assert sent == set(), (
                f"registry {others.registry.address} was sent the credentials of {private_registry.address}"
            )


@requirement("LIMIT-01", phase="repave", witness=True, repaves=2)
def test_a_repave_keeps_two_registries_apart(
    layers: Layers, private_registry: SiteRegistry, another_registry: AnotherRegistry, trusting: Use
) -> None:
    """A repave sends no other registry the first one's login, and takes nothing from the first that the other lacks."""
    with trusting() as shared, another_registry(shared.known["authority"]) as others:
        cluster, account = shared.cluster, shared.account
        second = elsewhere(layers, others, account)
        with others.registry.account(account.username, account.password) as there:
            cluster.begin_repave(second)
            cluster.fails(ErrorCause.LOGIN, about=second.image)
            sent = others.registry.witness.users(cluster)

            assert sent == set(), (
                f"registry {others.registry.address} was sent the credentials of {private_registry.address}"
            )
            trap = layers.images.fresh()  # all that is missing there would be had here, with the same login
            missing = trap.at(others.registry.address).reference
            trusted = second.credentials.certificates if second.credentials else None
            moved = layers.fresh(
                None, image=missing, credentials=others.registry.credentials(there, certificates=trusted)
            )
            cluster.begin_repave(moved)
            cluster.repaves_or_fails(about=missing)
            repave = private_registry.witness.pulls(cluster, phase="repave")
            taken = [pull for pull in repave if pull.reference in (trap.tag, trap.digest)]

            assert taken == [], f"{missing} cannot be had, and the repave asked {private_registry.address} for it"
            assert cluster.host.boot() == cluster.boots[cluster.host.uid], "the host has changed"
