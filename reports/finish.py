"""The end of a run: render, search for leaks, record, render again, and only then let ``latest`` name it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reports import bundle, github, junit, leaks, page, results, runs, trend, trend_page
from reports import history as past
from reports.journal import FILE_NAME, Journal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from reports.leaks import Gate
    from reports.records import LeakGate, RunFinished
    from reports.results import Results


@dataclass(frozen=True)
class Finished:
    """A run that has its reports: where they are, what they say, its certificate if any, and the runs before."""

    run: Path
    results: Results
    certificate: Path | None = None
    earlier: tuple[Results, ...] = ()


def finish(
    run: Path,
    ended: RunFinished,
    gate: Gate,
    *,
    signer: Ed25519PrivateKey | None = None,
    extra: Mapping[str, bytes] | None = None,
    history: Path | None = None,
) -> Finished:
    """End a run whose journal is closed: every artefact is searched before the journal says that the run ended.

    The reports are rendered before the search, so that they are searched too, and again after it, because they tell
    what it found; what was written again is searched again. With a ``signer`` a certificate is written, unless
    something leaked or a certification left something uncovered; ``extra`` are files that go into it
    (``kill-matrix.json``). ``latest`` moves last. ``history`` is a file that the run is compared with and added to.
    """
    for name, content in (extra or {}).items():
        runs.write(run / name, content)
    _write(run, replace(results.load(run), finished=ended), history)
    found = gate.search(run)
    _record(run, replace(ended, leak_gate=found))
    found = _search_again(run, gate, ended, found, render(run, history))
    certificate = None
    if signer and found.canary_found and not found.hits and not results.load(run).uncovered:
        certificate = bundle.write(run, signer)
        _search_again(run, gate, ended, found, [certificate])
    runs.point_latest_to(run)
    outcome = results.load(run)
    if history:
        past.append(history, outcome)
    return Finished(run, outcome, certificate, tuple(trend.before(run, outcome, history=history)))


def render(run: Path, history: Path | None = None, compare: Results | None = None) -> list[Path]:
    """Write all reports of a run from its journal, also of an old one; return the files.

    With ``compare`` the page compares with that run in place of the last one of the same kind.
    """
    return _write(run, results.load(run), history, compare)


def release(run: Path) -> list[Path]:
    """Put back what the leak gate withheld of a run, record that, and render again; return the files."""
    released, outcome = leaks.release(run), results.load(run)
    if outcome.finished and (gate := outcome.leak_gate):
        _record(run, replace(outcome.finished, leak_gate=replace(gate, hits=(), released=(*gate.released, *gate.hits))))
    render(run)
    return released


def _search_again(run: Path, gate: Gate, ended: RunFinished, before: LeakGate, files: list[Path]) -> LeakGate:
    found = gate.search_again(run, [run / FILE_NAME, *files], before)
    if found != before:
        _record(run, replace(ended, leak_gate=found))
    return found


def _record(run: Path, ended: RunFinished) -> None:
    with Journal(run / FILE_NAME) as journal:
        journal.write(ended)


def _write(run: Path, outcome: Results, history: Path | None = None, compare: Results | None = None) -> list[Path]:
    earlier = trend.before(run, outcome, history=history)
    matrices = runs.links(run.parent.parent, run, "Kill matrix", "Infrastructure matrix")
    contents = {
        runs.JUNIT: junit.render(outcome, earlier),
        runs.PAGE: page.render(outcome, earlier, attachments=run, compare=compare, links=matrices),
        runs.SUMMARY: github.render(outcome, earlier),
    }
    if earlier:
        there = {other.name for other in runs.every(run.parent.parent)}
        links = [("Report", runs.PAGE), *matrices]
        contents[runs.TREND] = trend_page.render(trend.Trend((*earlier, outcome)), there, base="../", links=links)
    for name, content in contents.items():
        runs.write(run / name, content)
    return [run / name for name in contents]
