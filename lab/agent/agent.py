"""What the agent does: converge the host to what Palette orders, and report every step.

One thread listens for orders; the main one works. A pull that failed is tried again with a back-off, at once when a
new order arrives. The agent can be stopped anywhere: what it had begun is found in its state file and finished.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from lab.agent import places, puller, runtime, secret, slots
from lab.agent.channel import Channel, PaletteUnreachable
from lab.agent.puller import PullFailed
from lab.agent.secret import Credential
from lab.faults import behaviour_of
from lab.joints import CARRY_CREDENTIAL, DEPLOY_CREDENTIAL, Behaviour

log = logging.getLogger("stylus")

FIRST_RETRY, LAST_RETRY = 1.0, 30.0  # seconds between tries of a failed pull, doubling
HEARTBEAT = 2.0  # seconds
Order = dict[str, Any]


class Agent:
    """The agent of one Edge host."""

    def __init__(self) -> None:
        self._user_data = yaml.safe_load(places.USER_DATA.read_text())["stylus"]
        site = self._user_data["site"]
        self.uid = str(site["name"])
        self._site = site
        self._channel = self._connect()
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._state = places.read_json(places.STATE)
        self._behaviour = Behaviour()
        self._faults: list[dict[str, Any]] = []

    def _connect(self) -> Channel:
        return Channel(self._site["paletteEndpoint"], self._site["edgeHostToken"], "\n".join(self._site["caCerts"]))

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Register, then do what is ordered, for as long as the host runs."""
        self._register()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._beat, daemon=True).start()
        order: Order | None = None
        pause = FIRST_RETRY
        failed = False
        while True:
            newer = self._next_order(pause if failed else None)
            if newer is not None:
                order, pause = newer, FIRST_RETRY
            elif failed:
                pause = min(2 * pause, LAST_RETRY)
            failed = order is not None and not self._converge(order)

    def _next_order(self, patience: float | None) -> Order | None:
        try:
            order = self._orders.get(timeout=patience)
            while True:  # only the newest counts
                order = self._orders.get_nowait()
        except queue.Empty:
            return order if "order" in locals() else None

    def _register(self) -> None:
        device = {
            "metadata": {"name": self.uid, "uid": self.uid, "labels": self._site.get("tags", {})},
            "spec": {
                "device": {
                    "archType": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
                    "hostType": "appliance",
                    "os": {"family": "debian", "version": "12"},
                },
                "host": {"hostUid": self.uid, "hostAddress": self._address()},
            },
            "status": {"health": {"state": "healthy", "agentVersion": "4.9.0-lab"}},
        }
        while True:
            try:
                self._channel.post("/v1/edgehosts/register", device)
            except PaletteUnreachable as error:
                log.warning("cannot register yet: %s", error)
                time.sleep(FIRST_RETRY / 5)
            else:
                log.info("registered with Palette as %s", self.uid)
                return

    @staticmethod
    def _address() -> str:
        done = subprocess.run(["hostname", "-I"], check=False, capture_output=True, text=True)
        return done.stdout.split()[0] if done.stdout.split() else ""

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
        channel = self._connect()
        while True:
            try:
                channel.post(f"/lab/agents/{self.uid}/reports", {"reports": [{"kind": "heartbeat"}]})
            except PaletteUnreachable as error:
                log.debug("heartbeat: %s", error)
            time.sleep(HEARTBEAT)

    # --- one order ----------------------------------------------------------------------------------------------------

    def _converge(self, order: Order) -> bool:
        """Bring the host to what ``order`` says. Gives False when something failed that is worth another try."""
        self._faults = list(order.get("faults") or [])
        self._behaviour = behaviour_of(self._faults)
        cluster = order.get("cluster")
        try:
            if cluster is None or cluster["uid"] != self._state.get("cluster", cluster["uid"]):
                self._reset(int(order.get("reset", 0)))
                return cluster is None or self._converge(order)
            if order.get("reset", 0) > self._state.get("reset", order.get("reset", 0)):
                self._reset(int(order["reset"]))
            self._state["reset"] = order.get("reset", 0)
            self._follow(cluster)
        except PullFailed as error:
            self._report_failure(cluster or {}, str(error))
            return False
        return True

    def _follow(self, cluster: dict[str, Any]) -> None:
        generation = int(cluster["generation"])
        if self._state.get("installing") == generation:
            self._finish(cluster)
        if self._state.get("running") == generation:
            self._report_state("running", cluster)
        elif "running" not in self._state:
            self._deploy(cluster)
        elif cluster.get("turn", True):
            self._update(cluster)

    def _finish(self, cluster: dict[str, Any]) -> None:
        """After the reboot of an installation: is it the installed system that runs?"""
        wanted = self._state["installed"]
        if slots.booted().digest != wanted:
            self._state.pop("installing")
            raise PullFailed(f"the host booted {slots.booted().image} again instead of the installed image")
        self._state |= {"running": self._state.pop("installing"), "image": cluster["image"]}
        self._save()

    # --- deployment: the agent pulls -------------------------------------------------------------------------------------

    def _deploy(self, cluster: dict[str, Any]) -> None:
        image, credential = self._source(cluster)
        self._write_cluster_config(cluster)
        self._store_trust(cluster)
        self._carry(credential)
        self._announce_pull(cluster, image, credential)
        chosen = self._behaviour.at(DEPLOY_CREDENTIAL, lambda found: found, credential)
        slot = puller.pull(image, chosen, places.TRUST)
        self._event("Normal", "PulledImage", f'Successfully pulled image "{image}"')
        self._install(cluster, slot)

    # --- update and repave: the node's runtime pulls -----------------------------------------------------------------------

    def _update(self, cluster: dict[str, Any]) -> None:
        image, credential = self._source(cluster)
        self._write_cluster_config(cluster)
        self._carry(credential)
        if not cluster.get("repave", True):
            self._state["running"] = int(cluster["generation"])
            self._save()
            self._report_state("running", cluster)
            return
        self._announce_pull(cluster, image, credential)
        answer = self._run_upgrade(image)
        if "error" in answer:
            raise PullFailed(str(answer["error"]))
        record = answer["slot"]
        said = "Successfully pulled image" if answer["pulled"] else "Container image already present on machine:"
        self._event("Normal", "Pulled", f'{said} "{image}"')
        self._install(cluster, slots.Slot(record["image"], record["digest"], tuple(record["layers"])))

    def _run_upgrade(self, image: str) -> dict[str, Any]:
        """Run the upgrade as the process of its own that it is on a cluster."""
        with tempfile.TemporaryDirectory(dir="/run") as area:
            plan = Path(area) / "plan.json"
            places.write_private(plan, json.dumps({"image": image, "faults": self._faults}))
            with places.UPGRADE_LOG.open("a") as errors:
                done = subprocess.run(
                    [sys.executable, "-m", "lab.agent.upgrade", str(plan)], check=False, stdout=subprocess.PIPE,
                    stderr=errors, text=True,
                )  # fmt: skip
        if done.returncode != 0:
            return {"error": f"the upgrade job ended with {done.returncode}; see {places.UPGRADE_LOG}"}
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    # --- what both share -----------------------------------------------------------------------------------------------

    def _source(self, cluster: dict[str, Any]) -> tuple[str, Credential | None]:
        """Where the image comes from and with which login: user data's registry wins over the profile's (the guide)."""
        image = str(cluster["image"])
        external = self._user_data.get("registryCredentials")
        if external:
            password = str(external["password"])
            if external.get("encodedPassword"):
                password = secret.decode_once(password)
            domain = str(external["domain"])
            if image.partition("/")[0] != domain.partition("/")[0]:
                image = f"{domain}/{image}"
            return image, Credential(domain, str(external["username"]), password)
        given = cluster.get("credential")
        if not given:
            return image, None
        return image, Credential(given["registry"], given["user"], given["password"])

    def _write_cluster_config(self, cluster: dict[str, Any]) -> None:
        self._state |= {"cluster": cluster["uid"]}
        self._save()
        document = {"cluster": cluster["uid"], "osValues": cluster["osValues"], "k8sValues": cluster["k8sValues"]}
        places.write_private(places.CLUSTER_CONFIG, yaml.safe_dump(document, sort_keys=False))

    def _store_trust(self, cluster: dict[str, Any]) -> None:
        """Keep the authority that a *new* cluster was given; an update does not reach here (guide, Limitations)."""
        certificates = (cluster.get("credential") or {}).get("certificates")
        if certificates:
            places.write_private(places.TRUST, certificates)
        else:
            places.TRUST.unlink(missing_ok=True)

    def _carry(self, credential: Credential | None) -> None:
        secret.store(self._behaviour.at(CARRY_CREDENTIAL, lambda found: found, credential))

    def _announce_pull(self, cluster: dict[str, Any], image: str, credential: Credential | None) -> None:
        source = f" from private registry {credential.registry}" if credential else ""
        self._report_state("pulling", cluster)
        self._event("Normal", "Pulling", f'Pulling image "{image}"{source}')

    def _install(self, cluster: dict[str, Any], slot: slots.Slot) -> None:
        """Switch to the new system and boot it; the state file says what to expect after the boot."""
        self._report_state("installing", cluster)
        self._state |= {"installing": int(cluster["generation"]), "installed": slot.digest}
        self._save()
        slots.switch_to(slot)
        log.info("rebooting into %s (%s)", slot.image, slot.digest)
        subprocess.run(["systemctl", "reboot"], check=False, capture_output=True)
        while True:  # the reboot ends this process
            time.sleep(60)

    def _reset(self, count: int) -> None:
        """Forget the cluster: its files, its login, its images. The running system stays until the next deployment."""
        for path in (places.CLUSTER_CONFIG, places.SECRET, places.TRUST):
            path.unlink(missing_ok=True)
        if "cluster" in self._state:
            self._report_state("resetting", {})
            puller.forget()
            runtime.forget()
            shutil.rmtree(runtime.CERTS, ignore_errors=True)
            slots.drop_unused_layers()
        self._state = {"reset": count}
        self._save()
        self._report({"kind": "state", "state": "idle", "reset": count, **self._facts()})

    def _save(self) -> None:
        places.write_private(places.STATE, json.dumps(self._state))

    # --- reports -------------------------------------------------------------------------------------------------------

    def _facts(self) -> dict[str, Any]:
        slot = slots.booted()
        label = "passive" if Path("/run/cos/passive_mode").exists() else "active"
        return {"digest": slot.digest, "activeSlot": label, "bootId": places.BOOT_ID.read_text().strip()}

    def _report_state(self, state: str, cluster: dict[str, Any], message: str = "") -> None:
        record = {"kind": "state", "state": state, "image": slots.booted().image, "message": message, **self._facts()}
        if "generation" in cluster:
            record["generation"] = int(cluster["generation"])
        self._report(record)

    def _report_failure(self, cluster: dict[str, Any], message: str) -> None:
        image = cluster.get("image", "")
        log.error("pull failed: %s", message)
        self._event("Error", "FailedPullImage", f'Failed to pull image "{image}": {message}')
        self._report_state("failed", cluster, message)

    def _event(self, severity: str, reason: str, message: str) -> None:
        self._report({"kind": "event", "severity": severity, "reason": reason, "message": message})

    def _report(self, record: dict[str, Any]) -> None:
        """Deliver a report, however long Palette is away: the order of reports tells the story."""
        record = {**record, "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        while True:
            try:
                self._channel.post(f"/lab/agents/{self.uid}/reports", {"reports": [record]})
            except PaletteUnreachable as error:
                log.warning("report kept: %s", error)
                time.sleep(FIRST_RETRY / 5)
            else:
                return
