from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge.boot import READ, read_facts, reboot_proof

BOOT_ID = "0c8f9d0e-8a37-4d0b-9a7e-0d8a3f1b2c3d"
ANOTHER = "11111111-8a37-4d0b-9a7e-0d8a3f1b2c3d"
ACTIVE = (
    "BOOT_IMAGE=(loop0)/boot/vmlinuz console=tty1 console=ttyS0 root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img "
    "panic=5 rd.cos.oemlabel=COS_OEM rd.neednet=1 selinux=0"
)
PASSIVE = ACTIVE.replace("COS_ACTIVE", "COS_PASSIVE").replace("active.img", "passive.img") + " upgrade_failure"
UKI = "console=ttyS0 console=tty1 net.ifnames=1 rd.immucore.uki selinux=0"
KAIROS = """\
KAIROS_BUG_REPORT_URL="https://github.com/kairos-io/kairos/issues"
KAIROS_IMAGE_REPO="registry.example:5000/edge/ubuntu"
KAIROS_IMAGE_LABEL="22.04-v4.9.0"
KAIROS_PRETTY_NAME="kairos-standard-ubuntu-22.04 v3.5.9"
KAIROS_VERSION=v3.5.9

# a comment=with a sign
KAIROS_HOMEPAGE_URL="unbalanced
"""


def output(command_line: str, release: str = KAIROS, modes: str = "active_mode", boot_id: str = BOOT_ID) -> str:
    """Return what a host prints when it is asked about its boot."""
    return f"{boot_id}\n---\n{command_line}\n---\n{release}---\n{modes}\n---\n1234.56\n"


@pytest.mark.parametrize(
    ("command_line", "modes", "slot", "failed"),
    [
        (ACTIVE, "active_mode", "active", False),
        (PASSIVE, "passive_mode", "passive", True),
        (ACTIVE.replace("COS_ACTIVE", "COS_RECOVERY"), "recovery_mode", "recovery", False),
        (UKI, "active_mode\nuki_boot_mode", "active", False),
        (UKI, "", "unknown", False),
    ],
)
def test_the_slot_is_read_from_label_or_sentinel(command_line: str, modes: str, slot: str, failed: bool) -> None:  # noqa: FBT001 - a column of the table
    """The slot is told by the root's label, without one by Kairos' sentinel; a fallback by upgrade_failure."""
    facts = read_facts(output(command_line, modes=modes))

    assert (facts.boot_id, facts.slot, facts.upgrade_failure) == (BOOT_ID, slot, failed)


def test_the_release_file_names_the_image() -> None:
    """Repository and label of the release file are the booted image; quotes are the shell's, not the value's."""
    facts = read_facts(output(ACTIVE))

    assert facts.image == "registry.example:5000/edge/ubuntu:22.04-v4.9.0"
    assert facts.release["KAIROS_VERSION"] == "v3.5.9"
    assert facts.release["KAIROS_HOMEPAGE_URL"] == '"unbalanced'
    assert not any(name.startswith("#") for name in facts.release)


def test_a_boot_began_when_its_first_process_started() -> None:
    """In a container that is later than the machine's own boot; a host that tells only half of it is not guessed at."""
    told = output(ACTIVE)
    began = read_facts(told + "122456\n").began

    assert began is not None
    assert (datetime.now(UTC) - began).total_seconds() == pytest.approx(10, abs=9)
    assert read_facts(told).began is None


def test_a_host_without_release_file_has_an_unknown_image() -> None:
    """A host that names no image is no reason to fail: the image is unknown."""
    assert read_facts(output(ACTIVE, release="")).image == "?:?"


def test_a_look_at_a_boot_starts_no_program(tmp_path: Path) -> None:
    """A run looks at its hosts some thousand times; all that a look wants a shell reads by itself."""
    done = subprocess.run(["/bin/sh", "-c", READ], env={"PATH": str(tmp_path)}, capture_output=True, check=True)
    facts = read_facts(done.stdout.decode())

    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.began is not None


@pytest.mark.parametrize("cut", [0, 10, 60, 300])
def test_a_look_that_was_cut_short_says_so(cut: int) -> None:
    """What a host printed before it went down is refused, never taken for its facts."""
    with pytest.raises(ValueError, match="cut short"):
        read_facts(output(ACTIVE)[:cut])


@pytest.mark.parametrize("boot_id", ["0.42", "another", BOOT_ID[:-1], BOOT_ID.upper(), f"{BOOT_ID}\n{BOOT_ID}"])
def test_a_boot_id_is_a_uuid(boot_id: str) -> None:
    """What is no boot id is not taken for another one: the look has failed."""
    with pytest.raises(ValueError, match="no boot id"):
        read_facts(output(ACTIVE, boot_id=boot_id))


@pytest.mark.parametrize("up", ["inf 0", "nan 0", "1e300 1", "1 -inf", "x y"])
def test_an_uptime_that_is_no_time_is_none(up: str) -> None:
    """A host that has been up for ever has no time at which it began."""
    assert read_facts(output(ACTIVE).replace("1234.56\n", up)).began is None


def test_a_reboot_is_proven_by_two_facts() -> None:
    """Another boot of another image is the proof; it says what is missing otherwise."""
    before = read_facts(output(ACTIVE))
    same_image = read_facts(output(ACTIVE, boot_id=ANOTHER))
    other = read_facts(output(ACTIVE, KAIROS.replace("v4.9.0", "v4.9.1"), boot_id=ANOTHER))

    assert reboot_proof(before, other).holds
    assert str(reboot_proof(before, same_image)) == "a new boot id, the same image"
    assert str(reboot_proof(before, before)) == "the same boot id, the same image"
