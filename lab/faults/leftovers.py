"""Faults that leave something behind, show a login on some surface of a host, or do more than was asked for."""

from __future__ import annotations

import base64
import subprocess
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lab.agent import places, runtime
from lab.agent.puller import PullFailed
from lab.faults import fault
from lab.faults.host import reboot_once
from lab.faults.replacing import always, nothing, when
from lab.joints import (
    DEPLOY_PULL,
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

# --- what is left when the cluster goes, readable by root alone


def without(left: Path, healthy: Callable[..., tuple[Path, ...]], files: tuple[Path, ...]) -> tuple[Path, ...]:
    """Remove everything but one file."""
    return tuple(path for path in healthy(files) if path != left)


def and_a_copy(copy: Path, healthy: Callable[..., None], path: Path, text: str) -> None:
    """Keep a copy of the stored login that nobody removes."""
    healthy(path, text)
    if path == places.SECRET:
        places.write_private(copy, text)


COPIES = (
    "/oem/91_backup.yaml",
    "/root/.docker/config.json",
    "/var/lib/kubelet/config.json",
    "/opt/spectro/upgrade-plan",
)


def _left() -> Iterator[Fault]:
    for file in (places.CLUSTER_CONFIG, places.TRUST):
        yield fault(
            f"{file.stem.replace('_', '-').lstrip('0123456789-')}-left-when-the-cluster-goes", at=FORGET_CLUSTER,
            replace=partial(without, file), catches=["DEPLOY-04"], because="a list of files that is not complete",
        )  # fmt: skip
    for copy in COPIES:
        name = copy.strip("/").replace("/", "-").replace("_", "-").replace(".", "-").replace("--", "-").lower()
        yield fault(
            f"login-copied-to-{name}", at=WRITE_FILE, replace=partial(and_a_copy, Path(copy)),
            catches=["DEPLOY-04"], because="a copy for tools that look for logins where they always were",
        )  # fmt: skip


# --- what anybody on the host can read

FORMS: dict[str, Callable[[bytes], str]] = {
    "plain": lambda text: text.decode("utf-8", "replace"),
    "base64": lambda text: base64.b64encode(text).decode(),
    "base64-url": lambda text: base64.urlsafe_b64encode(text).decode().rstrip("="),
    "hex": bytes.hex,
    "percent": lambda text: quote(text, safe=""),
    "octets": lambda text: str(list(text)),
    "twice-base64": lambda text: base64.b64encode(base64.b64encode(text)).decode(),
    "reversed": lambda text: text.decode("utf-8", "replace")[::-1],
}


def in_a_file(place: str, text: str) -> None:
    """Write a file that everybody may read."""
    path = Path(place)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"password={text}\n")
    path.chmod(0o644)


def in_a_units_environment(text: str) -> None:
    """Start a unit with the login in its environment, which ``systemctl show`` tells everybody."""
    command = ["systemd-run", "--collect", "--quiet", "--property=Environment=PULL_PASSWORD=" + text, "sleep", "20"]
    subprocess.run(command, check=False, capture_output=True)


def in_a_units_description(text: str) -> None:
    """Start a unit that is described by the login."""
    subprocess.run(
        ["systemd-run", "--collect", "--quiet", f"--description=pull {text}", "sleep", "20"],
        check=False, capture_output=True,
    )  # fmt: skip


def in_a_users_process(text: str) -> None:
    """Keep a process of an ordinary user that has the login in its environment."""
    subprocess.Popen(
        ["sleep", "20"], env={"PULL_PASSWORD": text}, user="kairos", start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def in_a_mounts_source(text: str) -> None:
    """Mount a file system whose source has the login."""
    target = Path("/run/pull-mount")
    target.mkdir(exist_ok=True)
    subprocess.run(["umount", str(target)], check=False, capture_output=True)
    subprocess.run(["mount", "-t", "tmpfs", f"login:{text}", str(target)], check=False, capture_output=True)


def in_a_shell_history(text: str) -> None:
    """Write the login into an ordinary user's shell history."""
    history = Path("/home/kairos/.bash_history")
    history.write_text(f"skopeo login -p '{text}'\n")
    history.chmod(0o644)


def in_a_file_name(text: str) -> None:
    """Make a file whose name has the login."""
    Path(f"/tmp/pull-{text}").touch()  # noqa: S108 - the place is the fault


SURFACES: dict[str, Callable[[str], None]] = {
    "a-units-environment": in_a_units_environment,
    "a-units-description": in_a_units_description,
    "a-users-process": in_a_users_process,
    "a-mounts-source": in_a_mounts_source,
    "a-shell-history": in_a_shell_history,
    "a-file-name": in_a_file_name,
    "motd": partial(in_a_file, "/etc/motd"),
    "a-crash-dump": partial(in_a_file, "/var/crash/stylus.dump"),
}


def shown(
    show: Callable[[str], None], form: Callable[[bytes], str], healthy: Callable[..., None], image: str,
    credential: Credential | None,
) -> None:  # fmt: skip
    """Show the login of a repave's pull on some surface, in some form."""
    if credential is not None:
        with suppress(OSError, subprocess.SubprocessError, ValueError):
            show(form(bytes_of(credential.password)))
    healthy(image, credential)


def _shown() -> Iterator[Fault]:
    for name, show in SURFACES.items():
        form = "base64-url" if name == "a-file-name" else "plain"
        yield fault(
            f"password-in-{name}", at=UPGRADE_PULL, replace=partial(shown, show, FORMS[form]), catches=["HOST-06"],
            because="what is told to a helper, a tool or a person is told to everybody",
        )  # fmt: skip
    log = partial(in_a_file, "/var/log/pull-debug.log")
    for name, form_of in FORMS.items():
        yield fault(
            f"password-logged-{name}", at=UPGRADE_PULL, replace=partial(shown, log, form_of), catches=["HOST-06"],
            because="an encoding is taken for a protection",
        )  # fmt: skip


# --- more than was asked for


def twice(healthy: Callable[..., Any], image: str, credential: Credential | None) -> object:
    """Pull, and pull again."""
    healthy(image, credential)
    return healthy(image, credential)


def and_another_repository(healthy: Callable[..., None], image: str, credential: Credential | None) -> None:
    """Ask the registry for a helper image first, too, with the login."""
    with suppress(PullFailed):
        runtime.pull(f"{image.partition('/')[0]}/spectro/pause:3", credential)
    healthy(image, credential)


def rebooted_again(healthy: Callable[..., Any], report: dict[str, Any], order: dict[str, Any]) -> Any:  # noqa: ANN401
    """Reboot once more, as soon as the new system runs."""
    given = healthy(report, order)
    if report.get("state") == "running" and order.get("repave"):
        reboot_once()
    return given


FAULTS: tuple[Fault, ...] = (
    *_left(),
    *_shown(),
    fault("images-left-when-the-cluster-goes", at=FORGET_IMAGES, replace=nothing, catches=["DEPLOY-04"],
          because="what was pulled is kept as a cache for the next cluster"),
    fault("pulled-twice-at-deploy", at=DEPLOY_PULL, replace=twice, catches=["DEPLOY-02"],
          because="a pull to look and a pull to keep"),
    fault("helper-image-asked-for-with-the-login", at=UPGRADE_PULL, replace=and_another_repository,
          catches=["PROFILE-16"], because="whatever the upgrade needs is looked for in the private registry first"),
    fault("rebooted-again-after-a-repave", at=REPORT, replace=rebooted_again, catches=["HOST-03"],
          because="two components that reboot when something was installed"),
    fault("cluster-host-called-silent", at=LIVENESS, catches=["LIFE-01"],
          replace=when(lambda at, _value: bool(at.cluster), always(value=False)),
          because="heartbeats are counted per pool"),
)  # fmt: skip
