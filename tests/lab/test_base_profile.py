"""A run works on clones of the user's profile: three places of the OS layer change, and never the profile itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
import yaml

from harness.sites.base_profile import UnusableProfileError, WantedProfile, find_base
from lab import base_profile
from lab.kinds import KINDS
from palette.client import ProjectView
from palette.os_layer import PACK
from palette.os_values import MASK
from palette.transport import Call
from tests.lab.ground import Ground


@pytest.fixture
def project(ground: Ground) -> ProjectView:
    """Return the lab's project."""
    return ground.site.project


@pytest.fixture
def made(project: ProjectView) -> Iterator[list[str]]:
    """Yield a list of profile uids that are deleted afterwards."""
    uids: list[str] = []
    yield uids
    for uid in uids:
        project.profiles.delete(uid)


def content_hash(project: ProjectView, uid: str) -> str:
    """Return a hash of everything that Palette tells of a profile."""
    whole = project.profiles.export(uid, form="json"), repr(project.profiles.get(uid))
    return hashlib.sha256("".join(whole).encode()).hexdigest()


def test_the_users_profile_is_never_changed(ground: Ground, project: ProjectView) -> None:
    """Deployment and repave work on a clone: the profile has the same content hash before and after."""
    assert ground.site.base is not None
    base, versions = ground.site.base.uid, {each.uid for each in project.profiles.list() if each.name == "edge-base"}
    before = content_hash(project, base)
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        cluster.repave(ground.layer(account))

    assert content_hash(project, base) == before
    assert {each.uid for each in project.profiles.list() if each.name == "edge-base"} == versions


def test_a_clone_differs_from_the_users_profile_in_three_places(ground: Ground, project: ProjectView) -> None:
    """Image, credentials and images to pull are the run's; every other line and every other pack is the user's."""
    assert ground.site.base is not None
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        clone, user = (project.profiles.get(uid) for uid in (cluster.profile, ground.site.base.uid))
        layer = cluster.layer

    assert [pack for pack in clone.packs if pack.name != PACK] == [pack for pack in user.packs if pack.name != PACK]
    ours, theirs = (yaml.safe_load(profile.pack("os").values) for profile in (clone, user))
    assert ours.pop("providerCredentials")["user"] == layer.credentials.username if layer.credentials else False
    assert ours["options"].pop("system.uri") == layer.image
    theirs["options"].pop("system.uri")
    assert ours == theirs
    changed = [line for line in base_profile.OS_VALUES.splitlines() if "system.uri: example.io" not in line]
    assert [line for line in changed if line not in clone.pack("os").values.splitlines()] == []


def test_a_required_variable_has_its_value_from_deployment_to_repave(
    ground: Ground, project: ProjectView, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The site file's value goes with the cluster, with the question whether it would repave, and with the move."""
    document, values = base_profile.document(KINDS["k3s"]), {"greeting": "hello"}
    document["metadata"]["name"] = "with-a-variable"
    document["spec"]["variables"] = [{"name": "greeting", "required": True}]
    made.append(project.scope.make(Call("POST", "/v1/clusterprofiles", {"publish": True}, document)))
    base = find_base(project, WantedProfile(uid=made[0], variables=values))
    monkeypatch.setattr(ground.site, "base", base)
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        layer = ground.layer(account)
        assert cluster.forecast(layer).is_required
        cluster.repave(layer)
        assert project.clusters.variables(cluster.uid) == {cluster.profile: values}


def test_a_profile_that_is_not_there_is_refused(project: ProjectView) -> None:
    """The refusal names what there is."""
    with pytest.raises(
        UnusableProfileError, match=r"no cluster profile edge-bass; the project has: .*edge-base 1\.2\.0"
    ):
        find_base(project, WantedProfile(name="edge-bass"))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ("providerCredentials:\n  user: u\n", "line 1: providerCredentials is there already"),
        ("stylus: {a: 1, 'registryCredentials' : {domain: x}}\n", "has registryCredentials"),
        ("stages:\n  boot:\n  - stylus:\n      registryCredentials:\n        domain: x\n", "has registryCredentials"),
        ("a: 1\n---\nb: 1\n", "2 YAML documents"),
        (f"token: '{MASK}'\n", "masked .*; give the layer's values as they are with profile.os_values"),
    ],
)
def test_an_os_layer_that_cannot_take_the_guides_changes_is_refused(
    project: ProjectView, made: list[str], values: str, said: str
) -> None:
    """Credentials or an external registry of the user's, masked values, several documents: one line each."""
    wanted = WantedProfile(name="edge-base", os_values=values)

    with pytest.raises(UnusableProfileError, match=said):
        find_base(project, wanted)
    assert made == []


def test_a_draft_is_refused(ground: Ground, project: ProjectView, made: list[str]) -> None:
    """A profile that is not published cannot be deployed."""
    assert ground.site.base is not None
    made.append(project.profiles.new_version(ground.site.base.uid, "1.0.0", {}, name="only-a-draft", publish=False))

    with pytest.raises(UnusableProfileError, match=r"only-a-draft 1\.0\.0 is a draft; publish it"):
        find_base(project, WantedProfile(name="only-a-draft"))


def test_the_newest_version_is_meant_where_none_is_named(ground: Ground, project: ProjectView, made: list[str]) -> None:
    """Versions are compared as versions: 1.10.0 is newer than 1.9.0."""
    assert ground.site.base is not None
    base = ground.site.base.uid
    made += [
        project.profiles.new_version(base, version, {}, name="of-many-versions") for version in ("1.9.0", "1.10.0")
    ]

    assert find_base(project, WantedProfile(name="of-many-versions")).version == "1.10.0"
    assert find_base(project, WantedProfile(name="of-many-versions", version="1.9.0")).version == "1.9.0"
    assert find_base(project, WantedProfile(uid=made[0])).version == "1.9.0"
