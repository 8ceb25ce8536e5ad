"""Every edge case of passwords and user names, as data, through deployment and repave."""

from __future__ import annotations

import pytest

from fixtures.layers import Layers
from fixtures.vectors import Vector, load
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site


def arriving(kind: str) -> list[Vector]:
    """Return the vectors that a registry accepts and a profile can carry: the same bytes must arrive."""
    return [vector for vector in load(kind) if vector.result == "valid" and vector.registry_accepts and vector.is_text]


def each(kind: str, *, in_short: tuple[str, ...]) -> pytest.MarkDecorator:
    """Return a parametrisation with each vector: by default those of ``in_short``, in nightly runs all."""
    cases = [
        pytest.param(vector, id=vector.id, marks=() if vector.id in in_short else pytest.mark.nightly)
        for vector in arriving(kind)
    ]
    return pytest.mark.parametrize("vector", cases)


@requirement("CRED-05", phase="repave", witness=True)
@each("passwords", in_short=())
def test_every_password_arrives_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """Whatever a password is made of, deployment and repave present exactly its bytes."""
    told, expected = f"{vector.id} {vector.text!a}", vector.comment
    evidence.example(told, vector_class=vector.flags[0], expected=expected, password=vector.text)
    with private_registry.account(password=vector.text) as account:
        with site.begin_deploy(layers.fresh(account)) as cluster:
            assert cluster.runs_or_fails(), f"the cluster does not run: {cluster.errors()[0].message}"
            cluster.try_repave(layers.with_image(cluster.layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()


@requirement("CRED-05", phase="repave", witness=True)
@each("usernames", in_short=("UN-002", "UN-006", "UN-027"))
def test_every_user_name_arrives_unchanged(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence, vector: Vector
) -> None:
    """Whatever a user name is made of, deployment and repave present exactly its bytes."""
    evidence.example(f"{vector.id} {vector.text!a}", vector_class=vector.flags[0], expected=vector.comment)
    with private_registry.account(username=vector.text) as account:
        with site.begin_deploy(layers.fresh(account)) as cluster:
            assert cluster.runs_or_fails(), f"the cluster does not run: {cluster.errors()[0].message}"
            cluster.try_repave(layers.with_image(cluster.layer))

            assert private_registry.witness.changes(cluster) == []
            cluster.wait_until_repaved()
