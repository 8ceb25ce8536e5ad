"""The cluster profile as the guide builds it."""

from __future__ import annotations

import pytest
import yaml

from fixtures.layers import Layers
from harness.clusters import new_version
from harness.errors import ErrorCause
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from palette.errors import BadRequestError, InvalidError
from palette.os_layer import IMAGE_MACRO, PACK, OsLayer, ProviderCredentials

MASK = "******"
LAYER = OsLayer(
    "registry.example/provider:v1.4.5", ProviderCredentials("registry.example", "user", "Passw0rd!", "no certificate")
)


@requirement("PROFILE-03", "PROFILE-04", phase="profile")
def test_a_new_profile_begins_with_the_bring_your_own_os_pack(site: Site) -> None:
    """A new profile for Edge clusters has its layers in order: the Bring Your Own OS pack first."""
    if site.base is not None:  # a profile that is cloned shows it, too
        cloned = site.project.profiles.get(site.base.uid).packs
        assert cloned[0].name == PACK, f"the OS layer is pack {cloned[0].name}"
    profile = site.project.profiles.get(site.create_profile(f"{site.run}-shape", LAYER))

    assert [pack.layer for pack in profile.packs][:2] == ["os", "k8s"], f"layers are {profile.packs}"
    assert profile.packs[0].name == PACK, f"the OS layer is pack {profile.packs[0].name}"


@requirement("PROFILE-02", phase="profile")
def test_a_new_version_leaves_the_old_one_as_it_was(site: Site) -> None:
    """A new version is a profile of its own under the same name: the change is in it, and all else as it was."""
    old = site.create_profile(f"{site.run}-versions", LAYER)
    changed = OsLayer("registry.example/provider:v2.0.0", LAYER.credentials)
    new = new_version(site, old, "1.1.0", changed)
    before, after = site.project.profiles.get(old), site.project.profiles.get(new)

    assert (after.name, after.version, after.uid == before.uid) == (before.name, "1.1.0", False)
    assert "v1.4.5" in before.pack("os").values, "the old version no longer names its own image"
    assert "v2.0.0" in after.pack("os").values, "the new version does not name the new image"
    kept = after.pack("os").values.splitlines()
    lost = [line for line in before.pack("os").values.splitlines() if line not in kept and "v1.4.5" not in line]
    assert lost == [], "the new version lost lines of the OS layer that were not changed"


@requirement("PROFILE-09", phase="profile")
def test_a_saved_version_is_published(site: Site) -> None:
    """A version that was saved with its changes is published; before, it is a draft."""
    draft = site.create_profile(f"{site.run}-draft", LAYER, publish=False)
    was_published = site.project.profiles.get(draft).is_published
    site.project.profiles.publish(draft)

    assert not was_published, "a profile that was not published says that it is"
    assert site.project.profiles.get(draft).is_published, "a published profile says that it is a draft"


@requirement("PROFILE-10", phase="profile")
@pytest.mark.parametrize("version", ["v1.2", "2.2.2.develop", "1.2", "1.02.3", "one"])
def test_a_malformed_version_is_refused(site: Site, version: str) -> None:
    """A version that is not strictly semantic is refused when a profile is made with it."""
    with pytest.raises((BadRequestError, InvalidError)):
        site.create_profile(f"{site.run}-malformed", LAYER, version=version)


@requirement("PROFILE-06", phase="profile")
def test_the_pack_macro_stands_for_system_uri(site: Site) -> None:
    """The macro in ``pack.content.images`` resolves to the value of ``system.uri``."""
    profile = site.create_profile(f"{site.run}-macro", LAYER)
    resolved = site.project.profiles.resolved_values(profile, [IMAGE_MACRO])

    assert LAYER.image in resolved.values(), f"the pack macro resolves to {resolved}"


@requirement("PROFILE-08", phase="profile")
def test_the_password_is_masked_in_every_answer(site: Site) -> None:
    """No answer about a profile gives the password back in clear: get, packs, pack, export in both forms."""
    password = "Pa!ss#w0rd*Clear"
    layer = OsLayer(LAYER.image, ProviderCredentials("registry.example", "user", password))
    uid = site.create_profile(f"{site.run}-masked", layer)
    profiles = site.project.profiles
    answers = {
        "the profile": profiles.get(uid).pack("os").values,
        "its packs": " ".join(pack.values for pack in profiles.packs(uid)),
        "its OS pack": profiles.pack(uid, PACK).values,
        "its export as YAML": profiles.export(uid),
        "its export as JSON": profiles.export(uid, form="json"),
    }
    shown = [name for name, text in answers.items() if password in text]

    assert shown == [], f"the password comes back in clear from {', '.join(shown)}"


@requirement("PROFILE-07", phase="deploy")
def test_credentials_below_the_root_are_not_honoured(
    site: Site, layers: Layers, private_registry: SiteRegistry
) -> None:
    """Provider credentials nested under other keys are not used: the pull is anonymous and refused."""
    with private_registry.account() as account:
        given = yaml.safe_load(layers.fresh(account).values())
        credentials = given.pop("providerCredentials")
        for place in ("pack", "options"):
            given.setdefault(place, {})["providerCredentials"] = credentials
        with site.begin_deploy(layers.verbatim(given["options"]["system.uri"], yaml.safe_dump(given))) as cluster:
            cluster.fails(ErrorCause.LOGIN, ErrorCause.TLS)  # the registry's authority stands among the credentials
