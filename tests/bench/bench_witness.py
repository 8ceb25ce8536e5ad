"""What the witness costs: throughput through it against the direct connection, and its memory, on this machine.

Run by ``./run bench``; ``--mib 256`` is shorter. Direct and witnessed rounds are made in pairs, in turn the one and
the other first; each puller is a process of its own, as a host is, and both speak TLS to the same registry. Machines
are shared and noisy: read the ratios, which are medians of pairs, and on a busy machine only the witness' own processor
time: there a ratio tells how long the witness waits for its turn. Every puller of images verifies the digest of what it
pulls; a blob that is thrown away shows the witness at its worst: on two cores it is one process more for the same work.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from collections.abc import Callable

from engine.reach import EngineUnavailable, connect
from registry.address import RegistryAddress
from registry.classify import Configured, prepare
from registry.hazards import dense, pool
from registry.server import PrivateRegistry
from registry.transforms import TRANSFORMS, Context
from registry.witness import Witness

ROUNDS = 8
MIB = 1 << 20
SMALL_REQUESTS = 1000
ACCOUNTS, PULLS_EACH = 2000, 10
IDLE_TURNS = 400  # of a loop that takes about as long as a pull is classified

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


class Pulls:
    """Pulls from the registry and through the witness, in turn."""

    def __init__(self, witness: Witness, bundle: Path, authorization: str) -> None:
        self._addresses = (witness.registry.address, witness.address)
        self._bundle, self._authorization = str(bundle), authorization

    def compare(self, what: str, path: str, count: int, verify: str = "", scale: Callable[[float], str] = str) -> None:
        """Print the median of both ways, and of the ratios within the pairs, with the worst and the best pair."""
        seconds: dict[RegistryAddress, list[float]] = {address: [] for address in self._addresses}
        for number in range(ROUNDS):
            for address in self._addresses[:: -1 if number % 2 else 1]:
                seconds[address].append(self._pull(address, path, count, verify))
        begun = time.process_time()
        self._pull(self._addresses[1], path, count, verify)
        own = time.process_time() - begun
        ratios = [direct / witnessed for direct, witnessed in zip(*seconds.values(), strict=True)]
        direct, witnessed = map(statistics.median, seconds.values())
        say(
            f"{what:<40} direct {scale(direct):>10}   witness {scale(witnessed):>10}"
            f"   ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            f"   processor {1000 * own / count:.1f} ms each"
        )

    def _pull(self, address: RegistryAddress, path: str, count: int, verify: str) -> float:
        arguments = [address.host, str(address.port), self._bundle, self._authorization, path, str(count), verify]
        done = subprocess.run([sys.executable, "-c", PULLER, *arguments], check=True, capture_output=True, text=True)
        return float(done.stdout)


class WitnessMemory(threading.Thread):
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


def push(registry: PrivateRegistry, mib: int) -> str:
    """Put the large blob into the registry; return its path."""
    block, running = os.urandom(MIB), hashlib.sha256()
    for _ in range(mib):
        running.update(block)
    digest = f"sha256:{running.hexdigest()}"
    registry.client().push_blob("bench/blob", digest, mib * MIB, (block for _ in range(mib)))
    return f"/v2/bench/blob/blobs/{digest}"


def headers(password: str, dice: random.Random) -> list[bytes]:
    """Return what pulls could present for a password: one change, two of them, and something that nothing explains."""
    configured, values = Context(password, "user", "old", "other"), [b"unknown " + password.encode()[::-1]]
    while len(values) < PULLS_EACH:
        made = dice.choice(TRANSFORMS).apply(configured) or b""
        values += [made, dice.choice(TRANSFORMS).apply(configured.holding(made)) or b""]
    return [b"Basic " + base64.b64encode(b"user:" + value) for value in values[:PULLS_EACH]]


def classify() -> None:
    """Print how long pulls take to be classified: of this thread's own time, and on the clock.

    The clock goes on while the machine does something else; how often, an idle loop of the same length shows.
    """
    dice, passwords = random.Random(1), pool()  # noqa: S311 - examples, not secrets
    clock, own, idle = [], [], []
    for number in range(ACCOUNTS):
        password = passwords[number % len(passwords)] if number % 2 else dense(1000 + number)
        ready = prepare(Configured("user", password, "old", "other"))
        for header in headers(password, dice):
            spent, began = time.thread_time_ns(), time.perf_counter_ns()
            ready.classify(header)
            ended, used = time.perf_counter_ns(), time.thread_time_ns()
            clock.append(ended - began)
            own.append(used - spent)
            began = time.perf_counter_ns()
            for _ in range(IDLE_TURNS):
                pass
            idle.append(time.perf_counter_ns() - began)
    say(f"{'classification of a pull':<40} {len(clock)} pulls of {ACCOUNTS} accounts; µs")
    for what, found in (("own time", own), ("on the clock", clock), ("an idle loop, on the clock", idle)):
        found.sort()
        of_all = {share: found[int(len(found) * share)] / 1000 for share in (0.5, 0.9999)}
        say(f"  {what:<38} median {of_all[0.5]:.1f}   99.99 % {of_all[0.9999]:.1f}   longest {found[-1] / 1000:.1f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the large blob")
    mib = parser.parse_args().mib
    classify()
    with (
        PrivateRegistry(connect(say), say=say) as registry,
        Witness(registry) as witness,
        witness.account() as account,
        tempfile.NamedTemporaryFile("w", suffix=".pem") as bundle,
    ):
        bundle.write(witness.authority.pem)
        bundle.flush()
        pair = f"{account.username}:{account.password}".encode()
        pulls = Pulls(witness, Path(bundle.name), f"Basic {base64.b64encode(pair).decode()}")
        blob, megabytes = push(registry, mib), mib * MIB / 1e6
        memory = WitnessMemory()
        memory.start()
        pulls.compare(f"{mib} MiB, digest verified", blob, 1, "verify", lambda s: f"{megabytes / s:.0f} MB/s")
        pulls.compare(f"{mib} MiB, thrown away", blob, 1, "", lambda s: f"{megabytes / s:.0f} MB/s")
        memory.over.set()
        say(f"{'memory growth of the witness process':<40} {(memory.peak - memory.first) / MIB:.0f} MiB")
        per_second = lambda s: f"{SMALL_REQUESTS / s:.0f}/s"  # noqa: E731 - a format
        pulls.compare("small requests, one kept connection", "/v2/", SMALL_REQUESTS, "", per_second)
        slow = max(witness.pulls(), key=lambda pull: pull.seconds)
        say(f"{'requests recorded':<40} {len(witness.pulls())}, the longest {slow.seconds:.1f} s")


if __name__ == "__main__":
    try:
        main()
    except EngineUnavailable as error:
        sys.stderr.write(f"bench: {error}\n")
        sys.exit(4)
