"""TLS: which certificates a private registry may have, on both pull paths, and when they may change.

Whether a certificate is accepted shows without an image: behind a good one the registry is asked for a tag that it
does not have, and says so; behind a bad one nothing is asked at all.
"""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.vectors import Vector, load
from harness.errors import Cause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.address import RegistryAddress
from registry.flawed_certificates import Setup, make
from registry.tls import Authority

CERTIFICATES = load("certificates")
#: The form of the trusted text is settled once, when a cluster is created; the rest is seen at every connection.
OF_THE_SERVER = [vector for vector in CERTIFICATES if not {"pem-form", "bundle"} & set(vector.flags)]


def each(vectors: list[Vector] | tuple[Vector, ...], *, in_short: tuple[str, ...]) -> pytest.MarkDecorator:
    """Return a parametrisation with each vector: by default those of ``in_short``, in nightly runs all."""
    by_night = pytest.mark.nightly
    cases = [
        pytest.param(vector, id=f"{vector.id}-{vector.text}", marks=() if vector.text in in_short else by_night)
        for vector in vectors
    ]
    return pytest.mark.parametrize("vector", cases)


def missing_tag(address: RegistryAddress, vector: Vector) -> str:
    """Return the reference of an image that the registry does not have, another one for each vector."""
    return address.reference("conformance/provider", f"never-pushed-{vector.id.lower()}")


def address_for(vector: Vector, registry: SiteRegistry) -> RegistryAddress:
    """Return the registry's address by name, where it has one, for set-ups about names; else by number."""
    return registry.addresses[-1] if "name" in vector.flags else registry.address


def judged(vector: Vector, setup: Setup, *, refused: bool, where: str) -> str:
    """Return what is wrong about how a set-up was treated; nothing when it is right or may be so."""
    if setup.verdict == "valid" and refused:
        return f"{where} refuses a good certificate ({vector.text}): {vector.comment}"
    if setup.verdict == "invalid" and not refused:
        return f"{where} accepts a bad certificate ({vector.text}): {vector.comment}"
    return ""


IN_SHORT = (
    "well-formed", "expired", "not-yet-valid", "wrong-name", "common-name-only", "unknown-authority", "no-authority",
    "same-name-other-key", "client-certificate", "missing-intermediate", "chain-out-of-order", "several-authorities",
    "windows-line-ends", "one-line", "self-signed-leaf",
)  # fmt: skip

IN_SHORT_AT_REPAVE = (
    "well-formed", "expired", "wrong-name", "unknown-authority", "client-certificate", "missing-intermediate",
    "chain-out-of-order", "self-signed-leaf",
)  # fmt: skip


@requirement("TLS-01", "TLS-02", "TLS-05", phase="deploy", witness=True)
@each(CERTIFICATES, in_short=IN_SHORT)
def test_a_deployment_accepts_good_certificates_only(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """With a good certificate the login is presented; with a bad one nothing is, and an event names TLS."""
    address = address_for(vector, private_registry)
    setup = make(vector.text, address.host)
    evidence.example(vector.id, expected=f"{vector.comment} ({setup.verdict})")
    with private_registry.account() as account, private_registry.presenting(setup.server):
        trusted = layers.credentials(account, registry=str(address), certificates=setup.trusted_pem or None)
        layer = layers.fresh(None, image=missing_tag(address, vector), credentials=trusted)
        with site.begin_deploy(layer) as cluster:
            assert not cluster.runs_or_fails(), f"the cluster runs an image that is not there: {layer.image}"
            presented = private_registry.witness.users(cluster)
            evidence.note(f"deploy: {vector.text} is {'accepted' if presented else 'refused'}")

            assert not (problem := judged(vector, setup, refused=not presented, where="the agent")), problem
            cluster.wait_for_error(Cause.MISSING if presented else Cause.TLS)


@requirement("TLS-03", "TLS-05", phase="repave", witness=True)
@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param([vector for vector in OF_THE_SERVER if vector.text in IN_SHORT_AT_REPAVE], id="in-short"),
        pytest.param(OF_THE_SERVER, id="all", marks=pytest.mark.nightly),
    ],
)
def test_a_repave_accepts_good_certificates_only(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vectors: list[Vector]
) -> None:
    """A node that trusts the right authorities refuses each bad certificate at a repave as well, and names TLS."""
    setups = [(vector, make(vector.text, private_registry.address.host)) for vector in vectors]
    bundle = private_registry.authority.pem + "".join(setup.trusted_pem for _vector, setup in setups)
    with private_registry.account() as account:
        trusted = layers.credentials(account, certificates=bundle)
        with site.deploy(layers.fresh(None, credentials=trusted)) as cluster:
            for vector, setup in setups:
                image = missing_tag(private_registry.address, vector)
                evidence.example(vector.id, expected=f"{vector.comment} ({setup.verdict})")
                with private_registry.presenting(setup.server):
                    cluster.begin_repave(layers.with_image(cluster.layer, image), phase=vector.id)
                    cluster.wait_for_error(about=image)
                presented = private_registry.witness.users(cluster, phase=vector.id)
                evidence.note(f"repave: {vector.text} is {'accepted' if presented else 'refused'}")

                assert not (problem := judged(vector, setup, refused=not presented, where="the node")), problem
                cluster.wait_for_error(Cause.MISSING if presented else Cause.TLS, about=image)
            assert cluster.host.boot() == cluster.boots[cluster.host.uid], "a failed pull has changed the host"


@requirement("TLS-02", phase="repave", witness=True)
@each(
    [vector for vector in CERTIFICATES if vector.result == "valid" and "name" not in vector.flags],
    in_short=("with-intermediate",),
)
def test_a_cluster_deploys_and_repaves_behind_a_good_certificate(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """Behind each kind of good certificate a cluster deploys and repaves."""
    setup = make(vector.text, private_registry.address.host)
    evidence.example(vector.id, expected=vector.comment)
    with private_registry.account() as account, private_registry.presenting(setup.server):
        trusted = layers.credentials(account, certificates=setup.trusted_pem)
        with site.begin_deploy(layers.fresh(None, credentials=trusted)) as cluster:
            assert cluster.runs_or_fails(), f"a good certificate ({vector.text}) keeps a new cluster out of Running"
            cluster.try_repave(layers.with_image(cluster.layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("TLS-04", phase="repave", witness=True)
def test_a_renewed_certificate_of_the_same_authority_is_accepted(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """When the registry's certificate was renewed by the same authority, the next repave goes through."""
    renewed = private_registry.authority.issue(private_registry.address.host)
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        with private_registry.presenting(renewed):
            done = cluster.try_repave(layers.with_image(cluster.layer))

            assert done, f"the repave after the renewal failed: {cluster.errors()[-1].message}"


@requirement("LIMIT-03", phase="repave", witness=True)
def test_a_new_authority_does_not_reach_an_existing_cluster(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """When registry and profile change to another authority, an existing cluster fails on TLS at its next repave."""
    authority = Authority("the next authority")
    with private_registry.account() as account, site.deploy(layers.fresh(account)) as cluster:
        changed = layers.fresh(None, credentials=layers.credentials(account, certificates=authority.pem))
        with private_registry.presenting(authority.issue(private_registry.address.host)):
            cluster.begin_repave(changed)
            cluster.fails(Cause.TLS, about=changed.image)
            assert private_registry.witness.users(cluster, phase="repave") == set(), "credentials were sent"
