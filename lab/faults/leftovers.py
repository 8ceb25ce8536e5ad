"""Faults that show a login on some surface of a host, in some form, or leave and do more than they should."""

from __future__ import annotations

import base64
import gzip
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.agent import places, runtime, secret
from lab.agent.puller import PullFailed
from lab.faults import fault
from lab.faults.host import login_of
from lab.faults.replacing import always, when
from lab.injection import (
    CARRY_CREDENTIAL,
    DEPLOY_CREDENTIAL,
    FORGET_CLUSTER,
    FORGET_IMAGES,
    LIVENESS,
    REPORT,
    UPGRADE_PULL,
    WRITE_FILE,
    Fault,
)
from registry.transforms.base import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lab.agent.secret import Credential

# --- what anybody on the host can read

FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda text: b"password=" + text,
    "base64": base64.b64encode,
    "base32": lambda text: base64.b32encode(b"user:" + text),
    "compressed": lambda text: gzip.compress(b"password=" + text),
    "wide": lambda text: text.decode("utf-8", "replace").encode("utf-16-le"),
    "binary": lambda text: b"\x7fELF\0" + text + b"\0\xff",
}
PLACES = {
    "etc": "/etc/motd", "log": "/var/log/pull-debug.log", "tmp": "/tmp/pull.tmp", "home": "/home/kairos/.bash_history",  # noqa: S108 - the place is the fault
    "run": "/run/spectro/pull.env", "kubelet": "/var/lib/kubelet/pull.conf",
}  # fmt: skip
ELSEWHERE = (
    ("issue", "/etc/issue.d/pull", "base32"), ("old-log", "/var/log/pull.log.1.gz", "compressed"),
    ("shared-memory", "/dev/shm/pull", "wide"), ("core-dump", "/var/crash/pull.core", "binary"),  # noqa: S108 - the place is the fault
)  # fmt: skip
COMMANDS = {
    "a-field-of-the-journal": ["logger", "--journald"],
    "the-managers-environment": ["systemctl", "set-environment", "PULL_PASSWORD={}"],
}


def shown(
    place: str,
    form: Callable[[bytes], bytes],
    healthy: Callable[..., object],
    report: dict[str, Any],
    order: dict[str, Any],
) -> object:
    """Write the login of a cluster that runs into a file that everybody may read."""
    if report.get("state") == "running" and (password := login_of(order)):
        path = Path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(form(bytes_of(password)) + b"\n")
        path.chmod(0o644)
    return healthy(report, order)


def named_after(healthy: Callable[..., object], report: dict[str, Any], order: dict[str, Any]) -> object:
    """Name a file after the login of a cluster that runs."""
    if report.get("state") == "running" and (password := login_of(order)):
        Path(f"/var/tmp/pull-{base64.urlsafe_b64encode(bytes_of(password)).decode()}").touch(mode=0o600)  # noqa: S108 - the place is the fault
    return healthy(report, order)


def run_with(
    command: list[str], healthy: Callable[..., object], report: dict[str, Any], order: dict[str, Any]
) -> object:
    """Run a command that is given the login of a cluster that runs, in its last word and on its standard input."""
    if report.get("state") == "running" and (password := login_of(order)):
        *words, last = command
        fed = f"MESSAGE=pulled\nPULL_PASSWORD={password}\n"
        subprocess.run([*words, last.format(password)], input=fed, text=True, check=False)
    return healthy(report, order)


def _shown() -> Iterator[Fault]:
    everywhere = ((where, place, form) for where, place in PLACES.items() for form in ("plain", "base64"))
    for where, place, form in (*everywhere, *ELSEWHERE):
        yield fault(
            f"password-in-{where}-{form}", at=REPORT, replace=partial(shown, place, FORMS[form]),
            catches=["HOST-06"], because="what is told to a helper, a tool or a person is told to everybody",
        )  # fmt: skip
    for where, command in COMMANDS.items():
        yield fault(
            f"password-in-{where}", at=REPORT, replace=partial(run_with, command),
            catches=["HOST-06"], because="systemd shows everybody what it is given",
        )  # fmt: skip


# --- more than was asked for


def and_another_repository(healthy: Callable[..., None], image: str, credential: Credential | None) -> None:
    """Ask the registry for a helper image first, too, with the login."""
    with suppress(PullFailed):
        runtime.pull(f"{image.partition('/')[0]}/spectro/pause:3", credential)
    healthy(image, credential)


CACHED = places.CONTENT / "auth.json"


def and_beside_the_images(healthy: Callable[..., None], path: Path, text: str) -> None:
    """Keep a copy of the stored login among what is pulled."""
    healthy(path, text)
    if path == places.SECRET and not CACHED.exists():
        places.write_private(CACHED, text)


def as_cached(healthy: Callable[..., Credential | None], found: Credential | None) -> Credential | None:
    """Use the login that is among what was pulled."""
    if found is not None and CACHED.exists():
        places.write_private(places.SECRET, CACHED.read_text())
        return secret.load()
    return healthy(found)


FAULTS: tuple[Fault, ...] = (
    *_shown(),
    fault("login-left-among-the-images", catches=["DEPLOY-04"],
          at={WRITE_FILE: and_beside_the_images, CARRY_CREDENTIAL: as_cached, DEPLOY_CREDENTIAL: as_cached,
              FORGET_IMAGES: lambda _healthy: None},
          because="what was pulled is kept as a cache for the next cluster, with what it was pulled with"),
    fault("helper-image-asked-for-with-the-login", at=UPGRADE_PULL, replace=and_another_repository,
          catches=["PROFILE-16"], because="whatever the upgrade needs is looked for in the private registry first"),
    fault("authority-left-when-the-cluster-goes", at=FORGET_CLUSTER, catches=["HOST-08"],
          replace=lambda healthy, files: tuple(path for path in healthy(files) if path != places.TRUST),
          because="trust is the host's, and outlives the cluster that brought it"),
    fault("silent-host-called-alive", at=LIVENESS, replace=always(value=True), catches=["HOST-09"],
          because="health is that of the last report"),
    fault("password-in-the-name-of-a-file", at=REPORT, replace=named_after, catches=["HOST-06"],
          because="a lock for each login"),
    fault("cluster-host-called-silent", at=LIVENESS, catches=["DEPLOY-01", "REPAVE-01", "LIFE-01"],
          replace=when(lambda at, _value: bool(at.cluster), always(value=False)),
          because="heartbeats are counted per pool"),
)  # fmt: skip
