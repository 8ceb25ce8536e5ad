"""Measure what more Edge hosts save: the same cases on 1, 2, 4 and 8 hosts of a lab whose deployments and repaves wait.

A deployment waits 10 seconds and a repave 12, in which no processor works, as real hosts take 10 and 12 minutes. The
cases are those of the default level that need one host: one host could not run the others.
``BENCH_CASES`` is a pytest expression that chooses among them; all of them take three quarters of an hour.

Each worker needs processor time of its own for its pulls, boots and passwords. So the number of cores bounds what is
gained. On two cores that had nothing else to do all cases took 1260, 629, 329 and 198 seconds: 8 hosts are 6.4 times as
fast as one. With other work beside them (load 7) 12 deployments took 177, 126 and 106 seconds.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import yaml

from detection.switching import collect
from engine.children import environment, tied
from engine.tempdirs import temporary_directory
from lab import control
from lab.settings import LabSettings, labs_folder

TAKES = (10.0, 12.0)
HOSTS = (1, 2, 4, 8)


def seconds_on(site: Path, hosts: int, cases: list[str], folder: Path) -> float:
    """Run the cases on so many hosts of the lab's site; the run must be green."""
    document = yaml.safe_load(site.read_text())
    document["edge_hosts"], document["examples"] = document["edge_hosts"][:hosts], 1
    part = site.with_name(f"site-{hosts}.yaml")
    part.write_text(yaml.safe_dump(document, sort_keys=False))
    command = [sys.executable, "-m", "pytest", *cases, "-q", "-p", "no:cacheprovider", "-n", "auto"]
    command += ["--site", str(part), "--runs-in", str(folder), "-k", os.environ.get("BENCH_CASES", "")]
    began = time.perf_counter()
    done = subprocess.run(tied(command), cwd=ROOT, check=False, capture_output=True, text=True, env=environment())
    if done.returncode:
        sys.exit(f"the run on {hosts} hosts ended with {done.returncode}:\n{done.stdout[-3000:]}")
    return time.perf_counter() - began


def main() -> None:
    """Print how long the cases take, and how many times as fast as on one host that is."""
    cases = [case.id for case in collect() if case.hosts == 1]
    settings = LabSettings(labs_folder() / f"lab-{secrets.token_hex(3)}", max(HOSTS), takes=TAKES)
    lab = control.start(settings, lambda _message: None)
    try:
        with temporary_directory("bench") as folder:
            one = 0.0
            for hosts in HOSTS:
                seconds = seconds_on(lab.site_file, hosts, cases, folder)
                one = one or seconds
                print(f"{hosts} hosts: {seconds:7.1f} s, {one / seconds:4.2f} times as fast as one")
    finally:
        lab.stop()


if __name__ == "__main__":
    try:
        main()
    except control.LabFailed as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(4)
