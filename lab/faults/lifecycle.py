"""Faults in how a cluster lives: what is repaved, when, in which order, and what is said to be done."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.agent import places, puller, runtime, secret, slots
from lab.faults import fault
from lab.faults.replacing import always, when
from lab.injection import (
    APPLY_VERSION,
    CARRY_CREDENTIAL,
    DECIDE_REPAVE,
    INSTALL_SYSTEM,
    ORDER_NODES,
    PULL_POLICY,
    REMEMBER,
    REPLACE_SYSTEM,
    REPORT_HEALTH,
    REPORT_STATE,
    REQUIRE_APPROVAL,
    SWITCH_SLOT,
    TAKE_TURNS,
    UPGRADE_PULL,
    Fault,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lab.agent.slots import Slot
    from lab.injection import Where

STARTED = Path("/run/agent-was-started")
REBOOT = 60  # seconds at most


def what_was_there(_healthy: object, current: Any, new: Any) -> Any:  # noqa: ANN401 - rendered layers of the endpoint
    """Stay with the version that is there, if any is."""
    return new if current is None else current


def new_image_old_login(_healthy: object, current: Any, new: Any) -> Any:  # noqa: ANN401 - rendered layers
    """Apply of a version everything but its credentials."""
    if current is None:
        return new
    return replace(new, os=replace(new.os, credential=current.os.credential))


def old_image_new_login(_healthy: object, current: Any, new: Any) -> Any:  # noqa: ANN401 - rendered layers
    """Apply of a version its credentials alone."""
    return new if current is None else replace(new, os=replace(new.os, image=current.os.image))


def only_for_images(healthy: Callable[..., list[Any]], current: Any, new: Any) -> list[Any]:  # noqa: ANN401 - OS layers
    """Repave for another image only."""
    return [reason for reason in healthy(current, new) if reason.code == "ProviderImageChanged"]


def without_keys(healthy: Callable[..., list[Any]], current: Any, new: Any) -> list[Any]:  # noqa: ANN401 - OS layers
    """Announce a repave, and not why."""
    return [replace(reason, keys=(), message="the profile changes") for reason in healthy(current, new)]


def in_reverse(healthy: Callable[..., Sequence[Any]], nodes: Sequence[Any]) -> list[Any]:
    """Take the last first."""
    return list(healthy(nodes))[::-1]


def the_system_before(healthy: Callable[..., Slot], pulled: Slot, phase: str) -> Slot:
    """At a repave boot again what runs already."""
    return slots.booted() if phase == "repave" else healthy(pulled, phase)


def the_running_system(_healthy: object, _pulled: Slot, _phase: str) -> Slot:
    """Never install what was pulled."""
    return slots.booted()


def without_its_last_layer(healthy: Callable[..., Slot], pulled: Slot, phase: str) -> Slot:
    """Take what arrived of an image for the whole of it."""
    whole = healthy(pulled, phase)
    return replace(whole, layers=whole.layers[:-1]) if len(whole.layers) > 1 else whole


def without_its_last_layer_at_repave(healthy: Callable[..., Slot], pulled: Slot, phase: str) -> Slot:
    """Take what arrived of an image for the whole of it, when repaving."""
    return without_its_last_layer(healthy, pulled, phase) if phase == "repave" else healthy(pulled, phase)


def running_once_created(_healthy: object, cluster: Any) -> str:  # noqa: ANN401 - the endpoint's own
    """Call a cluster Running as soon as it is asked for."""
    return "Running" if cluster.state == "Provisioning" else str(cluster.shown_state)


def has_workers(at: Where, _value: object) -> bool:
    """Return whether the cluster has more than one host."""
    return len(at.nodes) > 1


def never_running(_healthy: object, cluster: Any) -> str:  # noqa: ANN401 - the endpoint's own
    """Call a cluster Provisioning for as long as it lives."""
    return "Provisioning" if cluster.state == "Running" else str(cluster.shown_state)


def before_the_boot(healthy: Callable[..., None], system: Slot) -> None:
    """Switch to a system that no host can boot, so that the host falls back."""
    healthy(replace(system, layers=("no-such-layer",)))


def pulled_again(healthy: Callable[..., Any], state: Any) -> Any:  # noqa: ANN401 - the agent's own record
    """Pull the running image again when the agent is started anew."""
    known, login = healthy(state), secret.load()
    if "running" in known and "installing" not in known and login:
        runtime.forget()
        runtime.trust(login.registry.partition("/")[0], places.TRUST)
        with suppress(puller.PullFailed):
            runtime.pull(known["image"], login)
    return known


def booted_again(healthy: Callable[..., Any], state: Any) -> Any:  # noqa: ANN401 - the agent's own record
    """Reboot the host when the agent is started a second time since the boot."""
    if STARTED.exists() and "cluster" in state:
        subprocess.run(["systemctl", "reboot"], check=False, capture_output=True)
        time.sleep(REBOOT)  # which the reboot ends
    STARTED.touch()
    return healthy(state)


def reported_as_failed(healthy: Callable[..., None], image: str, credential: Any) -> None:  # noqa: ANN401 - a login
    """Call a pull that was done failed, the first time."""
    is_new = not runtime.has_image(image)
    healthy(image, credential)
    if is_new:
        raise puller.PullFailed(f'failed to pull image "{image}": context canceled')


FAULTS: tuple[Fault, ...] = (
    fault("plain-reboot-pulls-again", at=REMEMBER, replace=pulled_again, catches=["REPAVE-12"],
          because="what runs is made sure of by pulling it"),
    fault("agent-restart-reboots-the-host", at=REMEMBER, replace=booted_again, catches=["REPAVE-12"],
          because="a fresh agent wants a fresh system"),
    fault("done-pull-told-as-failed", at=UPGRADE_PULL, replace=reported_as_failed, catches=["REPAVE-12"],
          because="a timeout that ends a moment too early"),
    fault("new-version-not-applied", at=APPLY_VERSION, replace=what_was_there, catches=["REPAVE-05", "REPAVE-02"],
          because="the cluster is moved to the new version by name only"),
    fault("new-version-without-its-login", at=APPLY_VERSION, replace=new_image_old_login,
          catches=["CRED-02", "CRED-06"], because="credentials are read when the cluster is created and never again"),
    fault("new-version-without-its-image", at=APPLY_VERSION, replace=old_image_new_login,
          catches=["REPAVE-05"], because="system.uri is fixed when the cluster is created"),
    fault("no-repave-for-another-image", at=DECIDE_REPAVE, replace=always([]), catches=["REPAVE-02"],
          because="the OS layer's change is taken for one that needs no new node"),
    fault("no-repave-for-credentials", at=DECIDE_REPAVE, replace=only_for_images, catches=["REPAVE-08"],
          because="the vendor's own page says that credentials are a no-op"),
    fault("repave-foretold-without-a-reason", at=DECIDE_REPAVE, replace=without_keys, catches=["REPAVE-02"],
          because="whoever approves cannot know what for"),
    fault("repave-without-approval", at=REQUIRE_APPROVAL, replace=always(value=False), catches=["REPAVE-07"],
          because="approval is asked for in the user interface only"),
    fault("workers-first", at=ORDER_NODES, replace=in_reverse, catches=["REPAVE-06"], because="pools in reverse"),
    fault("all-nodes-at-once", at=TAKE_TURNS, replace=lambda _healthy, nodes: list(nodes), catches=["REPAVE-06"],
          because="every agent follows the new version as soon as it sees it"),
    fault("repave-skipped-and-reported", at=REPLACE_SYSTEM, replace=always(value=False),
          catches=["HOST-03", "REPAVE-01", "REPAVE-09", "CRED-03"],
          because="the agent reports the version it was told as running"),
    fault("repave-boots-the-old-system", at=INSTALL_SYSTEM, replace=the_system_before,
          catches=["HOST-03", "REPAVE-05"],
          because="the passive slot is written and the active one booted"),
    fault("deployment-keeps-the-mediums-system", at=INSTALL_SYSTEM, replace=the_running_system,
          catches=["HOST-02", "PROFILE-05", "VALID-01", "LIFE-01"],
          because="the pulled image is stored and never installed"),
    fault("partial-pull-accepted-at-deploy", at=INSTALL_SYSTEM, replace=without_its_last_layer,
          catches=["HOST-02", "PROFILE-05", "VALID-01"], because="a layer that is missing is not missed"),
    fault("partial-pull-accepted-at-repave", at=INSTALL_SYSTEM, replace=without_its_last_layer_at_repave,
          catches=["HOST-03", "REPAVE-05"], because="a layer that is missing is not missed, on the second road"),
    fault("system-that-cannot-boot", at=SWITCH_SLOT, replace=before_the_boot, catches=["HOST-02", "DEPLOY-01"],
          because="the slot is written before the layers are"),
    fault("always-pulled-from-the-node-itself", at=PULL_POLICY, replace=always(value=False),
          catches=["REPAVE-01", "REPAVE-09"], because="the pull policy is Never"),
    fault("running-once-created", at={REPORT_STATE: running_once_created, REPORT_HEALTH: always("Healthy")},
          catches=["VALID-01", "EVENT-02", "HOST-02", "REG-01", "LIMIT-06"], because="created is taken for running"),
    fault("running-once-created-with-workers", at=REPORT_STATE, replace=when(has_workers, running_once_created),
          catches=["HOST-01", "LIFE-01"], because="the state of a pool is taken for running until it has reported"),
    fault("never-running", at=REPORT_STATE, replace=never_running, catches=["DEPLOY-01", "VALID-01"],
          because="a condition that nothing fulfils"),
    fault("repaved-once-approved", at=REPORT_HEALTH, replace=always("Healthy"), catches=["LIFE-01"],
          because="health is that of the nodes' last report"),
    fault("login-removed-when-an-update-repeats-it", at=CARRY_CREDENTIAL, catches=["REPAVE-01", "REPAVE-03"],
          replace=always(None), because="a Secret that has not changed is pruned"),
)  # fmt: skip
