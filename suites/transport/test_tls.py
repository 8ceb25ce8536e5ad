"""TLS: which certificates a private registry may have, on both pull paths, and when they may change.

Whether a certificate is accepted shows without an image: behind a good one the registry is asked for a tag that it
does not have, and says so; behind a bad one nothing is asked at all.
"""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.shared_clusters import OF_THE_SERVER, Use, setup_of
from fixtures.user_data import restart_agent
from fixtures.vectors import Vector, load
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.address import RegistryAddress
from registry.flawed_certificates import Setup

CERTIFICATES = load("certificates")
#: What shows at every connection, so that one host can see one set-up after the other. About names it needs a name.
BY_NUMBER = [vector for vector in OF_THE_SERVER if "name" not in vector.flags and vector.text != "no-authority"]
BY_NAME = [vector for vector in OF_THE_SERVER if "name" in vector.flags]
#: What a host is given when its cluster is created.
AS_GIVEN = [vector for vector in CERTIFICATES if vector not in (*BY_NUMBER, *BY_NAME)]


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


def judged(vector: Vector, setup: Setup, *, refused: bool, where: str) -> str:
    """Return what is wrong about how a set-up was treated; nothing when it is right or may be so."""
    if setup.verdict == "valid" and refused:
        return f"{where} refuses a good certificate ({vector.text})"
    if setup.verdict == "invalid" and not refused:
        return f"{where} accepts a bad certificate ({vector.text})"
    return ""


IN_SHORT = (
    "well-formed", "expired", "not-yet-valid", "wrong-name", "common-name-only", "unknown-authority", "no-authority",
    "same-name-other-key", "client-certificate", "missing-intermediate", "chain-out-of-order", "with-intermediate",
    "windows-line-ends", "one-line", "self-signed-leaf",
)  # fmt: skip

IN_SHORT_AT_REPAVE = (
    "well-formed", "expired", "wrong-name", "unknown-authority", "client-certificate", "missing-intermediate",
    "chain-out-of-order", "self-signed-leaf",
)  # fmt: skip


@requirement("TLS-01", "TLS-02", "TLS-05", phase="deploy", witness=True)
@each(BY_NUMBER, in_short=IN_SHORT)
def test_a_deployment_accepts_good_certificates_only(
    private_registry: SiteRegistry, evidence: Evidence, pending: Use, vector: Vector
) -> None:
    """With a good certificate the login is presented; with a bad one nothing is, and an event names TLS."""
    with pending() as shared:
        present_to_an_agent(vector, private_registry.address, shared.cluster, private_registry, evidence)


@requirement("TLS-01", "TLS-02", "TLS-05", phase="deploy", witness=True)
@each(BY_NAME, in_short=IN_SHORT)
def test_a_deployment_looks_at_the_name_in_a_certificate(
    private_registry: SiteRegistry, evidence: Evidence, pending_by_name: Use, vector: Vector
) -> None:
    """A certificate for another name is refused before the login is presented, and an event names TLS."""
    with pending_by_name() as shared:
        present_to_an_agent(vector, private_registry.addresses[-1], shared.cluster, private_registry, evidence)


def present_to_an_agent(
    vector: Vector, address: RegistryAddress, cluster: Cluster, registry: SiteRegistry, evidence: Evidence
) -> None:
    """Present a set-up's certificate to a host that waits for its image, and see what its agent does.

    The agent is restarted, so that its next pull is all under this certificate and comes at once.
    """
    setup = setup_of(vector.text, address.host)
    evidence.example(vector.id, expected=f"{vector.comment} ({setup.verdict})")
    with registry.presenting(setup.server):
        registry.watch(cluster, vector.id, evidence)
        errors = cluster.errors_after(lambda: restart_agent(cluster.host))
        assert errors, f"the cluster runs an image that is not there: {cluster.layer.image}"
        presented = registry.witness.users(cluster, phase=vector.id)
        judge_an_agent(vector, setup, presented, evidence)
        unknown = vector.text == "unknown-authority"
        assert not unknown or registry.witness.pulls(cluster, phase=vector.id) == [], "something was sent all the same"
    expected = ErrorCause.MISSING if presented else ErrorCause.TLS
    assert any(expected.is_named_in(event.message) for event in errors), (
        f"no event tells of {expected.value}: {errors[-1].message}"
    )


def judge_an_agent(vector: Vector, setup: Setup, presented: set[str], evidence: Evidence) -> None:
    """See that a host presented its login exactly where it may trust the certificate."""
    evidence.note(f"deploy: {vector.text} is {'accepted' if presented else 'refused'}")
    assert not (problem := judged(vector, setup, refused=not presented, where="the agent")), problem


@requirement("TLS-01", "TLS-02", "TLS-05", phase="deploy", witness=True)
@each(AS_GIVEN, in_short=IN_SHORT)
def test_a_deployment_takes_the_authority_as_it_is_written(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """Whatever form the profile's authority has, the login is presented where it can be read, and else nothing is."""
    address = private_registry.address
    setup = setup_of(vector.text, address.host)
    evidence.example(vector.id, expected=f"{vector.comment} ({setup.verdict})")
    with private_registry.account() as account, private_registry.presenting(setup.server):
        trusted = layers.registry.credentials(account, registry=str(address), certificates=setup.trusted_pem or None)
        layer = layers.fresh(None, image=missing_tag(address, vector), credentials=trusted)
        with site.begin_deploy(layer) as cluster:
            assert not cluster.runs_or_fails(), f"the cluster runs an image that is not there: {layer.image}"
            presented = private_registry.witness.users(cluster)
            judge_an_agent(vector, setup, presented, evidence)
            cluster.wait_for_error(ErrorCause.MISSING if presented else ErrorCause.TLS)


@requirement("TLS-03", "TLS-05", phase="repave", witness=True, clusters=1, repaves=len(IN_SHORT_AT_REPAVE))
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
    setups = [(vector, setup_of(vector.text, private_registry.address.host)) for vector in vectors]
    bundle = private_registry.authority.pem + "".join(setup.trusted_pem for _vector, setup in setups)
    with private_registry.account() as account:
        trusted = layers.registry.credentials(account, certificates=bundle)
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
                cluster.wait_for_error(ErrorCause.MISSING if presented else ErrorCause.TLS, about=image)
            assert cluster.host.boot() == cluster.boots[cluster.host.uid], "a failed pull has changed the host"


@requirement("TLS-02", phase="repave", witness=True)
@each(
    [vector for vector in CERTIFICATES if vector.result == "valid" and "name" not in vector.flags],
    in_short=("several-authorities",),
)
def test_a_cluster_deploys_and_repaves_behind_a_good_certificate(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """Behind each kind of good certificate a cluster deploys and repaves."""
    setup = setup_of(vector.text, private_registry.address.host)
    evidence.example(vector.id, expected=vector.comment)
    with private_registry.account() as account, private_registry.presenting(setup.server):
        trusted = layers.registry.credentials(account, certificates=setup.trusted_pem)
        with site.begin_deploy(layers.fresh(None, credentials=trusted)) as cluster:
            assert cluster.runs_or_fails(), f"a good certificate ({vector.text}) keeps a new cluster out of Running"
            cluster.try_repave(layers.with_image(cluster.layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("TLS-04", phase="repave", witness=True, repaves=1)
def test_a_renewed_certificate_of_the_same_authority_is_accepted(
    layers: Layers, private_registry: SiteRegistry, walked: Use
) -> None:
    """When the registry's certificate was renewed by the same authority, the next repave goes through."""
    renewed = private_registry.authority.issue(private_registry.address.host)
    with walked() as shared, private_registry.presenting(renewed):
        done = shared.cluster.try_repave(layers.with_image(shared.cluster.layer))

        assert done, f"the repave after the renewal failed: {shared.cluster.errors()[-1].message}"
