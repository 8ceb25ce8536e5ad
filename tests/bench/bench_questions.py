"""What it costs a run of the default level to ask, before a verdict, whether everything was alive.

The run is a whole one on a healthy lab, in which this file is a plugin of pytest that counts. ``BENCH_CASES`` is a
pytest expression that chooses among the cases.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from collections.abc import Callable

from engine.tempdirs import temporary_directory
from harness import liveness
from harness.sites import site
from reports import journal
from reports.records import CaseFinished

#: The variable that names the directory in which each process of the run writes what it counted.
PLACE = "BENCH_QUESTIONS"
#: A run of the default level may spend this share of its time in the questions, in per cent.
LIMIT = 3.0


def counted(ask: Callable[..., list[str]], seconds: list[float]) -> Callable[..., list[str]]:
    """Return the question, which adds how long it took whatever comes of it."""

    @functools.wraps(ask)
    def asked(*words: Any, **named: Any) -> list[str]:  # noqa: ANN401 - as it was
        began = time.perf_counter()
        try:
            return ask(*words, **named)
        finally:
            seconds.append(time.perf_counter() - began)

    return asked


def pytest_configure(config: Any) -> None:  # noqa: ANN401 - pytest's type differs in workers
    """Count in this process, and write the seconds at its end."""
    seconds: list[float] = []
    site.hosts_gone = counted(site.hosts_gone, seconds)  # type: ignore[attr-defined] # where it is asked
    liveness.Liveness.look = counted(liveness.Liveness.look, seconds)  # type: ignore[method-assign]
    written = Path(os.environ[PLACE]) / f"{os.getpid()}.seconds"
    config.add_cleanup(lambda: written.write_text(" ".join(map(str, seconds))))


def main() -> None:
    """Run, and print the share of the questions in the time of the cases."""
    command = [sys.executable, "-m", "pytest", "suites", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "tests.bench.bench_questions", "-k", os.environ.get("BENCH_CASES", "")]
    with temporary_directory("bench") as folder:
        began = time.perf_counter()
        done = subprocess.run([*command, "--runs-in", str(folder)], cwd=ROOT, check=False, capture_output=True,
                              text=True, env={**os.environ, PLACE: str(folder)})  # fmt: skip
        took = time.perf_counter() - began
        if done.returncode:  # it has asked all the more
            print(f"the run ended with {done.returncode}:\n{done.stdout[-3000:]}")
        asked = [float(word) for file in folder.glob("*.seconds") for word in file.read_text().split()]
        (run,) = folder.glob(f"runs/*/{journal.FILE_NAME}")
        cases = [each.seconds for each in journal.read(run).records if isinstance(each, CaseFinished)]
    print(f"{len(cases)} cases in {took:.1f} s, {sum(cases):.1f} s of all workers; {len(asked)} questions")
    print(f"{'the questions took':<44} {sum(asked):7.2f} s, {100 * sum(asked) / sum(cases):.2f} % (limit {LIMIT:g} %)")


if __name__ == "__main__":
    main()
