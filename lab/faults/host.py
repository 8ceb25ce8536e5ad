"""Faults of the Edge host: what it writes where, what a failed pull does to it, what a reboot leaves of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lab.agent import places, puller, secret, slots
from lab.faults import fault
from lab.faults.replacing import always, nothing
from lab.injection import (
    AFTER_FAILED_PULL,
    BACK_OFF,
    BEFORE_PULL,
    CARRY_CREDENTIAL,
    CHECK_PLATFORM,
    DEPLOY_CREDENTIAL,
    FORGET_CLUSTER,
    HAND_OVER_LOGIN,
    HEED_ORDER,
    LOG,
    MASK_ANSWER,
    REPORT,
    UPGRADE_PULL,
    WRITE_FILE,
    Fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.agent.secret import Credential

Json = dict[str, Any]

UNREGISTERED = places.WORK / "unregistered"
REBOOTED = places.CONTENT / "rebooted"
REBOOT = 60  # seconds at most


def reboot_once(*_arguments: object) -> None:
    """Start the host anew, as a watchdog does; not again for the same cluster."""
    if not REBOOTED.exists():
        REBOOTED.parent.mkdir(parents=True, exist_ok=True)
        REBOOTED.touch()
        subprocess.run(["systemctl", "reboot"], check=False, capture_output=True)
        time.sleep(REBOOT)  # which the reboot ends


def point_at_the_new(_healthy: object, image: str, _phase: str) -> None:
    """Make the system that is to be pulled the active one before anything of it is there."""
    slots.switch_to(replace(slots.booted(), image=image, layers=("not-pulled-yet",)))


def lose_the_registration(_healthy: object, _order: Json | None) -> None:
    """Stop following a cluster until the host is registered again."""
    UNREGISTERED.parent.mkdir(mode=0o700, exist_ok=True)
    UNREGISTERED.touch()


def while_registered(healthy: Callable[..., bool], order: Json) -> bool:
    """Follow no cluster once the registration is lost."""
    return healthy(order) and not (order.get("cluster") and UNREGISTERED.exists())


def for_all_to_read(healthy: Callable[..., None], path: Path, text: str) -> None:
    """Write files as everybody may read them."""
    healthy(path, text)
    path.chmod(0o644)
    path.parent.chmod(0o755)


def login_of(order: Json) -> str:
    """Return the password of a cluster's order."""
    return str((order.get("credential") or {}).get("password", ""))


def with_the_login(healthy: Callable[..., str], message: str, order: Json) -> str:
    """Log the whole of what is being done."""
    return f"{healthy(message, order)} --creds :{login_of(order)}"


def in_the_report(healthy: Callable[..., Json], report: Json, order: Json) -> Json:
    """Report the whole command with every event."""
    given = healthy(report, order)
    return (
        {**given, "message": f"{given['message']} (password {login_of(order)})"} if report["kind"] == "event" else given
    )


def helper_with_arguments(healthy: Callable[..., Json], report: Json, order: Json) -> Json:
    """Keep a helper running for the next pull, with its login on the command line."""
    if report.get("state") == "running":
        command = ["sh", "-c", "sleep 30; true", "credential-helper", f"--password={login_of(order)}"]
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    return healthy(report, order)


def keep_the_login_file(
    healthy: Callable[..., list[str]], area: Path, image: str, credential: Credential | None
) -> list[str]:
    """Leave the puller's login file behind, where the next one finds it."""
    arguments = healthy(area, image, credential)
    if credential is not None:
        kept = places.UPGRADE_LOG.with_name("pull-auth.json")
        kept.write_text(f"{credential.username}:{credential.password}")
        kept.chmod(0o644)
    return arguments


def dump_the_login(healthy: Callable[..., None], image: str, credential: Credential | None) -> None:
    """Write what was tried into a file for support, when a repave pulls."""
    if credential is not None:
        dump = places.UPGRADE_LOG.with_name("support-bundle.txt")
        dump.write_text(f"{image} {credential.username} {credential.password}\n")
        dump.chmod(0o644)
    healthy(image, credential)


def without_the_secret(healthy: Callable[..., tuple[Path, ...]], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Leave the login where it is when the cluster goes."""
    return tuple(path for path in healthy(files) if path != places.SECRET)


def what_is_there(healthy: Callable[..., Credential | None], found: Credential | None) -> Credential | None:
    """Use the login that the host has already."""
    return secret.load() or healthy(found)


def then_swap_slots(healthy: Callable[..., Json], report: Json, order: Json) -> Json:
    """Make the passive slot the active one as soon as the new system runs."""
    active, passive = slots.SLOTS / "active.img", slots.SLOTS / "passive.img"
    if report.get("state") == "running" and json.loads(active.read_text())["image"] == order.get("image"):
        before, now = active.read_text(), passive.read_text()
        active.write_text(now)
        passive.write_text(before)
    return healthy(report, order)


def drop_the_content(_healthy: object, _order: Json | None) -> None:
    """Free the disk after a failed pull, and start the host anew."""
    shutil.rmtree(puller.LAYOUT, ignore_errors=True)
    reboot_once()


def pull_twice(healthy: Callable[..., None], image: str, credential: Credential | None) -> None:
    """Pull once to look and once to have."""
    healthy(image, credential)
    healthy(image, credential)


def boot_once_more(healthy: Callable[..., Json], report: Json, order: Json) -> Json:
    """Start the host anew when the new system runs, as a clean-up does."""
    if report.get("state") == "running":
        reboot_once()
    return healthy(report, order)


def keep_a_backup(healthy: Callable[..., Credential | None], found: Credential | None) -> Credential | None:
    """Keep the Secret before this one beside it, where root alone can read it."""
    if places.SECRET.exists():
        shutil.copy(places.SECRET, places.TRUST.with_name("secret.bak"))
    return healthy(found)


def in_a_unit(healthy: Callable[..., list[str]], area: Path, image: str, credential: Credential | None) -> list[str]:
    """Hand the login to a helper of its own in the environment of its unit."""
    if credential is not None:
        value = f"--setenv=REGISTRY_PASSWORD={credential.password}"
        command = ["systemd-run", "--quiet", "--unit=pull-helper", "--remain-after-exit", value, "true"]
        subprocess.run(command, check=False, capture_output=True)
    return healthy(area, image, credential)


FAULTS: tuple[Fault, ...] = (
    fault("repave-pulls-twice", at=UPGRADE_PULL, replace=pull_twice, catches=["REPAVE-12"],
          because="a pull that only looks, and one that counts"),
    fault("host-boots-once-more", at=REPORT, replace=boot_once_more, catches=["REPAVE-12"],
          because="a clean-up that ends with a reboot"),
    fault("secret-before-kept-as-backup", at=CARRY_CREDENTIAL, replace=keep_a_backup, catches=["HOST-08"],
          because="a backup before each write"),
    fault("login-in-the-environment-of-a-unit", at=HAND_OVER_LOGIN, replace=in_a_unit, catches=["HOST-06"],
          because="systemctl shows everybody a unit's environment"),
    fault("slot-switched-before-the-pull", at={BEFORE_PULL: point_at_the_new, AFTER_FAILED_PULL: reboot_once},
          catches=["HOST-05"], because="the order of two steps; the watchdog does the rest"),
    fault("failed-pull-reboots-the-host", at=AFTER_FAILED_PULL, replace=drop_the_content,
          catches=["HOST-05"], because="turning it off and on again"),
    fault("failed-pull-needs-registration", at={AFTER_FAILED_PULL: lose_the_registration, HEED_ORDER: while_registered},
          catches=["EVENT-02", "VALID-01", "HOST-05"], because="an agent that gives up for good"),
    fault("retries-without-back-off", at=BACK_OFF, replace=always(0.05), catches=["HOST-07"],
          because="a loop without a pause"),
    fault("another-machines-image-accepted", at=CHECK_PLATFORM, replace=nothing, catches=["EVENT-02"],
          because="the first manifest of an index is taken"),
    fault("files-for-all-to-read", at=WRITE_FILE, replace=for_all_to_read, catches=["HOST-06"],
          because="the umask of a container"),
    fault("password-in-the-journal", at=LOG, replace=with_the_login, catches=["HOST-06"],
          because="debug logging left on"),
    fault("password-in-arguments", at=REPORT, replace=helper_with_arguments, catches=["HOST-06"],
          because="credentials handed over on a command line"),
    fault("login-file-left-behind", at=HAND_OVER_LOGIN, replace=keep_the_login_file, catches=["HOST-06"],
          because="a temporary file that nobody removes"),
    fault("login-dumped-at-repave", at=UPGRADE_PULL, replace=dump_the_login, catches=["HOST-06"],
          because="a support bundle collects everything"),
    fault("password-in-an-event",
          at={REPORT: in_the_report, MASK_ANSWER: lambda _healthy, answer, _secrets: answer},
          catches=["HOST-06", "MASK-01"], because="the command that failed is quoted whole"),
    fault("old-system-active-again", at=REPORT, replace=then_swap_slots, catches=["HOST-04"],
          because="the new slot is tried once and never made the one that stays"),
    fault("login-left-when-the-cluster-goes", catches=["DEPLOY-04", "HOST-08"],
          at={FORGET_CLUSTER: without_the_secret, CARRY_CREDENTIAL: what_is_there, DEPLOY_CREDENTIAL: what_is_there},
          because="deleting a cluster deletes what Palette knows, not what the host has"),
)  # fmt: skip
