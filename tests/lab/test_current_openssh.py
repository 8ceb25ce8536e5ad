"""A lab whose hosts have a current OpenSSH (9.8 and later), which punishes logins that fail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from edge import EdgeHost, HostUnreachable
from edge.access import PenalisedError
from engine.debian import BuildFailed, ProgramMissing
from lab.images import build
from tests.edge.test_host import make_key
from tests.lab.ground import Ground, open_ground, running_lab, say

#: Of so many refused logins sshd punishes none, nor of one more, which a busy host may refuse before it lets users in.
LOGINS = 2
PENALTY, REFUSED = "penalty: ", "Access denied for user"
#: Lets users in on a host once so many logins were refused.
LET_IN = f"until [ $(journalctl | grep -c '{REFUSED}') -ge {LOGINS} ]; do sleep 0.2; done; rm /run/nologin"


@pytest.fixture
def punishing(engine: docker.DockerClient, tmp_path: Path) -> Iterator[Ground]:
    """Run a lab of one such host."""
    try:
        build(engine, say, current_openssh=True)
    except (BuildFailed, ProgramMissing) as error:
        pytest.skip(f"a host with a current OpenSSH cannot be built: {error}")
    with running_lab(1, current_openssh=True) as lab, open_ground(lab, engine, tmp_path) as ground:
        yield ground


def test_a_cluster_is_deployed_and_repaved_on_hosts_that_punish(punishing: Ground) -> None:
    """Waits and looks of a deployment, a repave and a reboot earn no penalty of an sshd that has them in force."""
    host = punishing.host
    settings = host.run("sshd -V 2>&1; sshd -T").stdout
    with punishing.registry.account() as account:
        cluster = punishing.site.deploy(punishing.layer(account))
        journals = [host.journal()]
        cluster.repave(punishing.layer(account))
        journals.append(host.journal())
    host.reboot()

    assert "OpenSSH_10" in settings
    assert "persourcepenalties" in settings
    assert PENALTY not in "".join([*journals, host.journal()])


def test_a_host_that_refuses_logins_while_it_boots_does_not_punish_for_waiting(punishing: Ground) -> None:
    """Logins that pam_nologin refuses, and looks at the port, stay below the threshold: the next one is taken."""
    host = punishing.host
    host.run("echo 'System is booting up' > /run/nologin")
    host.feed(LET_IN, "cat > /run/let-in; systemd-run --quiet sh /run/let-in")  # not in a command, which sudo logs
    host.close()
    EdgeHost("edge-1", host.access, back_within=60).wait_until_reachable()

    assert host.journal().count(REFUSED) >= LOGINS
    assert PENALTY not in host.journal()


def test_another_run_with_a_wrong_key_is_told_from_a_host_that_is_gone(punishing: Ground, tmp_path: Path) -> None:
    """Somebody fails to log in from this machine until sshd turns it away: that is what the wait says."""
    host = punishing.host
    host.close()
    wrong = EdgeHost("edge-1", replace(host.access, key=make_key(tmp_path, "stranger")), back_within=1)
    for _ in range(6):
        with suppress(HostUnreachable):
            wrong.run("true")

    with pytest.raises(PenalisedError, match="Not allowed at this time"):
        EdgeHost("edge-1", host.access, back_within=1).wait_until_reachable()
    EdgeHost("edge-1", host.access, back_within=60).wait_until_reachable()
    assert PENALTY in host.journal()
