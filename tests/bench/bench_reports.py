"""How long reports take: ``bench_reports.py [CASES]`` (default: 2 000, of which 4 in 100 are red)."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from reports.records import Record

sys.path.insert(0, str(Path(__file__).parents[2]))  # run as a script, from anywhere

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from protected import Secret
from reports import bundle, finish, github, junit, page, results, runs, summary
from reports.journal import Journal
from reports.leaks import Gate, Protected
from tests.reports import samples


def timed(name: str, work: Callable[[], object]) -> None:
    """Do some work and print how long it took, and how large what it gave is."""
    begin = time.perf_counter()
    made = work()
    seconds = time.perf_counter() - begin
    size = f"{len(made) / 1e6:8.2f} MB" if isinstance(made, (bytes, str)) else ""
    sys.stdout.write(f"{name:<46} {seconds:8.3f} s {size}\n")


def main(cases: int) -> None:
    """Measure every report of a run of that many cases."""
    records = samples.many(cases)
    outcome = results.of(records)
    with tempfile.TemporaryDirectory() as home:
        run = runs.create(Path(home))
        timed(f"journal: write {cases} cases, each to the disk", lambda: _write(run, records[:-1]))
        timed("journal: read", lambda: results.load(run))
        timed("JUnit", lambda: junit.render(outcome))
        timed("page", lambda: page.render(outcome))
        timed("terminal summary", lambda: summary.render(outcome))
        timed("GitHub job summary", lambda: github.render(outcome))
        timed("all reports, from the journal, to the disk", lambda: finish.render(run))
        secrets = [Protected(name, Secret(f"{name}-9aTr0ub4dor&3-0123456789")) for name in ("key", "token", "password")]
        timed("end of a run: render, leak gate, render again", lambda: finish.finish(run, records[-1], Gate(secrets)))  # type: ignore[arg-type]  # the last record
        signer = Ed25519PrivateKey.generate()
        timed("certificate: write", lambda: bundle.write(run, signer).read_bytes())
        timed("certificate: verify", lambda: bundle.verify(run / runs.CERTIFICATE, signer.public_key()))


def _write(run: Path, records: tuple[Record, ...]) -> None:
    with Journal(run / "journal.ndjson") as journal:
        for record in records:
            journal.write(record)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
