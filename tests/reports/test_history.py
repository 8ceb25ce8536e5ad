from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reports import finish, history, results, trend, trend_page
from reports.journal import Journal
from reports.leaks import Gate
from reports.records import Moment
from reports.verdicts import Verdict
from tests.reports import samples
from tests.reports.conftest import MakeRun


def ended(make_run: MakeRun, file: Path, number: int) -> Path:
    """Return a run that was ended with a history, with its id as the harness makes it."""
    run = make_run(())
    run = run.rename(run.with_name(f"2026112{number}-030000-0000"))
    records = samples.one_of_each()
    (run / "journal.ndjson").unlink()
    with Journal(run / "journal.ndjson") as journal:
        for record in (samples.started(run_id=run.name), *records[1:-1]):
            journal.write(record)
    finish.finish(run, samples.finished(), Gate([]), history=file)
    return run


def test_nights_are_compared_where_the_folder_of_runs_is_thrown_away(make_run: MakeRun, tmp_path: Path) -> None:
    """A build server that keeps one file only sees since which night a cause is there, and the trend."""
    folder = tmp_path / "cache"
    folder.mkdir()
    file = history.file_at(folder)
    assert history.file_at(file) == file
    shutil.rmtree(ended(make_run, file, 1))
    shutil.rmtree(ended(make_run, file, 2))
    last = ended(make_run, file, 3)

    assert "20261121-030000-0000" in (last / "report.html").read_text("utf-8")
    nights = trend.load(last.parent.parent, history=file)
    assert [run.started.run_id[:8] for run in nights.runs] == ["20261121", "20261122", "20261123"]
    assert nights.history("REPAVE-03")[0] == results.load(last).requirements[1].verdict
    assert nights.red_since("REPAVE-03") == "20261121-030000-0000"


def test_a_night_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    """A full disk ends one night in the middle of its line; the next one stands on a line of its own."""
    (file := tmp_path / "file").write_bytes(b'{"started":')
    night = results.of((samples.started(), samples.finished()))
    history.append(file, night)

    assert [kept.started.run_id for kept in history.read(file)] == [night.started.run_id]


def test_a_night_keeps_how_long_deployments_and_repaves_took(tmp_path: Path) -> None:
    """The trend shows both, whether a night is read from its folder or from the history file."""
    boots = ((0, "api", "", "deploy: v1"), (3, "host", "edge-1", "boots v1, active"))
    moments = tuple(Moment(time=samples.at(at), lane=lane, host=host, label=label) for at, lane, host, label in boots)
    night = results.of((samples.started(), samples.case(Verdict.PASS, timeline=moments), samples.finished()))
    history.append(tmp_path / "file", night)

    for kept in (night, *history.read(tmp_path / "file")):
        assert [(plot.title, plot.last) for plot in trend_page.plots(trend.Trend((kept,)))[2:]] == [
            ("Median deploy", "3.0 s")
        ]


def test_a_night_is_a_few_kilobytes(tmp_path: Path) -> None:
    """A year of nights stays small: what pulls presented and hosts said is not kept."""
    history.append(tmp_path / "file", results.of(samples.many(135)))

    assert (tmp_path / "file").stat().st_size < 40_000


@pytest.mark.parametrize(
    "rubbish", [b"", b"x", b"[]", b"{}", b'{"cases":[1]}', b"[" * 5000, b"\xff\n", b'{"cases":1e999}']
)
def test_what_cannot_be_read_is_passed_over(tmp_path: Path, rubbish: bytes) -> None:
    """A damaged line, or no file at all, ends no run."""
    assert history.read(tmp_path / "none") == []
    (tmp_path / "file").write_bytes(rubbish + b"\n")
    history.append(tmp_path / "file", results.of(samples.all_green()))

    assert [len(night.cases) for night in history.read(tmp_path / "file")] == [8]


def test_sixty_nights_are_compared_out_of_many(tmp_path: Path) -> None:
    """However long a file grows, the last sixty runs of the kind are shown, and reading it stays quick."""
    for number in range(450):
        night = samples.started(run_id=f"2026-{number:04d}", level=("nightly", "smoke")[number % 2])
        history.append(tmp_path / "file", results.of((night, *samples.all_green(2)[1:])))
    shown = trend.load(tmp_path, history=tmp_path / "file").runs

    assert len(history.read(tmp_path / "file")) == 400
    assert [run.started.run_id for run in shown] == [f"2026-{number:04d}" for number in range(331, 450, 2)]


def test_a_run_that_did_not_end_is_not_added(tmp_path: Path) -> None:
    """A killed run leaves no line."""
    history.append(tmp_path / "file", results.of(samples.all_green()[:-1]))

    assert history.read(tmp_path / "file") == []
