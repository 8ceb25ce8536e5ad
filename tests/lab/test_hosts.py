"""What a lab Edge host is: a real system with an immutable root, two slots, and memory in the documented places."""

from __future__ import annotations

import json
import time
from pathlib import Path

import docker
import pytest

from edge import EdgeHost, reboot_proof
from lab.agent import places
from tests.lab.ground import Ground, command_lines, wait_for_event

LAYERS = places.COS_STATE / "layers"


@pytest.fixture
def host(ground: Ground) -> EdgeHost:
    """Return a host that belongs to no cluster."""
    return ground.host


def engine_view(ground: Ground, host: EdgeHost) -> dict[str, object]:
    """Return what the engine tells everybody about a host's container."""
    view: dict[str, object] = docker.APIClient.inspect_container(ground.engine.api, ground.container(host))
    return view


def test_a_host_runs_systemd_from_its_active_slot(host: EdgeHost) -> None:
    """Process 1 of a host is systemd, its services run, and it booted from the active slot without a fallback."""
    boot = host.boot()

    assert host.run("cat /proc/1/comm").stdout.strip() == "systemd"
    assert (boot.slot, boot.upgrade_failure) == ("active", False)
    assert all(host.unit(name).is_running for name in ("stylus-agent", host.runtime_unit, "ssh"))
    assert host.run("systemctl --failed --no-legend").stdout.strip() == ""


def test_the_agent_of_a_host_starts_from_compiled_sources(host: EdgeHost) -> None:
    """Nothing that it or its upgrade jobs import is compiled anew at each start, which cost a tenth of a boot."""
    imports = "python3 -v -c 'import lab.agent.agent, lab.agent.upgrade, grpc'"
    compiled = host.run(f"""PYTHONPATH=/run/lab {imports} 2>&1 | grep "^# code object from '.*[.]py'$" """).stdout

    assert compiled == ""


def test_the_mounts_of_a_boot_end_with_it(host: EdgeHost) -> None:
    """At a shutdown systemd starts no program for each of them: firmware's mounts are not its to take away."""
    assert host.run("systemctl show --property=DefaultDependencies --value oem.mount tmp.mount").stdout.split() == [
        "no", "no"
    ]  # fmt: skip


def test_what_does_not_end_keeps_no_host_from_its_reboot(host: EdgeHost) -> None:
    """A unit that ignores its end is killed after ten seconds; a lab waits thirty for a boot, and systemd ninety."""
    host.run("systemd-run --unit=stubborn sh -c 'trap : TERM; while :; do sleep 1; done'")
    began = time.monotonic()
    host.reboot()

    assert time.monotonic() - began > 8, "the unit ended by itself"


@pytest.mark.parametrize("path", ["/x", "/usr/bin/x", "/opt/x", "/proc/cmdline"])
def test_the_root_of_a_host_is_immutable(host: EdgeHost, path: str) -> None:
    """Not even root can write to the system of a host."""
    refused = host.run("sh -c %s", f"echo x > {path}")

    assert refused.rc != 0, f"{path} was written"
    assert host.file("/usr/local/x").exists is False


def test_a_boot_has_an_identity_of_its_own(ground: Ground) -> None:
    """Boot id and command line are the host's, neither another host's nor those of the machine under it."""
    first, second = (host.boot() for host in ground.site.hosts.values())
    machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    assert len({first.boot_id, second.boot_id, machine}) == 3
    assert "root=LABEL=COS_ACTIVE" in ground.host.run("cat /proc/cmdline").stdout


def test_a_host_names_its_provider_image(host: EdgeHost) -> None:
    """The release file of a host has the documented variables, which name the booted image."""
    release = host.boot().release

    assert {"KAIROS_IMAGE_REPO", "KAIROS_IMAGE_LABEL", "KAIROS_VERSION", "KAIROS_FLAVOR"} <= set(release)


def test_a_reboot_keeps_what_is_persistent_and_nothing_else(host: EdgeHost) -> None:
    """A plain reboot is a new boot of the same image; /oem and /usr/local stay, /etc and /tmp are the image's again."""
    before = host.boot()
    host.run("touch /oem/kept /usr/local/kept /etc/forgotten /tmp/forgotten")
    machine_id = host.file("/etc/machine-id").content_string
    proof = reboot_proof(before, host.reboot())

    assert (proof.new_boot, proof.new_image) == (True, False)
    assert host.run("ls /oem/kept /usr/local/kept").rc == 0, "a persistent place was forgotten"
    assert host.run("ls -d /etc/forgotten /tmp/forgotten").stdout == "", "an ephemeral place was kept"
    assert host.file("/etc/machine-id").content_string == machine_id
    host.run("rm /oem/kept /usr/local/kept")


def test_a_power_cut_is_a_new_boot_of_the_same_system(ground: Ground, host: EdgeHost) -> None:
    """A host that loses power boots again by itself, with what was on its disk."""
    before = host.boot()
    host.run("sh -c 'echo written > /usr/local/on-disk; sync'")
    ground.lab.ask("power", host=host.uid)
    after = host.wait_for_boot_after(before)

    assert (after.image, after.slot) == (before.image, "active")
    assert host.run("cat /usr/local/on-disk; rm /usr/local/on-disk").stdout == "written\n"


def test_hosts_have_ssh_keys_of_their_own(ground: Ground) -> None:
    """No two hosts share an SSH key, none is part of the image, and a host keeps its key across boots."""
    keys = {host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string for host in ground.site.hosts.values()}
    host = ground.host
    in_image = host.run(f"ls {LAYERS}/*/etc/ssh | grep ssh_host").stdout

    assert len(keys) == len(ground.site.hosts)
    assert in_image == ""
    host.reboot()
    assert host.file("/etc/ssh/ssh_host_ed25519_key.pub").content_string in keys


def test_a_broken_active_slot_falls_back_to_the_passive_one(ground: Ground) -> None:
    """With a layer of its active system missing, a host boots the passive one, and its boot and Palette say so."""
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        host, before = cluster.host, cluster.host.boot()
        layer = json.loads(host.file(str(places.BOOTED_SLOT)).content_string)["layers"][-1]
        host.run(f"mv {LAYERS / layer} {LAYERS / 'away'}")
        after = host.reboot()
        event = wait_for_event(cluster, "FailedOnHost")

        assert (after.slot, after.upgrade_failure, after.image == before.image) == ("passive", True, False)
        assert "passive slot" in event.message
        host.run(f"mv {LAYERS / 'away'} {LAYERS / layer}")
        assert host.reboot().image == before.image
        cluster.wait_until_running()


def test_a_host_has_the_least_capabilities_it_can_boot_with(ground: Ground, host: EdgeHost) -> None:
    """No host is privileged or may load modules, raise limits, trace others, or configure the network."""
    settings = engine_view(ground, host)["HostConfig"]
    assert isinstance(settings, dict)
    granted = {name.removeprefix("CAP_") for name in settings["CapAdd"]}
    forbidden = {"ALL", "SYS_RESOURCE", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_TIME", "NET_ADMIN", "NET_RAW"}

    assert settings["Privileged"] is False
    assert settings["CapDrop"] == ["ALL"]
    assert granted & forbidden == set()
    assert settings["PidMode"] == ""
    assert settings["CgroupnsMode"] == "private"


def test_a_host_reaches_nobody_but_this_machine(ground: Ground) -> None:
    """The network of the lab is internal, so that no host sends anything beyond this machine."""
    network = ground.engine.networks.get(ground.lab.settings.folder.name)

    assert network.attrs["Internal"] is True


def test_only_root_reads_what_holds_secrets(ground: Ground) -> None:
    """Every file of a deployed host that holds a credential is root's and nobody else can read it."""
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        for path in (places.OEM / "90_custom.yaml", places.CLUSTER_CONFIG, places.STATE, places.SECRET):
            file = cluster.host.file(str(path))
            assert (file.user, oct(file.mode)) == ("root", "0o600"), f"{path} can be read by others"


def test_no_secret_is_in_a_process_list_or_the_engine(ground: Ground) -> None:
    """Token, API key and password stand in no process argument, on host or machine, nor in the engine."""
    password = "N0t#for!everybody*to-see"
    folder = ground.lab.settings.folder
    with ground.registry.account(password=password) as account, ground.site.deploy(ground.layer(account)) as cluster:
        told = json.dumps(engine_view(ground, cluster.host))
        public = "\n".join([cluster.host.processes(), told, *command_lines()])
        journal = cluster.host.journal()

        for secret in (password, (folder / "token").read_text(), (folder / "api_key").read_text()):
            assert secret not in public
            assert secret not in journal
