"""How fast the lab is, and how much memory a run takes: numbers to write down, never a verdict.

Run by ``./run bench``. Machines are shared and noisy: read medians, and ratios of things run side by side.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine import ownership
from engine.reach import EngineUnavailable, connect
from fixtures.layers import Layers
from harness.clusters import Cluster
from harness.errors import ErrorCause
from harness.evidence import Evidence
from harness.ledger import Ledger
from harness.liveness import Liveness, hosts_gone
from harness.private_registry import SiteRegistry, open_registry
from harness.provider_images import ProviderImages
from harness.sites.site import Site
from harness.sites.site_file import read_site_file
from lab import control
from lab.kubernetes import programs
from lab.settings import LabSettings, labs_folder

ROUNDS = 5
#: How the runs and labs of the bench are called, by which their containers and processes are known.
NAME, RUN_LABEL = "bench", f"{ownership.PREFIX}.run"


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def show(what: str, seconds: list[float]) -> None:
    """Print minimum, median and maximum."""
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{what:<44} {low:7.2f} s {middle:7.2f} s {high:7.2f} s")


class Memory(threading.Thread):
    """Watches the memory of the bench's containers and processes, of no other lab's; ``peak`` is MiB, or None."""

    def __init__(self, client: docker.DockerClient, every: float = 0.5) -> None:
        super().__init__(daemon=True)
        self._client, self._every, self.over = client, every, threading.Event()
        self.peak: float | None = None

    def run(self) -> None:
        """Look again and again; a look during which a container went away, or none is there, counts for nothing."""
        while not self.over.wait(self._every):
            try:
                now = self._containers() + _our_processes()
            except (DockerException, OSError, ValueError, LookupError):  # ValueError: an answer that is cut off
                continue
            self.peak = max(self.peak or 0.0, now)

    def _containers(self) -> float:
        every = self._client.containers.list(ignore_removed=True)
        ours = [each for each in every if each.labels.get(RUN_LABEL, "").startswith(NAME)]
        if not ours:
            raise LookupError("the lab is not there yet, or no more")
        return sum(map(_used, ours))


def _used(container: Any) -> float:  # noqa: ANN401 - docker-py has no types
    used = container.stats(stream=False)["memory_stats"]
    return float(used["usage"] - used.get("stats", {}).get("total_inactive_file", 0)) / 2**20


def _our_processes() -> float:
    total = 0.0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if b"bench_lab" in words or (b"-m\0lab\0serve" in words and f"/{NAME}-".encode() in words):
                total += int((folder / "statm").read_text().split()[1]) * 4096 / 2**20
        except OSError:
            continue
    return total


def rounds(site: Site, layers: Layers, registry: SiteRegistry) -> None:
    """Deploy, repave and reset a host a few times."""
    deploys, repaves, resets = [], [], []
    for _ in range(ROUNDS):
        with registry.account() as account:
            began = time.perf_counter()
            cluster = site.deploy(layers.fresh(account))
            deploys.append(time.perf_counter() - began)
            repaves.append(timed(partial(repave, cluster, layers)))
            resets.append(timed(partial(reset, cluster, site)))
    show("deploy", deploys)
    show("repave", repaves)
    show("deploy + repave", [a + b for a, b in zip(deploys, repaves, strict=True)])
    show("reset of a host for the next case", resets)


def refusals(site: Site, layers: Layers, registry: SiteRegistry) -> None:
    """Have a deployment refused a few times, and show what it costs to ask then whether everything is alive.

    Only cases that fail or expect a refusal ask, so the share of a refused case is more than that of any run.
    """
    questions, cases = [], []
    for _ in range(ROUNDS):
        with registry.account() as account:
            began = time.perf_counter()
            wrong = layers.registry.credentials(account, password="not-the-password!")
            with site.begin_deploy(layers.fresh(None, credentials=wrong)) as cluster:
                cluster.fails(ErrorCause.LOGIN)
                questions.append(timed(partial(ask, cluster, site, registry)))
            site.free_hosts(len(site.hosts))
            cases.append(time.perf_counter() - began - questions[-1])  # leaving the cluster has asked once more
    show("a refused deployment", cases)
    show("whether hosts, registry, Palette are alive", questions)
    share = statistics.median(questions) / statistics.median(cases)
    print(f"{'its share of a refused case; a run has less':<44} {100 * share:7.1f} %")


def ask(cluster: Cluster, site: Site, registry: SiteRegistry) -> None:
    """Ask what is asked before a verdict; on the healthy lab nothing is gone."""
    gone = [*hosts_gone(cluster), *Liveness(site, registry).look(site.evidence)]
    assert not gone, gone


def repave(cluster: Cluster, layers: Layers) -> None:
    """Repave to an image that no host has pulled before."""
    cluster.repave(layers.with_image(cluster.layer))


def reset(cluster: Cluster, site: Site) -> None:
    """Delete the cluster and wait until every host is free again."""
    cluster.delete()
    site.free_hosts(len(site.hosts))


def main() -> None:
    """Measure the lab, and again with a real Kubernetes where its programs are, and print."""
    client = connect(print)
    measure(client, None)
    if (found := programs.find()) is not None:
        print("\nwith a real Kubernetes")
        measure(client, found)


def measure(client: docker.DockerClient, kubernetes: Path | None) -> None:
    """Measure one kind of lab and print."""
    memory = Memory(client)
    memory.start()
    print(f"{'':<44} {'least':>9} {'median':>9} {'most':>9}")
    starts = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        settings = LabSettings(labs_folder() / f"{NAME}-{number}", kubernetes=kubernetes)
        lab = control.start(settings, lambda _message: None)
        starts.append(time.perf_counter() - began)
        if number < ROUNDS - 1:
            lab.stop()
    show("lab of two hosts, up and registered", starts)
    try:
        described = read_site_file(lab.site_file)
        owner = ownership.Owner.this_process(NAME)
        with (
            tempfile.TemporaryDirectory() as folder,
            open_registry(described, None, client, owner, lambda _message: None) as registry,
            Site.open(described, NAME, Ledger(), Evidence(Path(folder))) as site,
        ):
            images = ProviderImages(
                registry.client(), described.provider_image, lambda _message: None, registry.address
            )
            show("provider image into the registry", [timed(lambda: images.base)])
            rounds(site, Layers(registry, images), registry)
            refusals(site, Layers(registry, images), registry)
    finally:
        lab.stop()
        memory.over.set()
    memory.join()
    if memory.peak is not None:
        print(f"{'peak memory of lab, registry and harness':<44} {memory.peak:7.0f} MiB")


if __name__ == "__main__":
    try:
        main()
    except (EngineUnavailable, control.LabFailed, programs.ProgramsMissing) as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(4)
