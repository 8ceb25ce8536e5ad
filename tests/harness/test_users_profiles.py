"""Profiles as people have them at the door of a run: taken, or refused in one line before anything is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast, get_args

import pytest
import yaml

from harness.sites.base_profile import BaseProfile, UnusableProfileError, WantedProfile, find_base
from harness.sites.site_file import BadSiteFileError
from lab import base_profile
from lab.kinds import KINDS
from lab.palette.settings import Masks
from palette.client import ProjectView
from palette.errors import BadRequestError
from palette.os_layer import PACK, OsLayer, ProviderCredentials
from palette.profiles import Profile
from palette.transport import Call
from protected import Secret
from tests.harness.palette_site import PaletteSite, palette_site

Json = dict[str, Any]
NEEDED = {"name": "domain", "required": True}
SENSITIVE = {"name": "node_password", "required": True, "isSensitive": True, "defaultValue": "a-default"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaletteSite]:
    """Yield a site that is a Palette endpoint only."""
    with palette_site(tmp_path_factory.mktemp("site")) as found:
        yield found


def found(site: PaletteSite, changes: Json, variables: Mapping[str, str | Secret]) -> BaseProfile:
    """Create a profile that is the lab's but for ``changes``, and find it as a run does."""
    document = base_profile.document(KINDS["k3s"])
    spec, template = document["spec"], document["spec"]["template"]
    spec |= {"variables": changes.get("variables", [])}
    template["type"] = changes.get("type", "infra")
    template["packs"] = [pack for pack in template["packs"] if pack["layer"] not in changes.get("without", ())]
    document["metadata"]["name"] = "users"
    for pack in template["packs"]:
        pack["values"] = changes.get(pack["layer"], pack["values"])
    with site.project() as project:
        publish = {"publish": changes.get("publish", True)}
        uid = project.scope.make(Call("POST", "/v1/clusterprofiles", publish, document))
        try:
            return find_base(project, WantedProfile(uid=uid, variables=variables))
        finally:
            project.profiles.delete(uid)


@pytest.mark.parametrize(
    ("changes", "variables"),
    [
        ({}, {}),
        ({"type": "cluster"}, {}),
        ({"variables": [SENSITIVE]}, {}),
        ({"variables": [NEEDED]}, {"domain": "qa.example"}),
        ({"variables": [NEEDED, SENSITIVE]}, {"domain": "qa.example", "node_password": Secret("another-one")}),
        ({"variables": [{"name": "optional"}]}, {}),
        ({"os": ""}, {}),
        ({"os": "%YAML 1.2\n---\n# mine\noptions:\n  system.uri: x\n...\n"}, {}),
        ({"os": "\ufeff# with a byte order mark\r\noptions:\r\n    system.uri: x"}, {}),
        ({"os": "'options':\n  \"system.uri\": |-\n    x:v1\n  'a b': [1, 0x1F, 010, yes, ~]\n"}, {}),
        ({"os": "options:\n  system.uri: x\n#providerCredentials:\n#  registry: x\n# registryCredentials: y\n"}, {}),
        ({"k8s": "cluster:\n  config: |\n    token: '******'\n"}, {}),
    ],
)
def test_profiles_as_people_have_them_are_taken(
    site: PaletteSite, changes: Json, variables: dict[str, str | Secret]
) -> None:
    """The clone's OS layer has the run's image, and its clusters the site file's values of variables."""
    base = found(site, changes, variables)

    assert yaml.safe_load(base.values.with_layer(OsLayer("r.test/p:v2")))["options"]["system.uri"] == "r.test/p:v2"
    assert base.variables == variables


@pytest.mark.parametrize(
    ("changes", "variables", "said"),
    [
        ({"publish": False}, {}, "users 1.2.0 is a draft; publish it"),
        ({"type": "add-on", "without": ("os", "k8s", "cni")}, {}, "its OS layers are none; a run needs one"),
        ({"type": "add-on", "without": ("cni",)}, {}, "users 1.2.0 has no cni layer; name one of a whole cluster"),
        ({"type": "add-on", "without": ("k8s", "cni")}, {}, "has no k8s and no cni layer"),
        ({"variables": [NEEDED, SENSITIVE]}, {}, "needs values for domain; write them under profile.variables"),
        ({}, {"domain": "x"}, "users 1.2.0 has no variable domain; it has: none"),
        ({"variables": [NEEDED]}, {"domian": "x"}, "has no variable domian; it has: domain"),
        ({"os": 'options:\n  system.uri: "NA"  # systemd extensions\n'}, {}, "has system.uri: NA"),
        ({"os": "a: 1\n---\nb: 1\n"}, {}, "2 YAML documents; an OS layer is one"),
        ({"os": "stages:\n\tboot: []\n"}, {}, "line 2: not YAML: a tab"),
        ({"os": "token: '******'\n"}, {}, "masked"),
        ({"os": "options: {system.uri: x, a: b}\n"}, {}, "line 1: options is in flow style; write it in lines"),
        (
            {"os": "options: &all\n  system.osName: ubuntu\nstages:\n  boot: [*all]\n"},
            {},
            "values would differ elsewhere, too",
        ),
        ({"os": "stages:\n- oem:\n    externalRegistries: {x: y}\n"}, {}, "has externalRegistries"),
        ({"os": "{{- if .x }}\noptions:\n  system.uri: x\n{{- end }}\n"}, {}, "line 1: "),
    ],
)
def test_profiles_that_cannot_be_used_are_refused(
    site: PaletteSite, changes: Json, variables: dict[str, str], said: str
) -> None:
    """Place, what was found and what would be right."""
    with pytest.raises(UnusableProfileError) as refused:
        found(site, changes, variables)

    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda profile: replace(profile, cloud_type="vsphere"), "is for vsphere; name one for edge-native"),
        (
            lambda profile: replace(profile, packs=(*profile.packs, replace(profile.pack("os"), name="edge-ubuntu"))),
            "edge-base 1.2.0: its OS layers are edge-native-byoi, edge-ubuntu; a run needs one, edge-native-byoi",
        ),
    ],
)
def test_profiles_that_the_lab_cannot_have_are_refused(
    site: PaletteSite, change: Callable[[Profile], Profile], said: str
) -> None:
    """Another cloud type, and two OS layers, which Palette may have of old."""
    with site.project() as project:
        profiles = project.profiles
        as_found = SimpleNamespace(list=profiles.list, get=lambda uid: change(profiles.get(uid)))
        with pytest.raises(UnusableProfileError) as refused:
            find_base(cast("ProjectView", SimpleNamespace(profiles=as_found)), WantedProfile("edge-base"))

    assert said in str(refused.value)


@pytest.mark.parametrize("masks", get_args(Masks))
def test_each_version_has_its_own_password_whatever_palette_does_with_masks(masks: Masks, tmp_path: Path) -> None:
    """Versions are made of the user's text, never of what Palette gives back: masks refused, kept, or not there."""
    with palette_site(tmp_path, masks) as site, site.project() as project:
        base = find_base(project, WantedProfile("edge-base"))
        layers = [OsLayer(f"r.test/p:{n}", ProviderCredentials("r.test", "u", f"Pa!ss-{n}", None)) for n in "12"]
        clone = project.profiles.new_version(base.uid, "1.0.0", {PACK: base.values.with_layer(layers[0])}, name="clone")
        project.profiles.new_version(clone, "1.1.0", {PACK: base.values.with_layer(layers[1])})
        stored = [
            each.published for each in site.endpoint._context.store.profiles.values() if each.meta.name == "clone"
        ]

        for profile, layer in zip(stored, layers, strict=True):
            assert profile is not None
            assert [pack.values for pack in profile.packs if pack.layer == "os"] == [base.values.with_layer(layer)]


@pytest.mark.parametrize("without", ["os", "k8s", "cni"])
def test_a_profile_with_layers_missing_is_not_published(site: PaletteSite, without: str) -> None:
    """Palette refuses an infrastructure profile without them."""
    with pytest.raises(BadRequestError, match=f"no {without} layer"):
        found(site, {"without": (without,)}, {})


def test_values_of_variables_are_guarded(site: PaletteSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value by reference is one of the site's secrets; a short one could not be searched for."""
    profile = {"name": "edge-base", "variables": {"domain": "qa.example", "node_password": {"env": "NODE_PASSWORD"}}}
    monkeypatch.setenv("NODE_PASSWORD", "of-the-nodes")
    secrets = dict(site.file(profile=profile, packs=None).secrets())
    assert secrets["value of the profile's variable node_password"].reveal() == "of-the-nodes"

    monkeypatch.setenv("NODE_PASSWORD", "short")
    with pytest.raises(BadSiteFileError, match=r"profile\.variables\.node_password: found 5 characters"):
        site.file(profile=profile)
