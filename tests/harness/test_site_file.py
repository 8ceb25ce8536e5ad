"""A wrong site file is refused with the file, the key, what was found and what would be right."""

from __future__ import annotations

import copy
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.sites.site import connect
from harness.sites.site_file import BadSiteFileError, SiteFile, read_site_file
from harness.sites.site_hosts import SshTarget
from palette import RetryPolicy

Json = dict[str, Any]
SECRET = "s3cret-of-the-site"
RIGHT: Json = {
    "name": "lab-berlin",
    "palette": {"url": "https://palette.example/", "project": "Default", "api_key": {"env": "PALETTE_API_KEY"}},
    "edge_hosts": [{"uid": "edge-1", "ssh": "kairos@10.0.0.1"}, {"uid": "edge-2", "ssh": "kairos@[fd00::2]:2222"}],
    "registry": {"bind": "10.0.0.9"},
    "provider_image": "oci:image",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what a site file refers to."""
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "index.json").write_text("{}")
    (tmp_path / "key").write_text("key\n")
    (tmp_path / "empty").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    monkeypatch.setenv("PALETTE_API_KEY", SECRET)
    monkeypatch.delenv("NOT_SET", raising=False)
    return tmp_path


def changed(path: str, value: object) -> Json:
    """Return the right document with one value replaced; steps of the path are divided by dots."""
    document = copy.deepcopy(RIGHT)
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = document
    for step in steps:
        place = place[step] if isinstance(step, int) else place.setdefault(step, {})
    place[last] = value
    return document


def without(path: str) -> Json:
    """Return the right document without one key."""
    document = changed(path, None)
    *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = document
    for step in steps:
        place = place[step]
    del place[last]
    return document


def read(folder: Path, document: object) -> SiteFile:
    """Write a document as ``site.yaml`` and read it."""
    file = folder / "site.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    return read_site_file(file)


def refusal(folder: Path, document: object) -> str:
    """Return the message with which a document is refused."""
    with pytest.raises(BadSiteFileError) as refused:
        read(folder, document)
    (mistake,) = refused.value.mistakes
    return re.sub(r"^site\.yaml:\d+: ", "site.yaml: ", mistake)


def test_a_right_file_is_read(folder: Path) -> None:
    """A right file gives the site: secrets read and guarded, paths absolute, hosts taken apart, defaults there."""
    site = read(folder, changed("ssh.key", "key"))

    assert (site.name, site.palette_url, site.project) == ("lab-berlin", "https://palette.example", "Default")
    assert (site.api_key.reveal(), SECRET in repr(site)) == (SECRET, False)
    assert site.edge_hosts == {
        "edge-1": SshTarget("kairos", "10.0.0.1", 22),
        "edge-2": SshTarget("kairos", "fd00::2", 2222),
    }
    assert (site.ssh_key, site.ssh_sudo, site.rate_limits, site.registry_port) == (folder / "key", True, True, 0)
    assert site.provider_image == folder / "image"


@pytest.mark.parametrize("same", [True, False])
def test_only_a_site_of_this_machine_has_longer_while_it_is_overloaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, same: bool
) -> None:
    """What this machine has to do says nothing about how long hosts elsewhere may take."""
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))

    with connect(read(folder, changed("ssh.key", "key") | {"same_machine": same}), RetryPolicy()) as palette:
        assert (palette.wait.slowness() > 1) is same


def test_a_secret_can_be_kept_in_a_file(folder: Path) -> None:
    """A secret given as a file is the file's text without white space around it."""
    assert read(folder, changed("palette.api_key", {"file": "key"})).api_key.reveal() == "key"


@pytest.mark.parametrize("key", ["palette", "edge_hosts", "registry", "provider_image"])
def test_a_missing_key_is_named(folder: Path, key: str) -> None:
    """A key that must be there and is not is named, with what to write."""
    message = refusal(folder, without(key))

    assert message.startswith(f"site.yaml: {key}: it is missing; write {key}: ")
    assert not message.endswith("…"), "the message does not say what would be right"


@pytest.mark.parametrize(
    ("path", "key", "right"),
    [
        ("palette.url", "palette.url: it", "url: https://host[:port]"),
        ("palette.project", "palette.project: it", "project: the project's name"),
        ("palette.api_key", "palette.api_key: it", "api_key: {env: VARIABLE} or {file: PATH}"),
        ("edge_hosts.1.uid", "edge_hosts[1]: 'uid'", "uid: the Edge host's identity in Palette"),
        ("edge_hosts.0.ssh", "edge_hosts[0].ssh: it", "ssh: user@host[:port]"),
        ("registry.bind", "registry.bind: it", "bind: the address of this machine on which hosts reach the registry"),
    ],
)
def test_a_missing_key_below_is_named(folder: Path, path: str, key: str, right: str) -> None:
    """A missing key within a mapping is named with its whole place, and with what to write."""
    assert refusal(folder, without(path)).startswith(f"site.yaml: {key} is missing; write {right}")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("edge_host", "edge_host: unknown key; did you mean 'edge_hosts'?"),
        ("palette.apikey", "palette.apikey: unknown key; did you mean 'api_key'?"),
        ("ssh.knownhosts", "ssh.knownhosts: unknown key; did you mean 'known_hosts'?"),
        ("registry.adress", "registry.adress: unknown key; known: bind, port, ports, names"),
        ("edge_hosts.0.sshh", "edge_hosts[0].sshh: unknown key; did you mean 'ssh'?"),
        ("timeouts.repav", "timeouts.repav: unknown time-out; did you mean 'repave'?"),
        ("timeouts.x", "timeouts.x: unknown time-out; known: "),
    ],
)
def test_an_unknown_key_is_named(folder: Path, path: str, said: str) -> None:
    """A key that nobody knows is named with the nearest known one, or with all of them."""
    assert refusal(folder, changed(path, 5)).startswith(f"site.yaml: {said}")


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("name", "", "name: found ''; write a name for reports"),
        ("name", 7, "name: found 7; write a name for reports"),
        ("palette", [], "palette: found []; write a mapping with url, project and api_key"),
        ("palette.url", "http://p.example", "palette.url: found 'http://p.example'; write https://host[:port]"),
        ("palette.url", "https://p.example/v1", "palette.url: found 'https://p.example/v1'; write https://host[:port]"),
        ("palette.project", 5, "palette.project: found 5; write the project's name"),
        (
            "palette.rate_limits",
            "no",
            "palette.rate_limits: found 'no'; write true (keep the published limits) or fals",
        ),
        ("edge_hosts", [], "edge_hosts: found []; write a list with at least one host"),
        ("edge_hosts.1", "edge-2", "edge_hosts[1]: found 'edge-2'; write a mapping with uid and ssh"),
        ("edge_hosts.1.ssh", "edge-2", "edge_hosts[1].ssh: 'edge-2' has no user; write it as user@host[:port]"),
        ("edge_hosts.1.ssh", "k@h:ssh", "edge_hosts[1].ssh: found 'k@h:ssh'; write user@host[:port]"),
        ("edge_hosts.1.ssh", "k@h:0", "edge_hosts[1].ssh: found port 0; write a port from 1 to 65535"),
        ("edge_hosts.1.ssh", "k@h:70000", "edge_hosts[1].ssh: found port 70000; write a port from 1 to 65535"),
        ("edge_hosts.1.uid", "edge-1", "edge_hosts[1].uid: 'edge-1' is listed twice"),
        ("ssh.key", "nowhere", "ssh.key: nowhere is not a file; write the path of one that exists"),
        ("ssh.sudo", "yes please", "ssh.sudo: found 'yes please'; write true or false"),
        ("ssh.jump", "a b", "ssh.jump: found 'a b'; write user@host[:port] of a jump host"),
        ("palette.authority", "nowhere", "palette.authority: nowhere is not a file; write the path of one that exists"),
        ("registry.port", 70000, "registry.port: found 70000; write a port from 1 to 65535, or 0 for a free one"),
        ("registry.port", "5000", "registry.port: found '5000'; write a port from 1 to 65535, or 0 for a free one"),
        ("registry.names", "r.example", "registry.names: found 'r.example'; write a list of names under which hosts"),
        ("provider_image", "docker://x", "provider_image: found 'docker://x'; write oci:DIRECTORY of an OCI image"),
        (
            "features",
            "kubernetes",
            "features: found 'kubernetes'; write a list of what the site can do beyond the core",
        ),
        ("timeouts", 5, "timeouts: found 5; write seconds, by the names in docs/real-sites.md"),
        ("timeouts.repave", 0, "timeouts.repave: found 0; write seconds above 0"),
        ("timeouts.repave", "1h", "timeouts.repave: found '1h'; write seconds above 0"),
    ],
)
def test_a_wrong_value_is_quoted(folder: Path, path: str, value: object, said: str) -> None:
    """A value of a wrong type or form is quoted with its place, and with what would be right."""
    assert refusal(folder, changed(path, value)).startswith(f"site.yaml: {said}")


def test_a_directory_that_is_no_image_is_named(folder: Path) -> None:
    """A provider image that is no OCI image layout is named with its path and what is missing in it."""
    message = refusal(folder, changed("provider_image", "oci:elsewhere"))

    assert message == f"site.yaml: provider_image: {folder}/elsewhere is no OCI image layout (it has no index.json)"


@pytest.mark.parametrize(
    "value", [SECRET, {"value": SECRET}, {"env": "A", "file": "b"}, {"env": 5}, {"env": ""}, [SECRET]]
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(folder: Path, value: object) -> None:
    """A secret that stands in the file itself is refused; the message says where it belongs and does not quote it."""
    message = refusal(folder, changed("palette.api_key", value))

    assert message.startswith("site.yaml: palette.api_key: ")
    assert "{env: VARIABLE} or {file: PATH}" in message
    assert SECRET not in message


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"env": "NOT_SET"}, "environment variable NOT_SET is not set"),
        ({"file": "nowhere"}, "nowhere is not a file; write the path of one that exists"),
        ({"file": "empty"}, "is empty; write the secret into it"),
        ({"file": "binary"}, "cannot be read as text"),
    ],
)
def test_a_secret_that_is_not_there_is_named(folder: Path, reference: Json, said: str) -> None:
    """A secret that is referred to and cannot be had is named by key and place."""
    message = refusal(folder, changed("palette.api_key", reference))

    assert message.startswith("site.yaml: palette.api_key")
    assert said in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("palette: [", "site.yaml: this is no YAML: a quote or bracket that is not closed"),
        ("a: b: c", "site.yaml: this is no YAML: a second ':' in one line, or a wrong indentation"),
        ("name: 2024-13-45", "site.yaml: this is no YAML: no value: month must be in 1..12"),
        ("", "site.yaml: the file is no mapping of keys; see docs/real-sites.md"),
        ("- a", "site.yaml: the file is no mapping of keys; see docs/real-sites.md"),
    ],
)
def test_what_is_no_site_file_at_all_is_refused(folder: Path, text: str, said: str) -> None:
    """Text that is no YAML is named by its line; YAML that is no mapping is told to be none."""
    assert refusal(folder, text).startswith(said)


def test_a_secret_that_reports_cannot_be_searched_for_is_refused(folder: Path) -> None:
    """A password as short as a word of ordinary text is refused before the run, not found everywhere at its end."""
    (folder / "short").write_text("admin")
    image = {"reference": "registry.example/a:v1", "username": "robot", "password": {"file": "short"}}
    message = refusal(folder, changed("provider_image", image))

    assert message.startswith("site.yaml: provider_image.password: found 5 characters; use a password of at least 8")


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    """A site file that does not exist, is a directory, or is not text, is refused with its path and the reason."""
    for path, said in (
        (folder / "none.yaml", f"--site {folder}/none.yaml: cannot be read: No such file or directory"),
        (folder, f"--site {folder}: cannot be read: Is a directory"),
        (Path("/dev/zero"), "--site /dev/zero: cannot be read: it is larger than 1024 KiB"),
        (folder / "binary", "binary:1: this is no YAML: bytes that are no UTF-8"),
    ):
        with pytest.raises(BadSiteFileError) as refused:
            read_site_file(path)
        assert str(refused.value).startswith(said)


@pytest.mark.parametrize("key", ["palette.api_key", "palette.authority", "profile", "packs"])
def test_a_file_without_end_is_named(folder: Path, key: str) -> None:
    """Whatever a site file refers to is read up to a largest size, and refused in one line beyond it."""
    with (folder / "large").open("wb") as file:
        file.truncate(2 << 20)
    refers: Json = {"palette.api_key": {"file": "large"}, "palette.authority": "large"}
    refers |= {"profile": {"name": "edge", "os_values": "large"}, "packs": {"kubernetes": {"values": "large"}}}
    message = refusal(folder, changed(key, refers[key]))

    assert message.startswith(f"site.yaml: {key}")
    assert message.endswith("it is larger than 1024 KiB")


def test_a_kubeconfig_is_a_guarded_secret_and_brings_its_feature(folder: Path) -> None:
    """A site file that refers to a kubeconfig has the feature, and the kubeconfig is searched for in artefacts."""
    (folder / "kubeconfig").write_text("clusters: [of-the-site]\nusers: [{user: {token: a-token-of-it}}]\n")
    site = read(folder, changed("kubernetes", {"kubeconfig": {"file": "kubeconfig"}}))

    assert site.features == {"kubernetes"}
    assert site.kubeconfig is not None
    assert [name for name, _secret in site.secrets()] == [
        "Palette API key",
        "kubeconfig",
        "credential in the kubeconfig",
    ]
    assert "of-the-site" not in repr(site)
    assert refusal(folder, changed("kubernetes", {"kubeconfig": "clusters: []"})).startswith(
        "site.yaml: kubernetes.kubeconfig: found something else than where the secret is kept; write {env: VARIABLE}"
    )
