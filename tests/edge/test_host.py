"""An Edge host over SSH: reached, lost, found again, and never mistaken for another one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from edge import HostUnreachable, reboot_proof
from edge.access import CommandRefusedError
from edge.diagnostics import COMMANDS
from edge.search import BlindSearchError
from tests.edge.conftest import Reach
from tests.settling import settled

SECRET_FILES = ("85_cluster_config.yaml", "90_custom.yaml", "provider-credentials.yaml", "auth.json")


def make_key(folder: Path, name: str) -> Path:
    """Make an SSH key that nobody knows."""
    file = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return file


def test_words_reach_the_host_as_they_are(reach: Reach) -> None:
    """A word of a command arrives unchanged, whatever a shell would make of it; output and status come back."""
    word = "a b 'c' \"d\" $HOME `id` \\ * ; é"
    done = reach().run("printf %%s %s; exit 3", word)

    assert (done.rc, done.stdout) == (3, word)


def test_what_is_fed_to_a_command_arrives_and_is_logged_nowhere(reach: Reach) -> None:
    """A secret that a command reads arrives byte for byte, and neither sudo's log nor an argument has it."""
    secret = "fed-to-the-host\n$(id) 'x' \\ ä"
    host = reach()

    assert host.feed(secret, "cat; echo; echo %s", "a word's") == f"{secret}\na word's\n"
    assert "fed-to-the-host" not in host.journal()
    with pytest.raises(CommandRefusedError, match="'cat' ended with 3 and said: no room"):
        host.feed(secret, "cat >/dev/null; echo no room >&2; exit 3")


def test_a_host_is_seen_through_nouns(reach: Reach) -> None:
    """Units, files, journal and processes of a host are looked up when they are asked for."""
    host = reach()

    assert host.unit("ssh").is_running
    assert (host.file("/etc/kairos-release").exists, host.file("/nowhere").exists) == (True, False)
    assert "registered with Palette" in host.journal(unit="stylus-agent")
    assert "/sbin/init" in host.processes()


def test_a_search_finds_what_everybody_can_read(reach: Reach) -> None:
    """A word in a file or its name, process, unit, mount or the journal is found; nothing is left of the search."""
    host, word = reach(), "w0rd*of [the] test"
    show = (
        "echo 'x {0} y' > /run/shown; echo '{0}' > /run/hidden; chmod 600 /run/hidden; "
        "systemd-run --quiet --unit=shown --setenv='X={0}' /bin/sh -c 'echo $0; sleep 60; :' '{0}'; "
        "mkdir -p /run/mounted; mount -t tmpfs '{0}' /run/mounted; touch '/run/named {0}'; "
        "mkdir -m 700 /run/closed; echo '{0}' > /run/closed/file; chmod 644 /run/closed/file; "
        "mkdir /var/crash; printf 'x{0}' | sed 's/./&\\x00/g' > /var/crash/wide; "
        "echo '{0}' | gzip > /var/crash/old.gz; "
        "printf 'MESSAGE=pulled\nCREDENTIAL=%s {0}\n' field | logger --journald"
    )
    assert host.shown([word]) == []
    assert host.run(show.format(word)).rc == 0
    try:
        found, kept = (
            {place.rstrip("0123456789") for place in places if not place.startswith("/run/systemd/")}  # the unit's file
            for places in (host.shown(["not there", word]), host.kept([word]))
        )
        assert host.shown([f"field {word}"]) == ["the journal"]
    finally:
        host.run("systemctl stop shown; umount /run/mounted")
        host.run("rm -r /run/shown /run/hidden /run/named* /run/closed /var/crash")
    units = {
        "the name of a file",
        "the arguments of process ",
        "the journal",
        "what systemctl shows of a unit or of itself",
        "the options of a mount",
    }
    files = {"/run/shown", "/var/crash/wide", "/var/crash/old.gz"}
    assert found == files | units
    assert kept == files | units | {"/run/hidden", "/run/closed/file", "the environment of process "}
    assert host.kept([word[:-1] + "?"]) == []
    assert host.run("ls /run /tmp /var/tmp | grep ^conformance-").stdout == ""
    assert "conformance-" not in host.processes()


def test_a_journal_that_keeps_nothing_makes_a_search_blind(reach: Reach) -> None:
    """With ``Storage=none`` a search of the journal finds nothing and says nothing: that is told, not passed."""
    host, settings = reach(), "/run/systemd/journald.conf.d"
    host.run(f"mkdir -p {settings}; printf '[Journal]\nStorage=none\n' > {settings}/none.conf")
    host.testinfra.check_output("systemctl restart systemd-journald")
    try:
        with pytest.raises(BlindSearchError, match="the search of the journal does not find what was planted there"):
            host.shown(["anything"])
    finally:
        host.testinfra.check_output(f"rm -r {settings}; systemctl restart systemd-journald")


def test_full_temporary_directories_blind_no_search(reach: Reach) -> None:
    """Nothing of a search depends on room in /tmp."""
    host = reach()
    full = "mount -t tmpfs -o size=4k full {0}; head -c 4096 /dev/zero > {0}/full"
    fill = "; ".join(full.format(place) for place in ("/tmp", "/var/tmp"))  # noqa: S108 - the host's
    host.feed("w0rd-of-the-test", f"cat > /etc/shown; {fill}")
    try:
        assert host.shown(["w0rd-of-the-test"]) == ["/etc/shown"]
    finally:
        host.run("umount /tmp /var/tmp; rm /etc/shown")


def test_a_host_is_found_again_after_a_reboot(reach: Reach) -> None:
    """Rebooted, a host is waited for; the connection is made anew and the boot is another one."""
    host = reach()
    before = host.boot()
    after = host.reboot()

    assert reboot_proof(before, after).new_boot
    assert host.boot() == after


def test_a_reboot_that_does_not_happen_is_not_waited_for_for_ever(reach: Reach) -> None:
    """A host that stays up when it should reboot is reported with the time that was waited."""
    host = reach()
    host._back_within = 0.3

    with pytest.raises(HostUnreachable, match=r"edge-1: no new boot within 0\.3 s"):
        host.wait_for_boot_after(host.boot())


def test_a_reboot_that_is_refused_is_told_at_once(reach: Reach) -> None:
    """An inhibitor, or missing rights, is the reason: nothing is waited for."""
    host = reach()

    with pytest.raises(CommandRefusedError, match="'exit 1' ends with 1"):
        host._boot_anew("exit 1")


@pytest.mark.parametrize(
    ("different", "said"),
    [
        ({"address": "127.0.0.1", "port": 1}, "127.0.0.1:1: .*Connection refused"),
        ({"address": "no-such-host.invalid"}, "no-such-host.invalid:22: .*(not known|Temporary failure|No address)"),
        ({"user": "unknown"}, "unknown@.*Permission denied"),
    ],
)
def test_a_host_that_cannot_be_reached_says_where_and_why(
    reach: Reach, different: dict[str, object], said: str
) -> None:
    """A wrong port, name or user ends in one message with user, address, port and what ssh said."""
    with pytest.raises(HostUnreachable, match=said):
        reach(**different).run("true")


def test_an_address_that_nobody_has_is_unreachable(reach: Reach) -> None:
    """A host at an address that nobody has is told to be unreachable within the time for a connection."""
    host = reach()
    address = host.access.address.rpartition(".")[0] + ".250"
    began = time.monotonic()

    with pytest.raises(HostUnreachable, match=rf"{address}:22: .*(No route to host|timed out)"):
        reach(address=address).run("true")
    assert time.monotonic() - began < 15


def test_a_wrong_key_is_refused(reach: Reach, tmp_path: Path) -> None:
    """A key that the host does not know does not open it, and no other key is tried for it."""
    with pytest.raises(HostUnreachable, match="Permission denied"):
        reach(key=make_key(tmp_path, "unknown"), options=("IdentitiesOnly=yes",)).run("true")


def test_a_host_with_another_key_is_not_trusted(reach: Reach, tmp_path: Path) -> None:
    """A host whose key is not the known one is refused; nothing is sent to it."""
    known = tmp_path / "known_hosts"
    key = make_key(tmp_path, "other").with_suffix(".pub").read_text()
    known.write_text(f"{reach().access.address} {key}")

    with pytest.raises(HostUnreachable, match="Host key verification failed"):
        reach(known_hosts=known).run("true")


def test_an_unknown_host_is_not_trusted(reach: Reach, tmp_path: Path) -> None:
    """A host that nobody has vouched for is refused, not learned."""
    known = tmp_path / "known_hosts"
    known.touch()

    with pytest.raises(HostUnreachable, match="Host key verification failed"):
        reach(known_hosts=known, options=("GlobalKnownHostsFile=/dev/null",)).run("true")
    assert known.read_text() == ""


def test_a_wait_for_a_lost_host_ends(reach: Reach) -> None:
    """Waiting for a host that does not come back ends in time, with what ssh said and how long it was tried."""
    host = reach(address="127.0.0.1", port=1)
    host._back_within = 0.2

    with pytest.raises(HostUnreachable, match=r"Connection refused \(for 0\.2 s\)"):
        host.wait_until_reachable()


def test_diagnostics_hold_no_secret(reach: Reach, tmp_path: Path) -> None:
    """What is collected after a failure tells of every file with secrets its owner and mode, and never its content."""
    host = reach()
    token = host.run("grep edgeHostToken /oem/90_custom.yaml").stdout.split()[-1]
    written = host.diagnostics(tmp_path)
    text = "".join(path.read_text() for path in written)

    assert [path.name for path in written] == list(COMMANDS)
    assert len(token) > 20
    assert token not in text
    assert "-rw------- 1 root root" in (tmp_path / "storage.txt").read_text()
    assert not any(name in command for command in COMMANDS.values() for name in SECRET_FILES)


def test_diagnostics_of_a_lost_host_say_so(reach: Reach, tmp_path: Path) -> None:
    """Collecting from a host that is gone leaves one file that says why, and raises nothing."""
    (written,) = reach(address="127.0.0.1", port=1).diagnostics(tmp_path / "deep" / "folder")

    assert written.name == "unreachable.txt"
    assert "Connection refused" in written.read_text()


def test_a_closed_host_leaves_no_connection(reach: Reach) -> None:
    """Closing a host ends the shared connection, and a host that was never reached can be closed too."""
    host = reach()
    host.run("true")
    sockets = list(host.access.control.iterdir())
    host.close()

    assert len(sockets) == 1
    assert settled(lambda: list(host.access.control.iterdir()) == [], 5)
    reach(address="127.0.0.1", port=1).close()
