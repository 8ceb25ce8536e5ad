"""What the agent does: converge the host to what Palette orders, and report every step.

One thread listens for orders; the main one works. A pull that failed is tried again with a back-off, at once when a
new order arrives; a pull that a new order made pointless is given up. The agent can be stopped anywhere: what it had
begun is found in its state file and finished.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import threading
import time
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import yaml

from lab import injection
from lab.agent import kubernetes, places, puller, runtime, scope, secret, slots, upgrade
from lab.agent.channel import Channel, PaletteUnreachable
from lab.agent.external import external_registry
from lab.agent.orders import Inbox, Order, Overtaken, StepTookTooLong
from lab.agent.puller import PullFailed
from lab.agent.reporter import Reporter, boot_id
from lab.agent.secret import Credential
from lab.faults import behaviour_of
from lab.injection import Behaviour, Touch, Where
from lab.kinds import misfit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lab.agent.jobs import Jobs

log = logging.getLogger("stylus")

FIRST_RETRY, LAST_RETRY = 1.0, 30.0  # seconds between tries of a failed pull, doubling
HEARTBEAT = 2.0  # seconds
DEPLOY, REPAVE = "deploy", "repave"
#: What work on a host can fail with beside a refused pull: its disk, its programs, a document that is not as it should.
TROUBLE = (OSError, subprocess.SubprocessError, ValueError, LookupError)


class Agent:
    """The agent of one Edge host."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._user_data = places.read_user_data()
        self._site = self._user_data["site"]
        self.uid = str(self._site["name"])
        self._reporter = Reporter(self.uid, self._connect(), self._edit)
        self._orders = Inbox()
        self._state = places.read_json(places.STATE)
        self._behaviour = Behaviour()
        self._faults: list[dict[str, Any]] = []
        self._cluster: dict[str, Any] = {}
        self._just_booted = True
        self._tries: tuple[int, int] = (0, 0)

    def _connect(self) -> Channel:
        return Channel(self._site["paletteEndpoint"], self._site["edgeHostToken"], "\n".join(self._site["caCerts"]))

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Register, then do what is ordered, for as long as the host runs."""
        shutil.rmtree(places.WORK, ignore_errors=True)  # a killed agent leaves logins there
        self._register()
        _in_background(self._listen)
        _in_background(self._beat)
        order: Order | None = None
        pause = FIRST_RETRY
        failed = False
        while True:
            newer = self._orders.take(pause if failed else None)
            if newer is not None:
                order, pause = newer, FIRST_RETRY
            elif failed:
                pause = self._behaviour.at(injection.BACK_OFF, _doubled, pause)
            failed = order is not None and not self._converge(order)

    def _register(self) -> None:
        device = {
            "metadata": {"name": self.uid, "uid": self.uid, "labels": self._site.get("tags", {})},
            "spec": {
                "device": {
                    "archType": places.architecture(),
                    "hostType": places.mode(),
                    "os": {"family": "debian", "version": "12"},
                },
                "host": {"hostUid": self.uid, "hostAddress": _address()},
            },
            "status": {"health": {"state": "healthy", "agentVersion": "4.9.0-lab"}},
        }
        channel = self._connect()
        while True:
            try:
                channel.post("/v1/edgehosts/register", device)
            except PaletteUnreachable as error:
                log.warning("cannot register yet: %s", error)
                time.sleep(FIRST_RETRY / 5)
            else:
                log.info("registered with Palette as %s", self.uid)
                return

    def _listen(self) -> None:
        channel, revision = self._connect(), -1
        while True:
            try:
                order = channel.get(f"/lab/agents/{self.uid}/orders?after={revision}")
            except PaletteUnreachable as error:
                log.warning("no orders: %s", error)
                time.sleep(FIRST_RETRY / 2)
                continue
            if order["revision"] != revision:
                revision = order["revision"]
                self._orders.put(order)

    def _beat(self) -> None:
        reporter = Reporter(self.uid, self._connect())
        while True:
            try:
                reporter.heartbeat()
            except PaletteUnreachable as error:
                log.debug("heartbeat: %s", error)
            time.sleep(HEARTBEAT)

    # --- one order ----------------------------------------------------------------------------------------------------

    def _converge(self, order: Order) -> bool:
        """Bring the host to what ``order`` says. Return False when something failed that is worth another try."""
        cluster = order.get("cluster")
        try:
            self._faults = list(order.get("faults") or [])
            self._behaviour = behaviour_of(self._faults, self._where(cluster or {}), self._note)
            if not self._behaviour.at(injection.HEED_ORDER, lambda _order: True, order):
                return True
            self._cluster = cluster or {}
            self._remember()
            self._leave_other_clusters(order)
            if cluster is not None:
                self._follow(cluster)
        except Overtaken:
            log.info("given up: a newer order asks for something else")
        except PullFailed as error:
            self._behaviour.at(injection.AFTER_FAILED_PULL, _leave_it, cluster)
            self._reporter.pull_failed(cluster or {}, str(error))
            return False
        except TROUBLE as error:
            log.exception("cannot do what is ordered")
            self._reporter.trouble(cluster or {}, f"the host cannot do what is ordered: {error}")
            return False
        return True

    def _where(self, cluster: dict[str, Any]) -> Where:
        """Return what is known here of a cluster at any time."""
        return Where(
            node=self.uid, role=cluster.get("role", ""), cluster=cluster.get("name", ""),
            profile=cluster.get("profileUid", ""), version=cluster.get("profileVersion", ""),
            generation=int(cluster.get("generation", 0)), registry=str(cluster.get("image", "")).partition("/")[0],
        )  # fmt: skip

    def _know_of_try(self, phase: str) -> None:
        """Note what is known once a pull is prepared: the phase, and how many tries and repaves there were."""
        where, (generation, tries) = self._behaviour.where, self._tries
        self._tries = where.generation, tries + 1 if generation == where.generation else 1
        repave = self._state.get("repaves", 0) + 1 if phase == REPAVE else 0
        self._behaviour.where = replace(where, phase=phase, attempt=self._tries[1], repave=repave)

    def _note(self, touch: Touch) -> None:
        """Report what a seeded fault did; while Palette is away it is lost."""
        with contextlib.suppress(PaletteUnreachable):
            self._reporter.channel.post(self._reporter.path, {"reports": [{"kind": "touch", **asdict(touch)}]})

    def _remember(self) -> None:
        """Begin where the agent ended before it, or the host, was started anew."""
        if self._just_booted:
            self._state = self._behaviour.at(injection.REMEMBER, _unchanged, self._state)
        self._just_booted = False

    def _leave_other_clusters(self, order: Order) -> None:
        """Reset the host unless it belongs to the ordered cluster already, and since the ordered number of resets."""
        cluster, resets = order.get("cluster"), int(order.get("reset", 0))
        stays = cluster is not None and cluster["uid"] == self._state.get("cluster", cluster["uid"])
        if not stays or resets > self._state.get("reset", resets):
            self._reset(resets)
        self._state["reset"] = resets

    def _follow(self, cluster: dict[str, Any]) -> None:
        generation = int(cluster["generation"])
        if self._state.get("installing") == generation:
            self._finish(cluster)
        if self._state.get("running") == generation:
            self._report_running(cluster)
        elif "running" not in self._state:
            self._deploy(cluster)
        elif cluster.get("turn", True):
            self._update(cluster)

    def _report_running(self, cluster: dict[str, Any]) -> None:
        """Report that the cluster's system runs; a host that fell back to its passive slot does not."""
        wanted = self._installed()
        if wanted is not None and slots.booted().digest != wanted.digest:
            problem = f"the host runs {slots.booted().image} from its passive slot: {wanted.image} did not boot"
            self._reporter.trouble(cluster, problem)
        elif problem := misfit(cluster["kubernetes"], places.release()):
            self._reporter.trouble(cluster, problem)
        else:
            self._reporter.state("running", cluster, **self._kubernetes(cluster))

    def _kubernetes(self, cluster: dict[str, Any]) -> dict[str, str]:
        """Run the cluster's Kubernetes with this node in service, where there is one. Return what is reported of it."""
        if not kubernetes.is_here():
            return {}
        kubeconfig = kubernetes.up(cluster, self._orders.is_overtaken)
        kubernetes.back_in_service(cluster)
        return {"kubeconfig": kubeconfig}

    def _installed(self) -> slots.Slot | None:
        record = self._state.get("installed")
        return None if record is None else slots.slot_of_record(record)

    def _finish(self, cluster: dict[str, Any]) -> None:
        """Finish an installation that had begun: switch and boot if that is still to be done, else look what booted."""
        wanted = self._installed()
        assert wanted is not None
        if self._state["installed_in"] == boot_id() or slots.active() != wanted:
            self._boot_into(wanted)
        if slots.booted() != wanted:
            raise PullFailed(f"the host booted {slots.booted().image} again: the installed {wanted.image} did not boot")
        if "running" in self._state:
            self._state["repaves"] = self._state.get("repaves", 0) + 1
        self._state |= {"running": self._state.pop("installing"), "image": cluster["image"]}
        self._save()

    # --- deployment: the agent pulls ---------------------------------------------------------------------------------

    def _deploy(self, cluster: dict[str, Any]) -> None:
        image, credential = self._prepare(cluster, DEPLOY)
        self._announce_pull(cluster, image, credential, DEPLOY)
        chosen = self._behaviour.at(injection.DEPLOY_CREDENTIAL, _unchanged, credential)
        slot = self._behaviour.at(injection.DEPLOY_PULL, self._pull, image, chosen)
        self._reporter.event("Normal", "PulledImage", f'Successfully pulled image "{image}"')
        self._install(cluster, slot, DEPLOY)

    def _pull(self, image: str, credential: Credential | None) -> slots.Slot:
        authority = self._behaviour.at(injection.DEPLOY_AUTHORITY, _unchanged, places.TRUST)
        verify = self._behaviour.at(injection.VERIFY_DEPLOY_TLS, lambda: True)
        how = puller.Way(authority, verify, self._orders.is_overtaken, self._behaviour)
        login = self._behaviour.at(
            injection.SCOPE_LOGIN, partial(scope.login_for, behaviour=self._behaviour), image, credential, authority
        )
        return puller.pull(image, login, how)

    # --- update and repave: the node's runtime pulls -----------------------------------------------------------------

    def _update(self, cluster: dict[str, Any]) -> None:
        image, credential = self._prepare(cluster, REPAVE)
        if not self._behaviour.at(injection.REPLACE_SYSTEM, lambda order: order.get("repave", True), cluster):
            self._state["running"] = int(cluster["generation"])
            self._save()
            self._report_running(cluster)
            return
        self._announce_pull(cluster, image, credential, REPAVE)
        if kubernetes.is_here():
            kubernetes.up(cluster, self._orders.is_overtaken)
        answer = self._run_upgrade(image)
        if "error" in answer:
            raise PullFailed(str(answer["error"]))
        said = "Successfully pulled image" if answer["pulled"] else "Container image already present on machine:"
        self._reporter.event("Normal", "Pulled", f'{said} "{image}"')
        self._install(cluster, slots.slot_of_record(answer["slot"]), REPAVE)

    def _run_upgrade(self, image: str) -> dict[str, Any]:
        """Run the upgrade as the process of its own that it is on a cluster. Raises Overtaken."""
        with places.work_area() as area:
            plan, notes = area / "plan.json", area / "notes"
            where = asdict(self._behaviour.where)
            known = {"image": image, "faults": self._faults, "notes": str(notes), "where": where}
            places.write_private(plan, json.dumps(known))
            try:
                status = self._jobs.run(plan, self._orders.is_overtaken, within=puller.PULL_TIMEOUT)
            except StepTookTooLong as error:
                return {"error": str(error)}
            finally:
                for line in notes.read_text().splitlines() if notes.exists() else ():
                    with contextlib.suppress(ValueError, TypeError):  # the last note of a job that was killed
                        self._note(Touch(**json.loads(line)))
            if status != 0:
                return {"error": f"the upgrade job ended with {status}; see {places.UPGRADE_LOG}"}
            return places.read_json(upgrade.answer_to(plan))

    # --- what both share ---------------------------------------------------------------------------------------------

    def _prepare(self, cluster: dict[str, Any], phase: str) -> tuple[str, Credential | None]:
        """Write what the host keeps of its cluster. Return image and credential of the pull to come."""
        self._know_of_try(phase)
        chosen: tuple[str, Credential | None] = self._behaviour.at(
            injection.CHOOSE_SOURCE,
            lambda order, _user_data, _phase: self._source(order),
            cluster,
            self._user_data,
            phase,
        )
        self._behaviour.where = replace(self._behaviour.where, registry=chosen[0].partition("/")[0])
        self._write_cluster_config(cluster)
        self._store_trust(cluster, phase)
        secret.store(self._behaviour.at(injection.CARRY_CREDENTIAL, _unchanged, chosen[1]), self._write)
        return chosen

    def _announce_pull(self, cluster: dict[str, Any], image: str, credential: Credential | None, phase: str) -> None:
        log.info("%s", self._behaviour.at(injection.LOG, lambda message, _order: message, f"pulling {image}", cluster))
        self._reporter.pulling(cluster, image, credential.registry if credential else None)
        self._behaviour.at(injection.BEFORE_PULL, lambda _image, _phase: None, image, phase)

    def _source(self, cluster: dict[str, Any]) -> tuple[str, Credential | None]:
        """Return where the image comes from and with which login: user data's registry wins (the guide)."""
        image = str(cluster["image"])
        external = external_registry(self._user_data)
        if external is not None:
            return external.source(image), external.credential
        given = cluster.get("credential")
        if not given:
            return image, None
        return image, Credential(given["registry"], given["user"], given["password"])

    def _write_cluster_config(self, cluster: dict[str, Any]) -> None:
        self._state |= {"cluster": cluster["uid"], "role": cluster["role"], "node": self.uid}
        self._save()
        document = {"cluster": cluster["uid"], "osValues": cluster["osValues"], "k8sValues": cluster["k8sValues"]}
        places.mark_worker(worker=cluster["role"] == "worker")
        self._write(places.CLUSTER_CONFIG, yaml.safe_dump(document, sort_keys=False))

    def _store_trust(self, cluster: dict[str, Any], phase: str) -> None:
        """Keep the authority that a *new* cluster was given; an update changes nothing of it (guide, Limitations)."""
        external = external_registry(self._user_data)
        certificates = (external and external.certificates) or (cluster.get("credential") or {}).get("certificates")
        if not self._behaviour.at(injection.KEEP_AUTHORITY, lambda _given, phase: phase == DEPLOY, certificates, phase):
            return
        if certificates:
            self._write(places.TRUST, certificates)
        else:
            places.TRUST.unlink(missing_ok=True)

    def _install(self, cluster: dict[str, Any], pulled: slots.Slot, phase: str) -> None:
        """Note what is to be expected after the boot, then switch to the new system and boot it."""
        if self._orders.is_overtaken():
            raise Overtaken
        slot = self._behaviour.at(injection.INSTALL_SYSTEM, lambda system, _phase: system, pulled, phase)
        self._reporter.state("installing", cluster)
        self._state |= {"installing": int(cluster["generation"]), "installed": asdict(slot), "installed_in": boot_id()}
        self._save()
        self._boot_into(slot)

    def _boot_into(self, slot: slots.Slot) -> NoReturn:
        self._behaviour.at(injection.SWITCH_SLOT, slots.switch_to, slot)
        log.info("rebooting into %s (%s)", slot.image, slot.digest)
        while True:  # the reboot ends this process; systemd may refuse one while it is still starting
            subprocess.run(["systemctl", "reboot"], check=False, capture_output=True)
            time.sleep(FIRST_RETRY)

    def _reset(self, count: int) -> None:
        """Forget the cluster: its files, its login, its images. The running system stays until the next deployment."""
        files = (places.CLUSTER_CONFIG, places.SECRET, places.TRUST, places.UPGRADE_LOG)
        role = self._state.get("role", "")
        for path in self._behaviour.at(injection.FORGET_CLUSTER, _unchanged, files, role=role):
            path.unlink(missing_ok=True)
        if "cluster" in self._state:
            self._reporter.state("resetting", {})
            if kubernetes.is_here():
                kubernetes.down()
            self._behaviour.at(injection.FORGET_IMAGES, _forget_images, role=role)
        self._state = {"reset": count}
        self._save()
        self._reporter.idle(count)

    def _edit(self, report: dict[str, Any]) -> dict[str, Any] | None:
        edited: dict[str, Any] | None = self._behaviour.at(
            injection.REPORT, lambda said, _order: said, report, self._cluster
        )
        return edited

    def _write(self, path: Path, text: str) -> None:
        self._behaviour.at(injection.WRITE_FILE, places.write_private, path, text)

    def _save(self) -> None:
        places.write_private(places.STATE, json.dumps(self._state))


def _unchanged(value: Any) -> Any:  # noqa: ANN401 - whatever an injection point is about
    return value


def _forget_images() -> None:
    puller.forget()
    runtime.forget()
    shutil.rmtree(runtime.CERTS, ignore_errors=True)
    slots.drop_unused_layers()


def _doubled(pause: float) -> float:
    return min(2 * pause, LAST_RETRY)


def _leave_it(_cluster: dict[str, Any] | None) -> None:
    """Do nothing: a failed pull leaves the running system as it is."""


def _address() -> str:
    done = subprocess.run(["hostname", "-I"], check=False, capture_output=True, text=True)
    return next(iter(done.stdout.split()), "")


def _in_background(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread whose death is the agent's: systemd then starts a whole one."""

    def watched() -> None:
        try:
            work()
        finally:
            log.critical("%s ended", work.__name__)
            os._exit(1)

    threading.Thread(target=watched, daemon=True).start()
