"""The infrastructure matrix: outages are tried on labs, cell by cell, and read from the journals of their runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from detection.labs import end
from detection.outages import BEGUN, KINDS, OUTAGES, CaseKind, Outage, cell_of
from detection.switching import ROOT
from engine.children import environment, tied
from lab import control
from lab.settings import LabSettings, labs_folder
from reports import journal
from reports.infrastructure import Infrastructure, OutageCell
from reports.records import CaseFinished, utc
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: Time-outs of a lab's site, in seconds. A healthy lab has time on a busy machine, too; once an outage began no wait is
#: longer than ``detection.outages.LONGEST``, for how long a case waits in vain is not what is tried.
TIMEOUTS = {
    "cluster_running": 150.0, "repave": 150.0, "repave_pending": 15.0, "cluster_deleted": 4.0, "outage": 3.0,
    "force_delete_after": 2.0, "edge_host_ready": 12.0, "connect": 2.0, "answer": 3.0,
}  # fmt: skip
#: Seconds that one case and the healing after it may take before its pytest is ended.
PATIENCE = 300.0
LOOK = 0.5
HOSTS = 2


def chosen(names: Sequence[str]) -> list[tuple[Outage, CaseKind]]:
    """Return the cells of these outages, or all; with the case of each kind without any outage."""
    outages = [outage for outage in OUTAGES if not names or outage.name in names or not outage.takes]
    return [(outage, kind) for outage in outages for kind in KINDS if kind.concerns(outage)]


def unknown(names: Sequence[str]) -> list[str]:
    """Return the names that are no outage's."""
    return [name for name in names if name not in {outage.name for outage in OUTAGES}]


@dataclass
class Trial:
    """One making of the matrix, on several labs; ``tell`` takes each cell as soon as it is known."""

    wanted: Sequence[tuple[Outage, CaseKind]]
    area: Path
    tell: Callable[[OutageCell], None]
    labs: int = 2
    _cells: dict[str, OutageCell] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def make(self) -> Infrastructure:
        """Try every cell. Raises KeyboardInterrupt, LabFailed; labs are taken down whatever happens."""
        began, started = time.monotonic(), utc()
        names = list(dict.fromkeys(outage.name for outage, _kind in self.wanted))
        shares = [set(names[number :: self.labs]) for number in range(min(self.labs, len(names)))]
        failures: list[BaseException] = []
        threads = [threading.Thread(target=self._work, args=(*each, failures)) for each in enumerate(shares)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]
        cells = tuple(
            self._cells.get(f"{outage.name}/{kind.name}") or OutageCell(outage=outage.name, kind=kind.name)
            for outage, kind in self.wanted
        )
        return Infrastructure(started=started, seconds=round(time.monotonic() - began, 1), cells=cells)

    def _work(self, number: int, names: set[str], failures: list[BaseException]) -> None:
        left = {f"{outage.name}/{kind.name}" for outage, kind in self.wanted if outage.name in names}
        try:
            while left and not self._stop.is_set() and not failures:  # a lab that does not heal is replaced
                done = self._on_a_lab(number, left)
                left = left - done if done else set()
        except BaseException as error:  # noqa: BLE001 - raised again where it can be seen
            failures.append(error)

    def _on_a_lab(self, number: int, left: set[str]) -> set[str]:
        name = f"outages-{os.getpid()}-{number}-{time.monotonic_ns() % 10**6}"
        lab = control.start(LabSettings(labs_folder() / name, HOSTS), lambda _said: None)
        home = self.area / name
        home.mkdir(parents=True)
        command = [sys.executable, "-m", "pytest", "suites/lifecycle", "suites/credentials", "suites/validation"]
        command += ["-q", "-n", "0", "-p", "no:cacheprovider", "-p", "detection.outages", "--runs-in", str(home)]
        command += ["--outages-lab", str(lab.settings.folder), "--outages-timeouts", json.dumps(TIMEOUTS)]
        command += ["--no-provision", "--hypothesis-seed", "634"]
        command += [word for cell in sorted(left) for word in ("--outages-of", cell)]
        try:
            with (home / "pytest.txt").open("w") as output:
                process = subprocess.Popen(
                    tied(command), cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
                    env=environment(),
                )  # fmt: skip
                return self._follow(process, home)
        finally:
            lab.stop()

    def _follow(self, process: subprocess.Popen[bytes], home: Path) -> set[str]:
        done: set[str] = set()
        deadline = time.monotonic() + PATIENCE
        try:
            while process.poll() is None and time.monotonic() < deadline and not self._stop.wait(LOOK):
                if new := self._read(home) - done:
                    done |= new
                    deadline = time.monotonic() + PATIENCE
        finally:
            end(process)
        if not (done := done | self._read(home)) and process.returncode == ExitCode.SETUP:
            raise control.LabFailed(f"pytest refused to begin; {home / 'pytest.txt'} says why")
        return done

    def _read(self, home: Path) -> set[str]:
        found = {}
        for file in home.glob(f"runs/*/{journal.FILE_NAME}"):
            for record in journal.read(file).records:
                if isinstance(record, CaseFinished) and (name := cell_of(record.case)):
                    found[name] = record
        with self._lock:
            for name, record in found.items():
                if name not in self._cells:
                    self._cells[name] = cell(name, record)
                    self.tell(self._cells[name])
        return set(found)


def cell(name: str, record: CaseFinished) -> OutageCell:
    """Return what a case says, as a cell of the matrix."""
    outage, _, kind = name.partition("/")
    happened = next(each for each in OUTAGES if each.name == outage)
    right = (Verdict.PASS,) if not happened.takes else (Verdict.DEAD, *([Verdict.PASS] * happened.survivable))
    return OutageCell(
        outage=outage,
        kind=kind,
        verdict=record.verdict.value,
        right=tuple(verdict.value for verdict in right),
        case=record.case,
        observed=record.observed or record.reason,
        seconds=round(record.seconds, 1),
        begun=any(note.startswith(BEGUN) for note in record.notes),
    )
