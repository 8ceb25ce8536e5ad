"""Passwords and user names: what the profile says is what every pull presents."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from fixtures.deck import for_more_passwords
from fixtures.layers import Layers
from fixtures.shared_clusters import Use
from fixtures.vectors import Vector, load
from fixtures.walks import Deployments, Walk, deployments_of, repaves_of
from harness.evidence import Evidence
from harness.requirements import requirement
from harness.sites.site import Site
from registry.probes import probes

#: Shows lower case, a domain or a number taken away, a dash for a separator, and a name that passes a shell.
TELLING_NAME = r"CORP\Robot$ci-1"
PROBES = [probe.password for probe in probes() if probe.registry_accepts]


def arriving(kind: str) -> list[Vector]:
    """Return the vectors that a registry accepts and a profile can carry: the same bytes must arrive."""
    return [vector for vector in load(kind) if vector.result == "valid" and vector.registry_accepts and vector.is_text]


@requirement("DEPLOY-03", "MACRO-05", phase="deploy", witness=True)
def test_deploy_presents_the_password_unchanged(passwords: list[str], evidence: Evidence, trying: Use) -> None:
    """For a password of every class, held by a macro, a deployment presents exactly that password, at each try."""
    with deployments_of(trying) as walk:
        for password in passwords:
            assert_arrives(walk, password, evidence)
        changes = walk.present_again()
        assert changes == [], changes[0]
        for_more_passwords(lambda password: assert_arrives(walk, password, evidence))


@requirement("REPAVE-03", "CRED-05", phase="repave", witness=True, ends=2)
def test_repave_presents_the_password_unchanged(
    layers: Layers, passwords: list[str], evidence: Evidence, deployed: Use
) -> None:
    """For a password of every class a repave presents exactly that password."""
    with deployed() as shared:
        walk = repaves_of(shared, layers)
        for password in passwords:
            assert_arrives(walk, password, evidence)
        for_more_passwords(lambda password: assert_arrives(walk, password, evidence))


def assert_arrives(walk: Walk, password: str, evidence: Evidence) -> None:
    """Have a password presented as it is."""
    evidence.example(repr(password), expected=f"every pull presents {password!r}", password=password)
    changes = walk.present(password)
    assert changes == [], changes[0]


@requirement("REPAVE-03", "CRED-05", phase="repave", witness=True, ends=1)
def test_the_probe_set_arrives_unchanged(evidence: Evidence, trying: Use) -> None:
    """No probe is changed at deployment or repave, nor the first by a second try; any two changes are told apart."""
    with deployments_of(trying) as walk:
        found = presented(walk, PROBES, evidence)
        found += presented(repaves := walk.run(), PROBES[:1], evidence)
        found += repaves.present_again()
        found += presented(repaves, PROBES[1:], evidence)
        assert not found, found[0]


@requirement("REPAVE-04", phase="repave", witness=True, ends=2)
def test_later_repaves_present_every_probe_unchanged(layers: Layers, evidence: Evidence, repaved: Use) -> None:
    """A later repave of a cluster presents its version's password unchanged, whatever it is made of."""
    with repaved() as shared:
        shared.cluster.confirm_repave()
        shared.spent, found = True, presented(repaves_of(shared, layers), PROBES, evidence)
        assert not found, found[0]


def presented(walk: Walk, passwords: Iterable[str], evidence: Evidence) -> list[str]:
    """Have passwords presented, to be judged together, and return a sentence for each that was changed."""
    found = []
    for password in passwords:
        expected = "every probe is presented unchanged"
        evidence.example(repr(password), expected=expected, password=password, together=True)
        found += [f"{change} ({password!a})" for change in walk.present(password)]
    return found


@pytest.mark.nightly
@requirement("REPAVE-03", phase="repave", witness=True, ends=2)
def test_every_probe_is_presented_again_unchanged(layers: Layers, evidence: Evidence, deployed: Use) -> None:
    """A repave that tries its pull again presents the same password, whatever it is made of."""
    with deployed() as shared:
        walk, found = repaves_of(shared, layers), list[str]()
        for password in PROBES:
            found += presented(walk, [password], evidence)
            found += [f"{change} ({password!a})" for change in walk.present_again()]
        assert not found, found[0]


@requirement("CRED-05", phase="deploy", witness=True)
def test_user_names_arrive_unchanged_at_deployment(usernames: list[str], evidence: Evidence, trying: Use) -> None:
    """A user name of every class is presented by a deployment with exactly its bytes, at a second try, too."""
    with deployments_of(trying) as walk:
        assert_names_arrive(walk, usernames, evidence)


@requirement("CRED-05", phase="repave", witness=True, ends=2)
def test_user_names_arrive_unchanged_at_repave(
    layers: Layers, usernames: list[str], evidence: Evidence, deployed: Use
) -> None:
    """A user name of every class is presented by a repave with exactly its bytes, at a second try, too."""
    with deployed() as shared:
        assert_names_arrive(repaves_of(shared, layers), usernames, evidence)


def assert_names_arrive(walk: Walk, names: Iterable[str], evidence: Evidence) -> None:
    """Have user names presented as they are, the last one twice; a dotted one is its own password, too."""
    for name in (*names, TELLING_NAME):
        evidence.example(repr(name), expected=f"every pull presents the user name {name!r}")
        changes = walk.present(name if "." in name else None, name)
        assert changes == [], changes[0]
    changes = walk.present_again()
    assert changes == [], changes[0]


@pytest.mark.nightly
@requirement("CRED-05", phase="repave", witness=True, clusters=1, repaves=0)
@pytest.mark.parametrize("kind", ["passwords", "usernames"])
def test_every_vector_arrives_unchanged(site: Site, layers: Layers, evidence: Evidence, kind: str) -> None:
    """Whatever a password or a user name of the vectors is made of, deployment and repave present exactly its bytes."""
    with Deployments(site, layers) as deployment:
        assert_vectors_arrive(deployment, kind, evidence)
        assert_vectors_arrive(deployment.run(), kind, evidence)


def assert_vectors_arrive(walk: Walk, kind: str, evidence: Evidence) -> None:
    """Have the vectors of a kind presented as they are."""
    for vector in arriving(kind):
        evidence.example(f"{vector.id} {vector.text!a}", vector_class=vector.flags[0], expected=vector.comment)
        changes = walk.present(**{kind.removesuffix("s"): vector.text})
        assert changes == [], changes[0]
