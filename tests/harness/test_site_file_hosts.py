"""Hosts by name and tag, images in registries, and what must never be touched: read, or refused with what is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.sites.site_file import RemoteImage
from harness.sites.site_hosts import NeverTouch, SoughtHosts, SshTarget
from registry.tls import Authority
from tests.harness.test_site_file import SECRET, changed, folder, read, refusal

__all__ = ["folder"]  # the fixture of that module, asked for by name

REFERENCE = "registry.example:5000/team/edge:v1"
DIGEST = "sha256:" + "0a" * 32


def test_hosts_are_sought_by_name_and_tag(folder: Path) -> None:
    """A host may be named by name or tag; what differs for it from the others stands beside it."""
    listed = [
        {"name": "edge-7", "ssh": "k@h:23", "jump": "j@b"},
        {"tag": "rack:2", "ssh": "k@{name}.lan", "key": "key"},
    ]
    site = read(folder, changed("edge_hosts", listed))

    assert site.edge_hosts == {}
    assert site.sought == (
        SoughtHosts("site.yaml: edge_hosts[0].name", "name", "edge-7", SshTarget("k", "h", 23, jump="j@b")),
        SoughtHosts(
            "site.yaml: edge_hosts[1].tag",
            "tag",
            "rack:2",
            SshTarget("k", "{name}.lan", key=(folder / "key").resolve()),
        ),
    )


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"ssh": "k@h"}, "edge_hosts[0]: 'uid' is missing; write uid: the Edge host's identity in Palette, or name: "),
        ({"uid": "a", "tag": "b:c", "ssh": "k@h"}, "edge_hosts[0]: found uid and tag; write one of them"),
        ({"tag": "rack", "ssh": "k@{address}"}, "edge_hosts[0].tag: found 'rack'; write key:value, as the Edge hosts"),
        ({"tag": "a:b", "ssh": "k@h"}, "edge_hosts[0].ssh: many hosts may have a tag; {address} or {name} stands for"),
        ({"name": "a", "ssh": "k@h:0"}, "edge_hosts[0].ssh: found port 0; write a port from 1 to 65535"),
        ({"uid": "a", "ssh": "k@h", "key": "none"}, "edge_hosts[0].key: none is not a file; write the path of one"),
        ({"uid": "a", "ssh": "k@h", "sudo": "no"}, "edge_hosts[0].sudo: found 'no'; write true or false"),
    ],
)
def test_a_wrong_host_is_named(folder: Path, host: dict[str, Any], said: str) -> None:
    """A host that is named in no way, in two, or in one that cannot work, is refused with its place."""
    assert refusal(folder, changed("edge_hosts", [host])).startswith(f"site.yaml: {said}")


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        (REFERENCE, ("registry.example:5000", "team/edge", "v1")),
        (f"registry.example/edge@{DIGEST}", ("registry.example:443", "edge", DIGEST)),
        ("[fd00::1]:5000/a/b/c:1.2_x", ("[fd00::1]:5000", "a/b/c", "1.2_x")),
    ],
)
def test_an_image_in_a_registry_is_read(folder: Path, reference: str, parts: tuple[str, ...]) -> None:
    """The reference is taken apart, and the password is guarded."""
    pem = Authority().pem
    (folder / "authority.pem").write_text(pem)
    login = {"username": "robot", "password": {"env": "PALETTE_API_KEY"}, "authority": "authority.pem"}
    image = read(folder, changed("provider_image", {"reference": reference, **login})).provider_image

    assert isinstance(image, RemoteImage)
    assert (str(image.registry), image.repository, image.reference) == parts
    assert (image.password.reveal(), SECRET in repr(image), image.authority) == (SECRET, False, pem)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({}, "provider_image.reference: it is missing; write reference: registry[:port]/repository:tag"),
        ({"reference": "edge:v1"}, "provider_image.reference: found 'edge:v1'; write registry[:port]/repository:tag"),
        ({"reference": "r.example/edge"}, "provider_image.reference: found 'r.example/edge'; write registry[:port]"),
        ({"reference": "r.example:0/edge:v1"}, "provider_image.reference: registry port 0 is out of range"),
        ({"reference": REFERENCE, "username": "me"}, "provider_image: username and password go together; write both"),
        ({"reference": REFERENCE, "user": "me"}, "provider_image.user: unknown key; did you mean 'username'?"),
        (5, "provider_image: found 5; write oci:DIRECTORY of an OCI image layout, or a mapping with reference"),
    ],
)
def test_a_wrong_image_is_named(folder: Path, image: object, said: str) -> None:
    """An image that cannot be meant is refused with its place and what would be right."""
    assert refusal(folder, changed("provider_image", image)).startswith(f"site.yaml: {said}")


def test_a_password_of_a_registry_in_the_file_is_not_repeated(folder: Path) -> None:
    """A password that stands in the file itself is refused without being quoted."""
    message = refusal(folder, changed("provider_image", {"reference": REFERENCE, "username": "m", "password": SECRET}))

    assert message.startswith("site.yaml: provider_image.password: ")
    assert SECRET not in message


def test_what_must_never_be_touched_is_read(folder: Path) -> None:
    """Clusters, profiles and hosts are named; one that is listed for use as well is refused, and so is another kind."""
    untouched = {"clusters": ["production"], "edge_hosts": ["edge-9"]}

    assert read(folder, changed("never_touch", untouched)).never_touch == NeverTouch(
        frozenset({"production"}), frozenset(), frozenset({"edge-9"})
    )
    message = refusal(folder, changed("never_touch", {"edge_hosts": ["edge-2"]}))
    assert message == "site.yaml: edge_hosts[1]: 'edge-2' is also in never_touch.edge_hosts; remove one of them"
    assert "unknown key; did you mean 'clusters'?" in refusal(folder, changed("never_touch", {"cluster": []}))
