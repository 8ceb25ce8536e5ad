"""The agent of a lab host, as a state machine: what it is ordered is what the host becomes, whatever comes between."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from edge import EdgeHost
from lab.agent import places
from palette.os_layer import OsLayer, ProviderCredentials
from tests.lab.ground import Ground, kill_agent, wait_for_event
from tests.settling import settled

LAYERS = places.COS_STATE / "layers"


def test_a_reset_host_keeps_nothing_of_its_cluster(ground: Ground) -> None:
    """Deployed, repaved, failed, corrected and deleted, a host is as it was before, but for the system it runs."""
    with ground.registry.account() as account:
        cluster = ground.site.deploy(ground.layer(account))
        host = cluster.host
        cluster.repave(ground.layer(account))
        cluster.begin_repave(ground.layer(account, f"{ground.registry.address}/conformance/provider:missing"))
        assert "missing" in cluster.wait_for_error().message
        cluster.repave(ground.layer(account))
        cluster.delete()
    ground.site.free_hosts(len(ground.site.hosts))

    gone = [places.CLUSTER_CONFIG, places.SECRET, places.TRUST, places.CONTENT, places.UPGRADE_LOG, places.WORK]
    assert [path for path in gone if path != places.WORK and host.file(str(path)).exists] == []
    assert host.run(f"ls {places.WORK}").stdout == "", "a step left files behind"
    assert host.run("ls /etc/containerd/certs.d").stdout == ""
    assert set(json.loads(host.file(str(places.STATE)).content_string)) == {"reset"}
    assert images_of(host) == medium_of(host)
    assert layers_of(host) == layers_of_slots(host)


def images_of(host: EdgeHost) -> set[str]:
    """Return the names of the images that a host's runtime holds."""
    return set(host.run(f"ctr -a {host.layout().runtime_socket} -n k8s.io images ls -q").stdout.split())


def medium_of(host: EdgeHost) -> set[str]:
    """Return the names that the installation medium's image has."""
    medium = json.loads(host.file(str(places.MEDIUM_RECORD)).content_string)
    return {medium["image"], medium["digest"]}


def layers_of(host: EdgeHost) -> set[str]:
    """Return the layers that are unpacked on a host."""
    return set(host.run(f"ls {LAYERS}").stdout.split())


def layers_of_slots(host: EdgeHost) -> set[str]:
    """Return the layers that a slot of a host is made of."""
    slots = [host.file(f"{places.COS_STATE}/cOS/{name}.img").content_string for name in ("active", "passive")]
    return {layer for slot in slots for layer in json.loads(slot)["layers"]}


def test_an_agent_that_is_killed_again_and_again_still_deploys(ground: Ground) -> None:
    """Killed in the middle of whatever it does, the agent takes up its work and the cluster becomes Running."""
    with ground.registry.account() as account, ground.site.begin_deploy(ground.layer(account)) as cluster:
        for _ in range(6):
            kill_agent(cluster.host)
        cluster.wait_until_running()

        assert cluster.host.boot().image.endswith(cluster.layer.image.rpartition(":")[2])


def test_an_agent_that_was_killed_during_a_pull_pulls_again(ground: Ground) -> None:
    """Killed after it said that it pulls, the agent pulls anew and the cluster becomes Running."""
    with ground.registry.account() as account, ground.site.begin_deploy(ground.layer(account)) as cluster:
        wait_for_event(cluster, "Pulling")
        kill_agent(cluster.host)
        cluster.wait_until_running()


def test_an_agent_that_was_killed_before_the_reboot_reboots(ground: Ground) -> None:
    """An agent that was killed between deciding to boot the new system and doing it, does it and reports no failure."""
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        host, before = cluster.host, cluster.host.boot()
        host.run("systemctl stop stylus-agent")
        state = json.loads(host.file(str(places.STATE)).content_string)
        state |= {"installing": state.pop("running"), "installed_in": before.boot_id}
        write(host, str(places.STATE), json.dumps(state))
        host.run("systemctl start stylus-agent")
        after = host.wait_for_boot_after(before)

        assert after.image == before.image
        cluster.wait_until_running()
        assert cluster.errors() == []


def write(host: EdgeHost, path: str, text: str) -> None:
    """Write a file that only root reads."""
    done = host.run("sh -c %s", f"umask 077; printf %s '{text}' > {path}")
    assert done.rc == 0, done.stderr


def test_a_failed_installation_does_not_reboot_for_ever(ground: Ground) -> None:
    """A host whose new system does not boot stays on the passive one and reports it, until another order comes."""
    with ground.registry.account() as account, ground.site.deploy(ground.layer(account)) as cluster:
        host = cluster.host
        host.run("systemctl stop stylus-agent")
        state = json.loads(host.file(str(places.STATE)).content_string)
        broken = state["installed"] | {"digest": "sha256:broken", "layers": [*state["installed"]["layers"], "missing"]}
        state |= {"installing": state.pop("running"), "installed": broken, "installed_in": host.boot().boot_id}
        before = host.boot()
        write(host, str(places.STATE), json.dumps(state))
        host.run("systemctl start stylus-agent")
        fallen = host.wait_for_boot_after(before)
        event = wait_for_event(cluster, "FailedPullImage")

        assert (fallen.slot, fallen.upgrade_failure) == ("passive", True)
        assert "did not boot" in event.message
        assert host.boot().boot_id == fallen.boot_id
        passive = host.file(f"{places.COS_STATE}/cOS/passive.img").content_string
        assert json.loads(passive)["digest"] != "sha256:broken", "the only good slot was overwritten"
        cluster.repave(ground.layer(account))
        assert (host.boot().slot, host.boot().upgrade_failure) == ("active", False)


@contextmanager
def silent_registry(address: str) -> Iterator[tuple[str, threading.Event]]:
    """Listen at ``address`` and never say a word; return where, and an event that is set when somebody connects."""
    met, held = threading.Event(), list[socket.socket]()

    def accept() -> None:
        with suppress(OSError):
            while True:
                held.append(listener.accept()[0])
                met.set()

    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"{address}:{listener.getsockname()[1]}", met
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for connection in held:
                connection.close()


def test_a_new_order_ends_a_pull_that_hangs(ground: Ground) -> None:
    """A cluster whose pull hangs at a silent registry can be deleted: the host gives the pull up at once."""
    with silent_registry(ground.site.file.registry_bind) as (address, met):
        layer = OsLayer(f"{address}/conformance/provider:v1", ProviderCredentials(address, "user", "password"))
        cluster = ground.site.begin_deploy(layer)
        host = cluster.host
        assert met.wait(20), "the host never asked the registry"
        cluster.delete()

        assert settled(lambda: "skopeo" not in host.processes(), 5), "the pull goes on though nobody wants it"
    assert len(ground.site.free_hosts(len(ground.site.hosts))) == len(ground.site.hosts)
