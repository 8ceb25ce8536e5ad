"""What the witness costs: throughput through it against the direct connection, and its memory, on this machine.

Run by ``tox -e bench``. Direct and witnessed rounds alternate, each puller is a process of its own, as a host is.
Machines are shared and noisy: read the ratios.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import docker
from docker.errors import DockerException

sys.path.insert(0, str(Path(__file__).parents[2]))

from registry.server import PrivateRegistry
from registry.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable

    from registry.address import RegistryAddress

ROUNDS = 7
MIB = 1 << 20
BLOB = 1024 * MIB
SMALL_REQUESTS = 1000

PULLER = """
import hashlib, http.client, ssl, sys, time
host, port, bundle, authorization, path, count, verify = sys.argv[1:]
context = ssl.create_default_context(cafile=bundle)
connection = http.client.HTTPSConnection(host, int(port), context=context)
connection.connect()
began = time.perf_counter()
for _ in range(int(count)):
    connection.request("GET", path, headers={"Authorization": authorization})
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    running = hashlib.sha256()
    while piece := answer.read(1 << 18):
        if verify == "verify":
            running.update(piece)
print(time.perf_counter() - began)
"""


def say(line: str) -> None:
    """Print."""
    sys.stdout.write(f"{line}\n")


def engine() -> docker.DockerClient | None:
    """Give the engine, if there is one; the registry is a process otherwise."""
    try:
        client = docker.from_env()
        client.ping()
    except DockerException:
        return None
    return client


class Pulls:
    """Pulls from the registry and through the witness, in turn."""

    def __init__(self, witness: Witness, bundle: Path, authorization: str) -> None:
        self._addresses = (witness.registry.address, witness.address)
        self._bundle, self._authorization = str(bundle), authorization

    def compare(self, what: str, path: str, count: int, verify: str = "", scale: Callable[[float], str] = str) -> None:
        """Print the best round of both ways and their ratio: whatever else the machine does makes rounds slower."""
        seconds: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for address, found in zip(self._addresses, seconds, strict=True):
                found.append(self._pull(address, path, count, verify))
        direct, witnessed = map(min, seconds)
        say(f"{what:<40} direct {scale(direct):>14}   witness {scale(witnessed):>14}   ratio {direct / witnessed:.2f}")

    def _pull(self, address: RegistryAddress, path: str, count: int, verify: str) -> float:
        arguments = [address.host, str(address.port), self._bundle, self._authorization, path, str(count), verify]
        done = subprocess.run([sys.executable, "-c", PULLER, *arguments], check=True, capture_output=True, text=True)
        return float(done.stdout)


class Memory(threading.Thread):
    """Watches how much memory this process holds: the witness is in it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.over = threading.Event()
        self.first = self.peak = self._now()

    def run(self) -> None:
        """Look fifty times a second."""
        while not self.over.wait(0.02):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def push(registry: PrivateRegistry) -> str:
    """Put the large blob into the registry; gives its path."""
    block, running = os.urandom(MIB), hashlib.sha256()
    for _ in range(BLOB // MIB):
        running.update(block)
    digest = f"sha256:{running.hexdigest()}"
    registry.client().push_blob("bench/blob", digest, BLOB, (block for _ in range(BLOB // MIB)))
    return f"/v2/bench/blob/blobs/{digest}"


def main() -> None:
    """Measure and print."""
    with (
        PrivateRegistry(engine(), say=say) as registry,
        Witness(registry) as witness,
        witness.account() as account,
        tempfile.NamedTemporaryFile("w", suffix=".pem") as bundle,
    ):
        bundle.write(witness.authority.pem)
        bundle.flush()
        pair = f"{account.username}:{account.password}".encode()
        pulls = Pulls(witness, Path(bundle.name), f"Basic {base64.b64encode(pair).decode()}")
        blob = push(registry)
        memory = Memory()
        memory.start()
        pulls.compare("1 GiB, digest verified", blob, 1, "verify", lambda s: f"{BLOB / s / 1e6:.0f} MB/s")
        pulls.compare("1 GiB, thrown away", blob, 1, "", lambda s: f"{BLOB / s / 1e6:.0f} MB/s")
        memory.over.set()
        say(f"{'memory growth of the witness process':<40} {(memory.peak - memory.first) / MIB:.0f} MiB")
        per_second = lambda s: f"{SMALL_REQUESTS / s:.0f}/s"  # noqa: E731 - a format
        pulls.compare("small requests, one kept connection", "/v2/", SMALL_REQUESTS, "", per_second)
        slow = max(witness.pulls(), key=lambda pull: pull.seconds)
        say(f"{'requests recorded':<40} {len(witness.pulls())}, the longest {slow.seconds:.1f} s")


if __name__ == "__main__":
    main()
