"""The life of a cluster as a state machine: whatever happens in whatever order, four things stay true.

Every pull presents exactly the credential of the profile version in force; the running image is the last one whose
repave succeeded; Running is only said of a host that runs what its profile says; nothing leaks.
"""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from typing import TYPE_CHECKING

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from fixtures.layers import Layers
from fixtures.user_data import restart_agent
from harness.clusters import VacuousPhase
from harness.drawing import profile_of
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.private_registry import SiteRegistry
from harness.requirements import requirement
from harness.sites.site import Site
from registry.server import Account

if TYPE_CHECKING:
    from harness.clusters import Cluster
    from palette.os_layer import OsLayer, ProviderCredentials

#: What passwords begin with, each another hazard; four digits make one unique, and the first and last valid base64.
BEGINNINGS = ("Passw0rdPass", "q\"u'o\\te #*!", "pässwörd-€-", "SGFybmVzc1By")
STEPS = {"default": 6, "nightly": 20}


def settings_of_a_life() -> settings:
    """Return the settings for lives: one for ten passwords drawn, longer by night; shrinking one takes too long."""
    passwords = settings.default.max_examples if settings.default else 1
    by_night = settings.get_current_profile_name() == profile_of("nightly")
    return settings(
        max_examples=max(1, passwords // 10),
        stateful_step_count=STEPS["nightly" if by_night else "default"],
        phases=(Phase.explicit, Phase.generate),
        deadline=None,
    )


class Life(RuleBasedStateMachine):
    """One cluster, and all that can happen to it."""

    def __init__(self, site: Site, layers: Layers, registry: SiteRegistry, evidence: Evidence) -> None:
        super().__init__()
        self.site, self.layers, self.registry, self.evidence = site, layers, registry, evidence
        self.numbers = itertools.count(1)
        self.username = f"life-{next(_LIVES)}"
        self.accepted = self.written = ""  # the password that the registry accepts; the one in the profile
        self.used: list[str] = []
        self.steps: list[str] = []
        self.images: list[str] = []  # that ran, the last one runs
        self.stuck = False  # a repave is under way that cannot succeed
        self.cluster: Cluster | None = None
        self.exits = ExitStack()
        evidence.example("")

    # --- what happens ------------------------------------------------------------------------------------------------

    @initialize(beginning=st.sampled_from(BEGINNINGS))
    def deploy(self, beginning: str) -> None:
        """Deploy with a password that the registry accepts."""
        self._tell("deploy")
        self._rotate(beginning)
        self._write()
        layer = self.layers.fresh(None, credentials=self._credentials())
        self.cluster = self.site.deploy(layer)
        self._runs(layer.image)

    @rule(beginning=st.sampled_from(BEGINNINGS))
    def rotate(self, beginning: str) -> None:
        """Change the password at the registry alone: nothing may happen to the cluster."""
        self._tell("rotate")
        self._rotate(beginning)

    @rule()
    def edit(self) -> None:
        """Write the registry's password and another image into the profile."""
        self._tell("edit")
        with ExitStack() as until_then:
            if self.stuck and self.written != self.accepted:  # it tries the old login until the edit reaches it
                until_then.enter_context(self.registry.refusing(self.username, self.written))
            self._write()
            self._repave(self.layers.fresh(None, credentials=self._credentials()))

    @rule()
    def repave(self) -> None:
        """Move to another image with the profile's login as it is: right or outdated."""
        self._tell("repave")
        layer = self.layers.with_image(self._layer)
        if self.written == self.accepted:
            self._repave(layer)
        else:
            self._get_stuck(layer, ErrorCause.LOGIN)

    @rule()
    def fail_a_repave(self) -> None:
        """Move to an image that is not there."""
        self._tell("repave to a missing image")
        missing = self.registry.address.reference("conformance/provider", f"missing-{next(self.numbers)}")
        self._get_stuck(
            self.layers.with_image(self._layer, missing),
            ErrorCause.MISSING if self.written == self.accepted else ErrorCause.LOGIN,
        )

    @precondition(lambda self: len(self.images) > 1 and self.written == self.accepted)
    @rule()
    def roll_back(self) -> None:
        """Move to the image that ran before this one."""
        self._tell("roll back")
        self._repave(self.layers.with_image(self._layer, self.images[-2]))

    @rule()
    def reboot(self) -> None:
        """Reboot the host."""
        self._tell("reboot")
        self._cluster.host.reboot()
        self._settle()

    @rule()
    def restart_the_agent(self) -> None:
        """Restart the agent on the host."""
        self._tell("restart the agent")
        restart_agent(self._cluster.host)
        self._settle()

    @rule()
    def restart_the_registry(self) -> None:
        """Restart the registry."""
        self._tell("restart the registry")
        self.registry.restart()
        self._settle()

    @rule(beginning=st.sampled_from(BEGINNINGS))
    def delete_and_deploy_again(self, beginning: str) -> None:
        """Delete the cluster, and deploy another one on the same host."""
        self._tell("delete")
        gone, host = self._cluster, self._cluster.host
        self.cluster = None
        gone.delete()
        self.site.project.edge_hosts.wait_until_free(host.uid)
        self.images, self.stuck = [], False
        self.deploy(beginning)

    # --- what stays true ---------------------------------------------------------------------------------------------

    @invariant()
    def pulls_present_the_current_credential(self) -> None:
        """Every pull presents exactly what the profile version in force has."""
        if self.cluster is not None:
            try:
                changed = self.registry.witness.changes(self.cluster)
            except VacuousPhase:
                changed = []
            assert changed == [], changed[0]

    @invariant()
    def the_last_image_that_succeeded_runs(self) -> None:
        """Expect on the host the image of the last deployment or repave that succeeded."""
        if self.cluster is not None and self.images:
            assert not (wrong := self.cluster.wrong_boot(self.images[-1])), f"{wrong}, as the last to succeed"

    @invariant()
    def running_is_true(self) -> None:
        """Palette calls the cluster Running and healthy only while its host runs what the profile says."""
        if self.cluster is not None and self.images:
            ready = self.site.project.clusters.overview(self.cluster.uid).is_ready
            wanted, runs = self._layer.image, self.images[-1]
            assert not ready or wanted == runs, f"Palette says Running; the profile has {wanted}, the host runs {runs}"

    @invariant()
    def events_tell_no_password(self) -> None:
        """No event has a password."""
        if self.cluster is not None:
            said = " ".join(event.message for event in self.cluster.events())
            assert not [password for password in self.used if password in said], "an event tells a password"

    def teardown(self) -> None:
        """Look for passwords where others may read, and take everything away."""
        with self.exits:
            if self.cluster is None:
                return
            with self.cluster as cluster:
                assert (shown := cluster.host.shown(self.used)) == [], f"passwords can be read in {', '.join(shown)}"

    # --- how ---------------------------------------------------------------------------------------------------------

    @property
    def _cluster(self) -> Cluster:
        assert self.cluster is not None
        return self.cluster

    @property
    def _layer(self) -> OsLayer:
        return self._cluster.layer

    def _tell(self, what: str) -> None:
        self.steps.append(what)
        self.evidence.expected = f"four promises are kept through {', '.join(self.steps)}"

    def _rotate(self, beginning: str) -> None:
        """Change what the registry accepts; pulls go on being compared with what the profile has."""
        self.accepted = f"{beginning}{next(_PASSWORDS):04}"
        self.used.append(self.accepted)
        self.exits.enter_context(self.registry.private.account(self.username, self.accepted))

    def _write(self) -> None:
        self.written = self.accepted
        self.exits.enter_context(self.registry.seen.expecting(Account(self.username, self.written)))

    def _credentials(self) -> ProviderCredentials:
        return self.layers.registry.credentials(Account(self.username, self.written))

    def _runs(self, image: str) -> None:
        self.images.append(image)
        self.stuck = False

    def _repave(self, layer: OsLayer) -> None:
        """Repave to an image that can be had; an event about it is a failure, one about the image before is not."""
        done = self._cluster.try_repave(layer)
        self.pulls_present_the_current_credential()
        assert done, f"the repave failed: {self._cluster.errors_about(layer.image)[0].message}"
        self._runs(layer.image)

    def _get_stuck(self, layer: OsLayer, cause: ErrorCause) -> None:
        self._cluster.begin_repave(layer)
        self._cluster.wait_for_error(cause, about=layer.image)
        self.stuck = True

    def _settle(self) -> None:
        if not self.stuck:
            self._cluster.wait_until_running()


_LIVES, _PASSWORDS = itertools.count(1), itertools.count(1)


@requirement("LIFE-01", phase="repave", witness=True, clusters=2, repaves=5)
def test_a_cluster_keeps_its_promises_all_its_life(
    site: Site, layers: Layers, private_registry: SiteRegistry, evidence: Evidence
) -> None:
    """Through rotations, edits, repaves, failures, reboots and rollbacks, pulls, image and state stay right."""
    run_state_machine_as_test(
        lambda: Life(site, layers, private_registry, evidence),  # type: ignore[arg-type] # any maker of machines will do
        settings=settings_of_a_life(),
    )
