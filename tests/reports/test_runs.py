from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from reports import finish, results, runs, trend
from reports.leaks import Gate
from tests.reports import samples
from tests.reports.conftest import MakeRun


def end(run: Path) -> Path:
    """Bring a run to its end."""
    return finish.finish(run, samples.finished(), Gate([])).run


def test_latest_names_the_run_that_finished_last(make_run: MakeRun) -> None:
    """When a run finishes, latest leads to it."""
    first, second = make_run(samples.all_green()[:-1]), make_run(samples.all_green()[:-1])

    end(second)
    end(first)
    assert (first.parent.parent / "latest").resolve() == first


def test_latest_does_not_move_to_a_run_that_is_not_finished(make_run: MakeRun) -> None:
    """A run without its last record, or without one of its reports, is never the latest."""
    good, unfinished = end(make_run(samples.all_green()[:-1])), make_run(samples.all_green()[:-1])
    finish.render(unfinished)
    pageless = make_run(samples.all_green())
    finish.render(pageless)
    (pageless / "report.html").unlink()

    for run in (unfinished, pageless):
        with pytest.raises(ValueError, match="not finished"):
            runs.point_latest_to(run)
    assert (good.parent.parent / "latest").resolve() == good


def test_latest_leads_to_the_old_run_until_it_leads_to_the_new_one(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no moment at which latest is missing: it is exchanged in one step."""
    old = end(make_run(samples.all_green()[:-1]))
    latest, seen = old.parent.parent / "latest", []
    real = Path.replace

    def watched(beside: Path, target: Path) -> Path:
        seen.append(latest.resolve())
        return real(beside, target)

    monkeypatch.setattr(Path, "replace", watched)
    new = end(make_run(samples.all_green()[:-1]))

    assert set(seen) == {old}
    assert latest.resolve() == new


def test_runs_that_finish_at_once_leave_one_whole_latest(make_run: MakeRun) -> None:
    """Runs that end at the same moment do not disturb each other; latest is one of them, and whole."""
    waiting = [make_run(samples.all_green()[:-1]) for _ in range(6)]
    with ThreadPoolExecutor() as pool:
        ended = list(pool.map(end, waiting))
    home = waiting[0].parent.parent

    assert ended == waiting
    assert runs.is_finished((home / "latest").resolve())
    assert sorted(path.name for path in home.iterdir()) == ["latest", "runs"]


def test_a_run_is_found_by_id_beginning_path_or_as_latest(make_run: MakeRun) -> None:
    """A run answers to its id, an unambiguous beginning of it, its directory, its name at its site, or latest."""
    run = end(make_run(samples.all_green()[:-1]))
    home = run.parent.parent

    for name in (run.name, run.name[:18], str(run), "latest", runs.short(run.name)):
        assert runs.find(name, home) == run


@pytest.mark.parametrize("name", ["latest", "nonsense", ""])
def test_a_run_that_does_not_exist_is_named(tmp_path: Path, name: str) -> None:
    """Looking for a run that is not there says so, and what there is."""
    with pytest.raises(runs.NoSuchRunError):
        runs.find(name, tmp_path)


def test_an_ambiguous_beginning_lists_the_candidates(make_run: MakeRun) -> None:
    """A beginning that several runs share is refused with their names."""
    first, second = make_run(samples.all_green()), make_run(samples.all_green())

    with pytest.raises(runs.NoSuchRunError, match=f"several.*{min(first.name, second.name)}"):
        runs.find(first.name[:4], first.parent.parent)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A failed write leaves the old content, and nothing beside it."""
    path = tmp_path / "report.html"
    runs.write(path, b"old")
    with pytest.raises(TypeError):
        runs.write(path, "not bytes")  # type: ignore[arg-type]  # that is the point

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_run_is_compared_with_finished_runs_of_its_own_kind(make_run: MakeRun) -> None:
    """The runs before are those of the same site and level that came to their end, oldest first."""
    real = samples.started(site="a real site")
    kinds = [samples.all_green(), samples.all_green()[:-1], (real, samples.finished()), samples.one_of_each()]
    made = [make_run(records) for records in (*kinds, samples.all_green())]
    for place, run in enumerate(made):
        made[place] = run.rename(run.with_name(f"run-{place}"))
    found = trend.before(made[-1], results.load(made[-1]))

    assert [len(outcome.red) for outcome in found] == [0, 5]
    assert trend.before(made[0], results.load(made[0])) == []
    assert len(trend.before(made[-1], results.load(made[-1]), last=1)) == 1
