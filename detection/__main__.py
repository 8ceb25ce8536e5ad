"""``python -m detection``: the kill matrix, in ``reports/detection/kill-matrix.html``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from detection import infrastructure, odds
from detection.matrix import SEED, Detection, choose, random_ones
from detection.outages import OUTAGES
from detection.random_faults import FAMILY
from detection.switching import NoCasesError, collect
from engine import ownership
from engine.debian import BuildFailed, ProgramMissing
from engine.reach import EngineUnavailable, connect
from engine.tempdirs import of_user
from engine.trouble import TROUBLE
from foreign.arguments import Parser, from_one
from harness.levels import DEFAULT, NIGHTLY
from lab.control import LabFailed
from lab.faults import UnknownFault
from lab.kubernetes import programs
from reports import infrastructure as outage_pages
from reports import kill_matrix, runs
from reports.infrastructure import Infrastructure
from reports.kill_matrix import Matrix
from reports.text import duration, visible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detection.matrix import Wanted
    from reports.kill_matrix import Row

UNPROVEN, INTERRUPTED, BAD_SETUP = 1, 2, 4
HOME = runs.HOME / "detection"
_OUTAGES = ", ".join(outage.name for outage in OUTAGES)


def main(arguments: list[str] | None = None) -> int:
    """Make the matrix; 0 when every fault was caught, every requirement made to fail, and nothing healthy blamed."""
    asked = _parser().parse_args(arguments)
    if wrong := infrastructure.unknown(asked.outage):
        sys.stderr.write(visible(f"detection: --outage {wrong[0]}: there is no such outage; there are: {_OUTAGES}\n"))
        return BAD_SETUP
    try:
        asked.to.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=asked.to).close()  # not only after hours
    except OSError as error:
        sys.stderr.write(visible(f"detection: --to {asked.to}: {error.strerror}; name a directory of yours\n"))
        return BAD_SETUP
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # labs and pytests are taken along
    try:
        matrix = _try_outages(asked) if asked.infrastructure or asked.outage else _make(asked)
    except (UnknownFault, NoCasesError, EngineUnavailable, LabFailed, ProgramMissing, BuildFailed, *TROUBLE) as error:
        sys.stderr.write(visible(f"detection: {error}\n"))
        return BAD_SETUP
    except KeyboardInterrupt:
        sys.stderr.write("detection: interrupted; no matrix is written\n")
        return INTERRUPTED
    written = write(matrix, asked.to)
    _conclude(matrix, written)
    return UNPROVEN if matrix.problems else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="./run detection", description=__doc__)
    parser.add_argument("--fault", action="append", default=[], metavar="NAME", help="this fault only; repeatable")
    parser.add_argument(
        "--lab-fault", action="append", default=[], metavar="FILE.py[:NAME]", help="a fault of a file, or all it has"
    )
    parser.add_argument("--random", type=from_one, metavar="N", help="N faults made at random with --seed")
    parser.add_argument(
        "--level", choices=(DEFAULT, NIGHTLY), default=DEFAULT, help="the level of the cases (default: %(default)s)"
    )
    parser.add_argument(
        "--full",
        action=argparse.BooleanOptionalAction,
        help="every case for every fault, not only those that claim it; the default for faults from a file",
    )
    parser.add_argument(
        "--infrastructure", action="store_true", help="the infrastructure matrix instead: outages by kinds of case"
    )
    parser.add_argument(
        "--outage", action="append", default=[], metavar="NAME", help="this outage of it only; repeatable"
    )
    parser.add_argument(
        "--thorough", action="store_true", help=f"{odds.SEEDS} seeds for each changed password, 20 healthy runs"
    )
    parser.add_argument("--seeds", type=from_one, default=odds.SEEDS, help="seeds of --thorough (default %(default)s)")
    parser.add_argument("--healthy-runs", type=int, help="runs of the healthy lab, each with a seed of its own")
    parser.add_argument("--labs", type=from_one, default=3, help="labs that run at the same time (default 3)")
    parser.add_argument("--lab-kubernetes", action="store_true", help="the labs' clusters run a real Kubernetes")
    parser.add_argument("--seed", type=int, default=SEED, help=f"the seed of all cases (default {SEED})")
    parser.add_argument("--suites", action="append", metavar="PATH", help="a folder or file of cases, wherever it is")
    parser.add_argument("--to", type=Path, default=HOME, help="the directory for the matrix")
    return parser


def _make(asked: argparse.Namespace) -> Matrix:
    kubernetes = programs.provide(_say) if asked.lab_kubernetes else None
    wanted = random_ones(asked.random, asked.seed) if asked.random else []
    if asked.fault or asked.lab_fault or not wanted:
        wanted += choose(asked.fault, asked.lab_fault, full=asked.full)
    suites = tuple(asked.suites or ["suites"])
    cases = collect(suites, asked.level)
    ownership.sweep(connect(_say, provision=True), _say)
    whole = not (asked.fault or asked.lab_fault or asked.suites or asked.random)
    area = of_user("detection") / f"matrix-{os.getpid()}"
    healthy_runs = (20 if asked.thorough else 1) if asked.healthy_runs is None else asked.healthy_runs
    detection = Detection(
        wanted, cases, area, _say, _tell, labs=asked.labs, seed=asked.seed, whole=whole,
        seeds=asked.seeds if asked.thorough else 0, suites=suites, healthy_runs=healthy_runs,
        level=asked.level, kubernetes=kubernetes,
    )  # fmt: skip
    _say(f"{len(wanted)} faults, {len(cases)} cases, {asked.labs} labs; pytest's own words are in {area}")
    matrix = detection.make()
    _keep_survivors(matrix, wanted, asked.to / "survivors")
    if not matrix.problems and "KEEP_DETECTION_RUNS" not in os.environ:
        shutil.rmtree(area, ignore_errors=True)
    return matrix


def _keep_survivors(matrix: Matrix, wanted: Sequence[Wanted], folder: Path) -> None:
    """Write each random fault that survived as a fault file, and say how to try it again."""
    sources = {each.fault.name: str(each.specification.get("source")) for each in wanted}
    for row in matrix.survivors:
        if row.family == FAMILY:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{row.fault}.py").write_text(sources[row.fault])
            _say(f"try it again: ./run detection --seed {matrix.seed} --lab-fault {folder / row.fault}.py")


def _try_outages(asked: argparse.Namespace) -> Infrastructure:
    ownership.sweep(connect(_say, provision=True), _say)
    wanted = infrastructure.chosen(asked.outage)
    area = of_user("detection") / f"outages-{os.getpid()}"
    _say(f"{len(wanted)} cells, {asked.labs} labs; pytest's own words are in {area}")
    trial = infrastructure.Trial(wanted, area, lambda cell: _say(outage_pages.line(cell)), labs=asked.labs)
    matrix = trial.make()
    if not matrix.problems and "KEEP_DETECTION_RUNS" not in os.environ:
        shutil.rmtree(area, ignore_errors=True)
    return matrix


def write(matrix: Matrix | Infrastructure, home: Path) -> list[Path]:
    """Write a matrix as JSON and as a page; return the files. Runs of the suites keep their directories."""
    home.mkdir(parents=True, exist_ok=True)
    links = runs.links(home.parent, home)
    if isinstance(matrix, Infrastructure):
        page = outage_pages.render(matrix, links)
        contents = {outage_pages.JSON: outage_pages.to_json(matrix), outage_pages.PAGE: page}
    else:
        contents = {kill_matrix.JSON: kill_matrix.to_json(matrix), kill_matrix.PAGE: kill_matrix.render(matrix, links)}
    for name, content in contents.items():
        runs.write(home / name, content)
    return [home / name for name in contents]


def _say(message: str) -> None:
    sys.stdout.write(visible(f"{message}\n"))
    sys.stdout.flush()


def _tell(row: Row) -> None:
    _say(kill_matrix.line(row))


def _conclude(matrix: Matrix | Infrastructure, written: list[Path]) -> None:
    for problem in matrix.problems:
        _say(problem)
    for row in matrix.rows if isinstance(matrix, Matrix) else ():
        if row.is_caught and row.missed:
            _say(f"note: {row.fault} is also claimed by {', '.join(row.missed)}, which did not notice")
    seed = f" · seed {matrix.seed}" if isinstance(matrix, Matrix) else ""
    _say(f"{matrix.sentence} · {duration(matrix.seconds)}{seed}")
    _say(f"{written[-1]}")


if __name__ == "__main__":
    sys.exit(main())
