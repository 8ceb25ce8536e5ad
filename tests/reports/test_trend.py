from __future__ import annotations

from dataclasses import replace

import pytest
from lxml import html

from reports import finish, results, trend, trend_page
from reports.results import Results
from reports.verdicts import Verdict
from tests.reports import samples
from tests.reports.conftest import MakeRun


def night(number: int, verdict: Verdict = Verdict.PASS, **changes: object) -> Results:
    """Return a run of one case that ended so."""
    begin = samples.started(run_id=f"night-{number}", **changes)
    return results.of((begin, samples.case(verdict), samples.finished(collected=1)))


def colours(letters: str) -> trend.Trend:
    """Return a trend of one requirement: ``F`` for a red night, ``.`` for a green one."""
    kinds = {"F": Verdict.FAIL, ".": Verdict.PASS}
    return trend.Trend(tuple(night(number, kinds[letter]) for number, letter in enumerate(letters)))


@pytest.mark.parametrize(
    ("letters", "since", "flaps"),
    [("....", "", False), ("..FF", "night-2", False), ("F.F.", "", True), (".F.F", "night-3", True)],
)
def test_first_red_night_and_flapping(letters: str, since: str, *, flaps: bool) -> None:
    """A requirement says since which night it is red, and whether it comes and goes."""
    history = colours(letters)

    assert history.red_since("DEPLOY-01") == since
    assert history.is_flapping("DEPLOY-01") is flaps


def test_only_runs_of_the_same_kind_are_compared(make_run: MakeRun) -> None:
    """A run of some cases, of a seeded fault or of another level is no night, in either direction."""
    others = ["./run conformance -- -k repave", "./run conformance -- --lab-fault x", "./run conformance"]
    runs = [make_run((samples.started(command=command), *samples.all_green()[1:])) for command in others]
    for place, run in enumerate(runs):
        run.rename(run.with_name(f"2026112{place}"))
    home = runs[0].parent.parent

    assert [run.options for run in trend.load(home).runs] == [{}]
    like = results.load(home / "runs" / "20261120")
    assert [run.options for run in trend.load(home, like=like).runs] == [{"-k": "repave"}]
    assert trend.before(home / "runs" / "20261129", night(1, level="nightly", command=others[2]))


def test_a_run_that_cannot_be_read_is_left_out(make_run: MakeRun) -> None:
    """A journal that is a directory, or gone, ends neither the trend nor a later run."""
    run = make_run(samples.all_green())
    (run.with_name("20261101") / "journal.ndjson").mkdir(parents=True)

    assert len(trend.load(run.parent.parent).runs) == 1


def test_sixty_nights_fit_on_one_page() -> None:
    """Plots, requirements and runs stand on a page of moderate size, the red requirement on top, without a script."""
    nights = colours("." * 50 + "F" * 10)
    page = trend_page.render(nights, ["night-50"], base="x/")
    document = html.document_fromstring(page.decode())
    first = next(row for table in document.iter("table") for row in table.iter("th") if row.get("class") == "id")

    assert len(page) < 300_000
    assert max(map(len, trend.render(nights).splitlines()[-12:-2])) <= 80
    assert "DEPLOY-01 " + "." * 50 + "F" * 10 + " since 51" in trend.render(nights).splitlines()
    assert not list(document.iter("script"))
    assert [len(list(plot.iter("rect"))) for plot in document.iter("svg")] == [60] * 2
    assert first.text == "DEPLOY-01"
    assert "x/night-50/report.html" in {link.get("href") for link in document.iter("a")}


def test_flapping_cases_are_listed() -> None:
    """A case that comes and goes is named, with its nights beside it; one that broke once is not."""
    name = "suites/lifecycle/test_repave.py::test_x"
    flapping = trend.Trend(
        tuple(replace(each, cases=(replace(each.cases[0], case=name),)) for each in colours("F.F.").runs)
    )

    assert flapping.flapping_cases == [name]
    assert f'<span class="node">{name}</span>' in trend_page.render(flapping).decode()
    assert colours("..FF").flapping_cases == []


def test_only_runs_that_are_there_are_links(make_run: MakeRun) -> None:
    """Every report after the first has its nights beside it; a night that only the history file has is no dead link."""
    runs = [make_run((samples.started(run_id=name), *samples.all_green()[1:])) for name in ("a", "b", "c")]
    for run, name in zip(runs, "abc", strict=True):
        run.rename(run.with_name(name))
    last = runs[0].with_name("c")
    (last.with_name("a") / "journal.ndjson").unlink()
    (last.parents[1] / "detection").mkdir()
    (last.parents[1] / "detection" / "kill-matrix.html").touch()
    finish.render(last)

    assert 'href="trend.html">Night by night' in (last / "report.html").read_text()
    for page in ("report.html", "trend.html"):
        assert 'href="../../detection/kill-matrix.html">Kill matrix' in (last / page).read_text()
    links = [str(link.get("href")) for link in html.document_fromstring((last / "trend.html").read_text()).iter("a")]
    assert [link for link in links if link.endswith("/report.html")] == [f"../{name}/report.html" for name in "ccb"]


def test_a_plot_says_in_words_what_it_shows() -> None:
    """Whoever cannot see the bars reads the last and the highest value."""
    plot = trend_page.plots(colours("..F"))[0]

    assert (plot.title, plot.last, plot.most) == ("Cases passed", "0", "1")
    assert [(bar.height, bar.tone) for bar in plot.bars] == [(100, "partial"), (100, "partial"), (0, "bad")]


def test_hostile_names_stay_text() -> None:
    """A site's name or a seed adds no element to the page and no line to the text."""
    evil = "</td><script>x</script>\n::error::owned\x1b[2J"
    nights = trend.Trend((night(1, site=evil, seed=evil),))
    content = trend_page.render(nights).decode()

    assert "<script>" not in content
    assert "\x1b" not in content + trend.render(nights)
    assert not [line for line in trend.render(nights).splitlines() if line.startswith("::")]


def test_no_run_at_all_is_told() -> None:
    """Without a run there is a line, and no page."""
    assert trend.render(trend.Trend(())) == "no run has finished yet\n"
    with pytest.raises(ValueError, match="no run has finished yet"):
        trend_page.render(trend.Trend(()))


def test_a_partial_night_is_marked() -> None:
    """A night that was interrupted says so in its line."""
    partial = replace(night(1), finished=samples.finished(collected=1, interrupted=True))

    assert "  partial\n" in trend.render(trend.Trend((partial,)))
