"""The doctor finds each thing that stands in a run's way, in one line with what to do, and changes nothing."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import testinfra

from doctor import network
from doctor.from_host import TOOLS, HostView, ask, judged
from doctor.image import look_at_image
from doctor.listener import listening
from edge import EdgeHost
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.sites import leases
from harness.sites.leases import Lease
from harness.sites.site import Site
from palette.os_layer import OsLayer
from registry.layout import ImageLayout, _replace, _store
from registry.tls import Authority
from tests.third_party.conftest import ThirdPartySite

GUEST_MADE = (
    "useradd --create-home --shell /bin/bash guest && cp -r ~kairos/.ssh ~guest/ && chown -R guest: ~guest/.ssh"
)
GUEST_GONE = "pkill --uid guest; while pgrep --uid guest >/dev/null; do sleep 0.02; done; userdel --remove guest"


def only(result: tuple[int, list[str]], kind: str) -> str:
    """See to it that one thing was found, and give its line."""
    code, lines = result
    found = [line for line in lines[:-1] if line.startswith(f"{kind}: ")]
    assert (code, len(lines[:-1]), len(found), lines[-1]) == (4, 1, 1, "1 problem"), lines
    return found[0]


def test_a_right_site_is_left_with_a_good_word(third_party: ThirdPartySite) -> None:
    """A site on which a run can begin gets exit code 0 and one line."""
    code, lines = third_party.doctor()

    assert (code, len(lines)) == (0, 1), lines
    assert lines[0].startswith("lab: ")


def test_nothing_is_changed(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """The doctor leaves no file on a host and nothing in Palette, also when it finds something."""
    look = "find /etc /oem /home /usr/local /tmp /root -xdev -newer /run/stamp -not -path '*/var-log*' -type f"
    with (
        third_party.done_on_host("touch /run/stamp", "rm /run/stamp"),
        third_party.host() as host,
        Site.open(third_party.read(), "own-doctor", Ledger(), Evidence(tmp_path)) as site,
    ):
        before = seen_in_palette(site)
        third_party.doctor(registry__names=["registry.lab.example", "nowhere.invalid"])

        assert seen_in_palette(site) == before
        assert str(host.run(look).stdout) == ""


def seen_in_palette(site: Site) -> list[object]:
    """Return what is in the project."""
    project = site.project
    hosts = [(host.uid, str(host), dict(host.labels)) for host in project.edge_hosts.search()]
    return [hosts, list(project.clusters.search()), list(project.profiles.list()), project.macros.list()]


def test_a_wrong_url_is_found(third_party: ThirdPartySite) -> None:
    """A URL at which nobody answers is named, with what to check."""
    code, lines = third_party.doctor(palette__url="https://127.0.0.1:9")

    assert (code, lines[0].split(": ")[0]) == (4, "wrong URL")
    assert "; check the URL" in lines[0]


def test_a_proxy_that_is_passed_by_is_told(third_party: ThirdPartySite, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Palette cannot be reached and a proxy is set on this machine, the line says that it is not used."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")

    assert "HTTPS_PROXY is set on this machine" in third_party.doctor(palette__url="https://127.0.0.1:9")[1][0]


def test_a_url_of_something_else_is_found(third_party: ThirdPartySite) -> None:
    """A URL of a server that is no Palette is a wrong URL, too."""
    with listening("127.0.0.1", 0, ()) as listener:
        authority = third_party.folder / "other.pem"
        authority.write_text(listener.trusted)
        url = f"https://127.0.0.1:{listener.port}"
        _, lines = third_party.doctor(palette__url=url, palette__authority=str(authority))

    assert lines[0].startswith(f"wrong URL: palette.url {url}: ")


def test_a_wrong_api_key_is_found_and_not_repeated(third_party: ThirdPartySite) -> None:
    """A key that Palette refuses is found, and does not stand in the line."""
    (third_party.folder / "key").write_text("no-such-key-1234567")
    line = only(third_party.doctor(palette__api_key={"file": "key"}), "wrong key")

    assert "no-such-key" not in line
    assert "has not expired" in line


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("wrong project", {"palette__project": "Nowhere"}, "no project 'Nowhere'; there are: Default"),
        (
            "not registered",
            {"edge_hosts__1__uid": "edge-9"},
            "host edge-9: the project has no such Edge host; it has: edge-1, edge-2",
        ),
        (
            "provider image missing",
            {"provider_image": {"reference": "127.0.0.1:9/team/edge:v1"}},
            "127.0.0.1:9/team/edge:v1",
        ),
        ("registry address", {"registry__bind": "192.0.2.7"}, "give an address of this machine"),
    ],
)
def test_what_is_not_there_is_found(third_party: ThirdPartySite, kind: str, given: dict[str, Any], said: str) -> None:
    """What the site file names and nobody has is named, with what there is in its place."""
    assert said in only(third_party.doctor(**given), kind)


def test_a_host_in_use_is_found(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """A host that belongs to a cluster is named with the cluster, and so is the virtual IP that the cluster has."""
    with Site.open(third_party.read(), "own-doctor", Ledger(), Evidence(tmp_path)) as site:
        cluster = site.begin_deploy(OsLayer("registry.lab.example:1/no/image:v1"), on=(site.hosts["edge-2"],))
        code, lines = third_party.doctor()
        cluster.delete()
        site.free_hosts(2)

    assert (code, lines[-1]) == (4, "2 problems")
    assert f"host edge-2: it belongs to cluster {cluster.uid}" in lines[0]
    assert "is the endpoint of another cluster" in lines[1]


def test_a_host_that_another_run_leased_is_found(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """A lease that stands is named with its owner and run; one that has ended is not in the way."""
    name = third_party.folder.name
    with Site.open(third_party.read(), "own-doctor", Ledger(), Evidence(tmp_path)) as site:
        hosts, now = site.project.edge_hosts, datetime.now(UTC)
        hosts.update_labels("edge-1", Lease("qa.bench", f"conf-{name}", now + timedelta(hours=1)).labels())
        line = only(third_party.doctor(), "in use")
        hosts.update_labels("edge-1", Lease("qa.bench", f"conf-{name}", now - timedelta(hours=1)).labels())
        ended = third_party.doctor()
        hosts.update_labels("edge-1", remove=(leases.OWNER, leases.RUN, leases.UNTIL))

    assert f"host edge-1: it is leased by qa.bench, run conf-{name}" in line
    assert ended[0] == 0, ended


def test_hosts_that_only_palette_knows_are_told_to_be_left_out(third_party: ThirdPartySite) -> None:
    """When Palette cannot be asked, hosts that are sought by name are not passed over in silence."""
    listed = [{"name": "edge-1", "ssh": "kairos@{address}"}]
    code, lines = third_party.doctor(palette__url="https://127.0.0.1:9", edge_hosts=listed)

    assert (code, lines[-1], lines[1].split(": ")[0]) == (4, "1 problem", "not checked")


def test_a_name_that_is_nobody_s_is_found(third_party: ThirdPartySite) -> None:
    """A host that is sought by a name that nobody has is not registered; those that are there are named."""
    _, lines = third_party.doctor(edge_hosts=[{"name": "edge-77", "ssh": "kairos@{address}"}])

    assert lines[0].startswith("not registered: edge_hosts: site.yaml: edge_hosts[0].name: no Edge host")


def test_an_unhealthy_host_is_found(third_party: ThirdPartySite, tmp_path: Path) -> None:
    """A host whose agent went silent is named with what Palette says of it."""
    stopped = third_party.done_on_host("systemctl stop stylus-agent", "systemctl start stylus-agent")
    with Site.open(third_party.read(), "own-doctor", Ledger(), Evidence(tmp_path)) as site:
        hosts = site.project.edge_hosts
        with stopped:
            hosts.wait.until("silence", lambda: hosts.get("edge-1"), lambda host: host.health == "unhealthy", within=20)
            line = only(third_party.doctor(), "unhealthy")
        hosts.wait_until_free("edge-1")

    assert "host edge-1: Palette calls it unhealthy no heartbeat" in line


def test_a_refused_connection_is_found(third_party: ThirdPartySite) -> None:
    """A host whose SSH port nobody listens on is named with what ssh said."""
    address = third_party.document["edge_hosts"][0]["ssh"]
    line = only(third_party.doctor(edge_hosts__0__ssh=f"{address}:9"), "SSH refused")

    assert "Connection refused" in line


def test_a_refused_ssh_key_is_found(third_party: ThirdPartySite) -> None:
    """A user whose key the host refuses is named with the key's file."""
    address = third_party.document["edge_hosts"][0]["ssh"].partition("@")[2]
    line = only(third_party.doctor(edge_hosts__0__ssh=f"root@{address}"), "SSH key refused")

    assert "ssh_key" in line


def test_an_unknown_host_key_is_found(third_party: ThirdPartySite) -> None:
    """Hosts whose keys are not in the file of known hosts are not logged in to."""
    (third_party.folder / "known_hosts").touch()
    code, lines = third_party.doctor(ssh__known_hosts="known_hosts")

    assert (code, [line.split(": ")[0] for line in lines[:-1]]) == (4, ["host key", "host key"])


def test_a_user_without_sudo_is_found(third_party: ThirdPartySite) -> None:
    """A user who may not use sudo is named with the line that would allow it."""
    address = third_party.document["edge_hosts"][0]["ssh"].partition("@")[2]
    with third_party.done_on_host(GUEST_MADE, GUEST_GONE):
        line = only(third_party.doctor(edge_hosts__0__ssh=f"guest@{address}"), "no sudo")
        asked = third_party.doctor(edge_hosts__0={"uid": "edge-1", "ssh": f"guest@{address}", "sudo": False})

    assert "NOPASSWD" in line
    assert asked[0] == 0, asked


def test_a_name_that_no_host_can_resolve_is_found(third_party: ThirdPartySite) -> None:
    """A name of the registry that a host cannot resolve is found from that host, and only there."""
    name = third_party.document["registry"]["names"][0]
    other = f"sed '/{name}/d' /etc/hosts > /run/hosts && mount --bind /run/hosts /etc/hosts"
    with third_party.done_on_host(other, "umount /etc/hosts"):
        line = only(third_party.doctor(), "name not resolvable")

    assert f"host edge-1: it cannot resolve {name}" in line


@pytest.mark.parametrize("tool", [*TOOLS])
def test_each_tool_tells_what_is_wrong_with_a_certificate(third_party: ThirdPartySite, tool: str) -> None:
    """Whichever tool a host has: right is right, another name is told from another authority, and silence from both."""
    file = third_party.read()
    bind, ours = file.registry_bind, Authority()
    presented = {
        "right": ours.issue(bind, "registry.lab.example"),
        "certificate": ours.issue("elsewhere.example"),
        "proxy": Authority("a proxy").issue(bind, "registry.lab.example"),
    }
    with third_party.host() as host:
        if host.run("command -v %s", tool).exit_status != 0:
            pytest.skip(f"the host has no {tool}")
        for expected, certificate in presented.items():
            with listening(bind, 0, (), certificate=certificate, authority=ours) as listener:
                view = HostView(host, None, listener, ())
                for name in (bind, "registry.lab.example"):
                    finding = judged(view, name, *ask(view, name, tool))
                    assert (str(finding.kind) if finding else "right") == expected, (name, finding)
                    assert expected != "certificate" or "is not valid for that name" in str(finding)
        finding = judged(view, bind, *ask(view, bind, tool))
        assert finding is not None
        assert finding.kind == "registry not reachable"


@pytest.mark.parametrize("tool", [*TOOLS])
def test_the_tools_of_this_machine_tell_the_same(tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same is told by the tools of this machine, whatever its users have set for them."""
    (tmp_path / ".curlrc").write_text("insecure\nsilent\n")
    (tmp_path / "ssl.py").write_text("raise SystemExit\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    local = testinfra.get_host("local://")
    if local.run("command -v %s", tool).rc != 0:
        pytest.skip(f"this machine has no {tool}")
    ours, here = Authority(), cast("EdgeHost", SimpleNamespace(uid="here", run=local.run))
    for expected, certificate in (
        ("right", ours.issue("127.0.0.1", "localhost")),
        ("certificate", ours.issue("elsewhere.example")),
        ("proxy", Authority("a proxy").issue("127.0.0.1", "localhost")),
    ):
        with listening("127.0.0.1", 0, (), certificate=certificate, authority=ours) as listener:
            view = HostView(here, None, listener, ())
            for name in ("127.0.0.1", "localhost"):
                finding = judged(view, name, *ask(view, name, tool))
                assert (str(finding.kind) if finding else "right") == expected, (name, finding)
                assert expected != "certificate" or "is not valid for that name" in str(finding)


def test_a_clock_that_is_off_by_a_day_is_found(third_party: ThirdPartySite) -> None:
    """A host whose clock is a day behind is found, whatever certificates it still accepts."""
    script = 'exec /usr/bin/date -d "1 day ago" "$@"'
    fake = (
        f"mkdir -p /usr/local/bin && echo '#!/bin/sh\n{script}' > /usr/local/bin/date && chmod +x /usr/local/bin/date"
    )
    with third_party.done_on_host(fake, "rm -r /usr/local/bin"):
        line = only(third_party.doctor(), "clock")

    assert "host edge-1: its clock is 86" in line
    assert "s behind" in line


def test_a_proxy_in_the_way_is_found(third_party: ThirdPartySite) -> None:
    """A proxy that a host's services use for the registry is named without its password, with what to add."""
    proxy = "printf 'HTTPS_PROXY=http://me:s3cret@proxy.example:3128\\n%s\\n' >> /etc/environment"
    names = [third_party.document["registry"]["bind"], *third_party.document["registry"]["names"]]
    with third_party.done_on_host(f"cp /etc/environment /run/before 2>/dev/null; {proxy % ''}", "rm /etc/environment"):
        line = only(third_party.doctor(), "proxy")
    with third_party.done_on_host(proxy % f"NO_PROXY={names[0]},.lab.example", "rm /etc/environment"):
        code, _ = third_party.doctor()

    assert "proxy.example" in line
    assert "s3cret" not in line
    assert f"add {','.join(names)} to NO_PROXY" in line
    assert code == 0, "NO_PROXY names the registry"


WITH_FILE = "mkdir -p {0} && printf '{1}' > {0}/{2}"


@pytest.mark.parametrize(
    ("do", "undo", "kind", "said"),
    [
        (WITH_FILE.format("/oem", "stylus:\\n  registryCredentials:\\n    password: s3cret\\n", "95_mine.yaml"),
         "rm /oem/95_mine.yaml", "user data", "/oem/95_mine.yaml has registryCredentials: Palette then ignores"),
        (WITH_FILE.format("/oem", "upgrade:\\n  allow-insecure-registries: true\\n", "95_mine.yaml"),
         "rm /oem/95_mine.yaml", "insecure registries", "95_mine.yaml has allow-insecure-registries: true"),
        (WITH_FILE.format("/etc/containerd/certs.d/x", "skip_verify = true\\n", "hosts.toml"),
         "rm -r /etc/containerd/certs.d/x", "insecure registries", "hosts.toml has skip_verify = true"),
    ],
)  # fmt: skip
def test_what_would_change_pulls_is_found_on_the_host(
    third_party: ThirdPartySite, do: str, undo: str, kind: str, said: str
) -> None:
    """User data and runtimes that would make cases accuse Palette are found by their keys, and no value is told."""
    with third_party.done_on_host(do, undo):
        line = only(third_party.doctor(), kind)

    assert said in line
    assert "s3cret" not in line


def test_virtual_ips_that_no_cluster_can_have_are_found(third_party: ThirdPartySite) -> None:
    """Outside the hosts' network, a host's own, and one for which another machine answers."""
    gateway, own = (
        third_party.document["registry"]["bind"],
        third_party.document["edge_hosts"][0]["ssh"].partition("@")[2],
    )
    free = gateway.rpartition(".")[0] + ".240"
    _, elsewhere = third_party.doctor(cluster__vip=["192.0.2.1", "192.0.2.2"])
    _, hosts_own = third_party.doctor(cluster__vip=[own, free])
    _, taken = third_party.doctor(cluster__vip=[gateway, free])

    assert [line.split(" is in none of")[0] for line in elsewhere[:-1]] == [
        f"cluster network: host edge-{host}: cluster.vip 192.0.2.{vip}" for host in (1, 2) for vip in (1, 2)
    ]
    assert f"cluster.vip: {own} is the address of Edge host edge-1" in hosts_own[0]
    assert f"host edge-1: cluster.vip {own} is an address of its own" in hosts_own[1]
    assert [line.split(": ", 2)[1] for line in taken[:-1]] == ["host edge-1"], taken
    assert f"cluster.vip {gateway} is in use: " in taken[0]


def test_a_host_that_is_seen_from_another_address_is_found() -> None:
    """Behind NAT the line has the address to write; written, and shared by another host, a note says what is lost."""
    seen = "127.0.0.9"
    with listening("127.0.0.1", 0, ()) as listener:
        access = SimpleNamespace(address="10.0.0.1")
        views = [
            HostView(
                cast("EdgeHost", SimpleNamespace(uid=uid, access=access)), None, listener, (), pull_addresses=given
            )
            for uid, given in (("edge-1", ()), ("edge-2", (seen,)))
        ]
        listener.peers |= {view.token: {seen} for view in views}
        first, second = (list(network.seen_from(view)) for view in views)
        (note,) = network.shared(views)

    (line,) = (str(finding) for finding in (*first, *second))
    assert line.startswith(f"pull address: host edge-1: its requests come from {seen}, which is no address of its own")
    assert line.endswith(f"write pull_addresses: [{seen}] at the host")
    assert (note.stops_a_run, "requests of edge-1, edge-2 come from one address" in str(note)) == (False, True)


def test_a_provider_image_that_is_not_there_is_found(third_party: ThirdPartySite) -> None:
    """A directory without an image, and an image without its blobs, are named."""
    layout = copied_layout(third_party)
    next(path for path in (layout / "blobs/sha256").iterdir() if path.stat().st_size > 1 << 20).unlink()

    assert "lacks 1 blob" in only(third_party.doctor(provider_image=f"oci:{layout}"), "provider image missing")
    assert "no index.json" in only(third_party.doctor(provider_image="oci:elsewhere"), "site file")


def test_an_image_for_another_machine_is_found(third_party: ThirdPartySite) -> None:
    """A provider image for other processors than a host has is found for every such host."""
    layout = ImageLayout(copied_layout(third_party))
    manifest = layout.manifest().content
    configuration = json.loads(layout.path(manifest["config"]["digest"]).read_bytes())
    manifest["config"] = {
        **manifest["config"],
        **_store(
            layout, json.dumps({**configuration, "architecture": "s390x"}).encode(), manifest["config"]["mediaType"]
        ),
    }
    entry: dict[str, Any] = _store(layout, json.dumps(manifest).encode(), manifest["mediaType"])
    _replace(layout.directory / "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
    code, lines = third_party.doctor(provider_image=f"oci:{layout.directory}")

    assert (code, [line.split(": ")[0] for line in lines[:-1]]) == (4, ["wrong architecture", "wrong architecture"])
    assert "it is amd64 and the provider image is for s390x" in lines[0]


def test_a_full_disk_is_found(third_party: ThirdPartySite) -> None:
    """A host without room for the image is named with the place, what is free there and what is needed."""
    small = "mkdir -p /var/lib/rancher && mount -t tmpfs -o size=1m small /var/lib/rancher"
    with third_party.done_on_host(small, "umount /var/lib/rancher"):
        line = only(third_party.doctor(), "no disk space")

    facts = look_at_image(third_party.read().provider_image)
    assert not isinstance(facts, Exception)
    assert "host edge-1: /var/lib/rancher has 1 MiB free" in line


def test_a_registry_port_that_is_taken_is_found(third_party: ThirdPartySite) -> None:
    """A port that is taken is found before a run would meet it."""
    with socket.create_server((third_party.document["registry"]["bind"], 0)) as taken:
        port = taken.getsockname()[1]
        line = only(third_party.doctor(registry__port=port), "registry address")

    assert f"port {port}: cannot listen" in line


def test_help_says_what_the_command_does(capsys: pytest.CaptureFixture[str]) -> None:
    """``--help`` exits 0 and names the option; a missing option exits 4, as every bad set-up does."""
    from doctor.__main__ import main  # noqa: PLC0415 - the test above goes through the fixture

    assert (main(["--help"]), main([])) == (0, 4)
    assert "--site FILE" in capsys.readouterr().out


def copied_layout(third_party: ThirdPartySite) -> Path:
    """Return a copy of the site's provider image whose files are links to the original's."""
    origin, copy = Path(third_party.document["provider_image"].removeprefix("oci:")), third_party.folder / "image"
    (copy / "blobs/sha256").mkdir(parents=True)
    (copy / "index.json").write_bytes((origin / "index.json").read_bytes())
    for blob in (origin / "blobs/sha256").iterdir():
        (copy / "blobs/sha256" / blob.name).symlink_to(blob)
    return copy
