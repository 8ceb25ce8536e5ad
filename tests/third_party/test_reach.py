"""Hosts are reached as a site file says: through a jump host, on another port, by name and tag, with what they need."""

from __future__ import annotations

import subprocess
from contextlib import closing
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import docker
import pytest

from edge import EdgeHost, HostUnreachable, reboot_proof
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.provider_images import ProviderImages
from harness.sites.site import Site
from harness.sites.site_file import BadSiteFileError
from palette.errors import NeverTouchError
from palette.os_layer import OsLayer, ProviderCredentials
from registry.images import push_layout
from registry.server import PrivateRegistry
from tests.third_party.conftest import ThirdPartySite


def quiet(_message: str) -> None:
    """Ignore the message."""


def address_of(third_party: ThirdPartySite, number: int) -> str:
    """Return the address of a host as the site file has it."""
    return str(third_party.document["edge_hosts"][number]["ssh"]).partition("@")[2]


def through_first(third_party: ThirdPartySite) -> dict[str, Any]:
    """Return what makes the first host the jump host to the second."""
    return {
        "uid": "edge-2",
        "ssh": f"kairos@{address_of(third_party, 1)}",
        "jump": f"kairos@{address_of(third_party, 0)}:22",
    }


def connections_of(host: EdgeHost) -> set[tuple[str, int]]:
    """Return who is connected to which port of a host, as its kernel knows it."""
    rows = [line.split() for line in str(host.run("cat /proc/net/tcp").stdout).splitlines()[1:]]
    open_ones = [(local, remote) for _, local, remote, state, *_ in rows if state == "01"]
    return {
        (str(IPv4Address(bytes.fromhex(remote[:8])[::-1])), int(local.partition(":")[2], 16))
        for local, remote in open_ones
    }


def test_a_host_behind_a_jump_host_is_reached_through_it(third_party: ThirdPartySite) -> None:
    """The connection comes from the jump host, with the site file's key and known hosts for both."""
    with third_party.host("edge-2", edge_hosts__1={**through_first(third_party), "sudo": False}) as host:
        assert (address_of(third_party, 0), 22) in connections_of(host)


def test_a_jump_host_with_an_unknown_key_is_not_passed_through(third_party: ThirdPartySite) -> None:
    """The jump host's own key is checked, too: one that is not known ends the attempt."""
    known = third_party.folder / "known_hosts"
    lines = Path(third_party.document["ssh"]["known_hosts"]).read_text().splitlines()
    known.write_text("\n".join(line for line in lines if line.startswith(f"{address_of(third_party, 1)} ")) + "\n")
    changes = {"edge_hosts__1": through_first(third_party), "ssh__known_hosts": str(known)}

    with third_party.host("edge-2", **changes) as host, pytest.raises(HostUnreachable):
        host.run("true")


def test_a_reboot_is_seen_through_a_jump_host(third_party: ThirdPartySite) -> None:
    """A host behind a jump host is lost and found again when it reboots, with sudo all the way."""
    with third_party.host("edge-2", edge_hosts__1=through_first(third_party)) as host:
        before = host.boot()
        assert reboot_proof(before, host.reboot()).new_boot
        assert str(host.run("id -u").stdout).strip() == "0"


def test_a_cluster_is_deployed_and_repaved_on_a_host_behind_a_jump_host(
    third_party: ThirdPartySite, tmp_path: Path
) -> None:
    """Deployment and repave of a host that is reached through another end with another boot of another image."""
    file = third_party.read(edge_hosts__1=through_first(third_party))
    with (
        closing(docker.from_env()) as engine,
        Site.open(file, "own-jump", Ledger(), Evidence(tmp_path)) as site,
        PrivateRegistry(engine, bind=file.registry_bind, names=file.registry_names, say=quiet) as registry,
        registry.account() as account,
    ):
        images = ProviderImages(registry.client(), file.provider_image, quiet, registry.address)
        login = ProviderCredentials(str(registry.address), account.username, account.password, registry.authority.pem)
        layer = OsLayer(images.named("v1").reference, login)
        with site.deploy(layer, on=(site.hosts["edge-2"],)) as cluster:
            before = cluster.host.boot()
            cluster.repave(OsLayer(images.named("v2").reference, login))
            assert reboot_proof(before, cluster.host.boot()).holds


def test_a_provider_image_is_brought_from_another_registry(third_party: ThirdPartySite) -> None:
    """An image that a site file names in a registry with a login is copied from there, the same bytes."""
    with (
        closing(docker.from_env()) as engine,
        PrivateRegistry(engine, say=quiet) as theirs,
        PrivateRegistry(engine, say=quiet) as ours,
        theirs.account() as account,
        theirs.client() as pusher,
    ):
        origin = Path(third_party.document["provider_image"].removeprefix("oci:"))
        pushed = push_layout(pusher, origin, "team/edge", "v1")
        (third_party.folder / "theirs.pem").write_text(theirs.authority.pem)
        (third_party.folder / "password").write_text(account.password)
        named: dict[str, Any] = {"reference": f"{theirs.address}/team/edge:v1", "username": account.username}
        named |= {"password": {"file": "password"}, "authority": "theirs.pem"}
        file = third_party.read(provider_image=named)

        assert ProviderImages(ours.client(), file.provider_image, quiet, ours.address).base.digest == pushed.digest
        assert third_party.doctor(provider_image=named)[0] == 0
        named["reference"] += "-gone"
        assert third_party.doctor(provider_image=named)[1][0].startswith("provider image missing: ")
        (third_party.folder / "password").write_text("wrong-password")
        assert "check user name" in third_party.doctor(provider_image=named)[1][0]


def test_a_doctor_goes_through_the_jump_host(third_party: ThirdPartySite) -> None:
    """The doctor finds nothing wrong with a host behind a jump host, and says so of a jump host that is away."""
    assert third_party.doctor(edge_hosts__1=through_first(third_party))[0] == 0
    away = {**through_first(third_party), "jump": f"kairos@{address_of(third_party, 0)}:9"}
    assert third_party.doctor(edge_hosts__1=away)[1][0].startswith("SSH refused: host edge-2: ")


def test_a_host_on_another_port_is_reached_there(third_party: ThirdPartySite) -> None:
    """A port in the site file is the one that is used, and the host's key is that of the port."""
    address, known = address_of(third_party, 0), third_party.folder / "known_hosts"
    listening = "until true </dev/tcp/127.0.0.1/2222; do :; done"
    do = f"systemd-run --unit=sshd-2222 --quiet /usr/sbin/sshd -D -p 2222 && bash -c '{listening}' 2>/dev/null"
    with third_party.done_on_host(do, "systemctl stop sshd-2222"):
        scanned = subprocess.run(["ssh-keyscan", "-p", "2222", address], check=True, capture_output=True, text=True)
        known.write_text(scanned.stdout)
        changes = {"edge_hosts__0__ssh": f"kairos@{address}:2222", "ssh__known_hosts": str(known), "ssh__sudo": False}
        with third_party.host("edge-1", **changes) as host:
            assert 2222 in {port for _, port in connections_of(host)}


def test_hosts_are_found_by_name_and_by_tag(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """A name is one host's, a tag that of all that have it; the address may be the one that Palette knows."""
    tag = third_party.folder.name + ":yes"
    with Site.open(third_party.read(), "own-tags", Ledger(), Evidence(tmp_path)) as site:
        devices = {device.uid: device for device in site.project.edge_hosts.search()}
        site.project.edge_hosts.update_labels("edge-2", {tag.partition(":")[0]: "yes"})
    listed = [{"name": devices["edge-1"].name, "ssh": "kairos@{address}"}, {"tag": tag, "ssh": "kairos@{address}"}]
    with Site.open(third_party.read(edge_hosts=listed), "own-tags", Ledger(), Evidence(tmp_path)) as site:
        assert [str(host.run("hostname").stdout).strip() for host in site.hosts.values()] == ["edge-1", "edge-2"]
        site.project.edge_hosts.update_labels("edge-2", remove=(tag.partition(":")[0],))
    with pytest.raises(BadSiteFileError, match="no Edge host of the project has"):
        Site.open(third_party.read(edge_hosts=listed), "own-tags", Ledger(), Evidence(tmp_path))


def test_what_must_never_be_touched_is_not_changed(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """A request that would change a named cluster, profile or host is refused before it is sent; reading is free."""
    with Site.open(third_party.read(), "own-never", Ledger(), Evidence(tmp_path)) as owner:
        profile = owner.create_profile("golden", OsLayer("registry.lab.example:1/no/image:v1"))
        document: dict[str, Any] = {"profiles": ["golden"], "edge_hosts": ["edge-2"]}
        changes = {"edge_hosts": third_party.document["edge_hosts"][:1], "never_touch": document}
        with Site.open(third_party.read(**changes), "own-never", Ledger(), Evidence(tmp_path)) as site:
            assert site.project.profiles.get(profile).name == "golden"
            for change in (
                lambda: site.project.profiles.delete(profile),
                lambda: site.project.edge_hosts.update_labels("edge-2", {"a": "b"}),
            ):
                with pytest.raises(NeverTouchError, match="must never be touched"):
                    change()
        assert owner.project.profiles.get(profile).name == "golden"
    with pytest.raises(BadSiteFileError, match="also in never_touch"):
        third_party.read(never_touch=document)
