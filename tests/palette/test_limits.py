"""Request rates: which one counts, and that all processes of a machine keep it together."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from palette import Limits
from palette.clock import Clock
from palette.limits import OTHER, PUBLISHED, rate_for
from tests.palette.conftest import SteppedClock
from tests.palette.openapi import REPOSITORY


@pytest.mark.parametrize(
    ("path", "resource", "per_second"),
    [
        ("/v1/clusterprofiles", "/v1/clusterprofiles", 50),
        ("/v1/clusterprofiles/x/packs/y", "/v1/clusterprofiles", 50),
        ("/v1/cloudconfigs/edge-native/c", "/v1/cloudconfigs", 50),
        ("/v1/spectroclusters", "/v1/spectroclusters", 50),
        ("/v1/spectroclusters/edge-native", "/v1/spectroclusters/:uid", 10),
        ("/v1/spectroclusters/c/status", "/v1/spectroclusters/:uid", 10),
        ("/v1/spectroclusters/c/profiles", "/v1/spectroclusters/:uid/profiles", 50),
        ("/v1/spectroclusters/c/assets/kubeconfig", "/v1/spectroclusters/:uid", 10),
        ("/v1/spectroclusters/c/download", "/v1/spectroclusters/:uid", 10),
        ("/v1/events/components/spectrocluster/c", "/v1/events/components", 50),
        ("/v1/edgehosts/h", "/v1/edgehosts", 10),
        ("/v1/dashboard/edgehosts/search", "/v1/dashboard", 10),
        ("/v1/tenants/t/macros", OTHER, 10),
        ("/v1/clusterprofilesX", OTHER, 10),
    ],
)
def test_the_rate_of_the_nearest_resource_counts(path: str, resource: str, per_second: float) -> None:
    """A request counts for the most exact published resource, and a burst is five seconds' worth."""
    rate = rate_for(path)

    assert (rate.resource, rate.per_second, rate.burst) == (resource, per_second, per_second * 5)


def test_a_burst_is_free_and_then_the_rate_is_kept(stepped: SteppedClock) -> None:
    """Fifty requests go at once, every further one a tenth of a second later."""
    limits = Limits(share=1.0)

    waits = [limits.take("/v1/edgehosts", stepped.clock) for _ in range(53)]

    assert waits[:50] == [0.0] * 50
    assert waits[50:] == pytest.approx([0.1] * 3)


def test_rest_refills_the_burst(stepped: SteppedClock) -> None:
    """After five seconds without requests the whole burst is there again, and not more."""
    limits = Limits(share=1.0)
    for _ in range(50):
        limits.take("/v1/edgehosts", stepped.clock)
    stepped.time += 3600

    assert [limits.take("/v1/edgehosts", stepped.clock) for _ in range(51)][-2:] == pytest.approx([0.0, 0.1])


def test_resources_do_not_slow_each_other(stepped: SteppedClock) -> None:
    """Each resource has a bucket of its own."""
    limits = Limits(share=1.0)
    for _ in range(51):
        limits.take("/v1/edgehosts", stepped.clock)

    assert limits.take("/v1/packs/search", stepped.clock) == 0.0


def test_a_share_leaves_the_rest_to_others(stepped: SteppedClock) -> None:
    """With half a share, half the burst and half the rate are used."""
    limits = Limits(share=0.5)

    waits = [limits.take("/v1/edgehosts", stepped.clock) for _ in range(26)]

    assert waits[24:] == pytest.approx([0.0, 0.2])


@pytest.mark.parametrize("share", [0.0, -1.0, 1.1, float("nan")])
def test_a_share_that_cannot_work_is_refused(share: float) -> None:
    """A share is above zero and at most one."""
    with pytest.raises(ValueError, match=r"Limits\.share"):
        Limits(share=share)


def test_no_limit_is_possible(stepped: SteppedClock) -> None:
    """An endpoint of one's own need not be spared."""
    assert sum(Limits.none().take("/v1/edgehosts", stepped.clock) for _ in range(1000)) == 0


TAKE = """
import json, sys
from pathlib import Path
from palette.clock import Clock
from palette.limits import Limits, Rate
limits = Limits(Path(sys.argv[1]), share=1.0, rates=(Rate("/v1", 0.001),))
clock = Clock(sleep=lambda seconds: None)
print("ready", flush=True)
sys.stdin.readline()
print(json.dumps([limits.take("/v1/x", clock) for _ in range(2000)]))
"""


def test_processes_share_one_bucket(tmp_path: Path) -> None:
    """Processes that ask at the same moment are put one behind the other; no two get the same place."""
    command = [sys.executable, "-c", TAKE, str(tmp_path)]
    running = [_started(command) for _ in range(3)]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    outputs = [process.communicate(timeout=60)[0] for process in _all_started(running)]
    waits = sorted(wait for output in outputs for wait in json.loads(output))

    # One request every 1000 s: each of the 6000 waits about 1000 s longer than the one before it.
    assert min(later - sooner for sooner, later in pairwise(waits)) > 500
    assert len(waits) == 6000


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _all_started(running: list[subprocess.Popen[str]]) -> list[subprocess.Popen[str]]:
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return running


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 16, b"\0" * 7, struct.pack("<dd", -1e300, 0.0)])
def test_a_damaged_level_counts_as_full(content: bytes, tmp_path: Path, stepped: SteppedClock) -> None:
    """A state file cut short by a crash never blocks anyone."""
    (tmp_path / "palette-v1-edgehosts.rate").write_bytes(content)

    assert Limits(tmp_path).take("/v1/edgehosts", stepped.clock) == 0.0


def test_a_level_of_an_earlier_boot_counts_as_full(tmp_path: Path, stepped: SteppedClock) -> None:
    """The monotonic clock starts anew with the machine; a level from "later" is an old one."""
    for _ in range(60):
        Limits(tmp_path).take("/v1/edgehosts", Clock(now=lambda: 1e9, sleep=lambda _: None))

    assert Limits(tmp_path).take("/v1/edgehosts", stepped.clock) == 0.0


def test_a_link_in_place_of_the_state_is_not_followed(tmp_path: Path, stepped: SteppedClock) -> None:
    """A link that somebody laid into the directory does not make the client write elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("keep")
    Path(tmp_path / "palette-v1-edgehosts.rate").symlink_to(victim)

    with pytest.raises(OSError, match="symbolic link"):
        Limits(tmp_path).take("/v1/edgehosts", stepped.clock)
    assert victim.read_text() == "keep"


def test_every_published_resource_is_listed_once() -> None:
    """The table holds no resource twice."""
    assert len({rate.resource for rate in PUBLISHED}) == len(PUBLISHED)
