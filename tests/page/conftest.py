"""A real Chromium: Debian's, without a screen, driven by Playwright's Python package.

Without the browser the tests are skipped, visibly; with ``PAGE_TESTS=required`` (as CI sets it) they fail.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from reports import kill_matrix, page, results, trend, trend_page
from reports.records import EventRow
from reports.verdicts import Verdict
from tests.reports import samples

OpenPage = Callable[..., Page]

CALM = (
    "--no-sandbox",  # CI runs as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found:
        return found
    reason = "no chromium on PATH; install it with 'apt-get install chromium'"
    if os.environ.get("PAGE_TESTS") == "required":
        pytest.fail(f"PAGE_TESTS=required, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start the browser once; it keeps nothing and asks nobody."""
    executable = _chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(CALM))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Render one page of each kind: all red, all green, some red, big, partial, dead, hostile; a trend, a matrix."""
    home = tmp_path_factory.mktemp("pages")
    (home / "journal.txt").write_text("edge-1 agent[412]: pulling provider/ubuntu-k3s:v1\n" * 60, encoding="utf-8")
    hostile = '"><b>x</b>' + "W" * 300 + "\u202e\0"
    long = samples.failing(
        title=hostile,
        vector=hostile,
        vector_class=hostile,
        hosts=(hostile,),
        observed=hostile,
        story=(hostile,),
        reproduce=hostile,
        attachments=("journal.txt", hostile),
        notes=(hostile,),
        pulls=(replace(samples.pulls()[0], puller=hostile, repository=hostile, presented=hostile, host=hostile),),
        timeline=tuple(replace(moment, label=hostile, host=hostile) for moment in samples.timeline()),
        events=(EventRow(time=hostile, severity=hostile, reason=hostile, message=hostile),),
    )
    many = [pull for n in range(12) for pull in samples.pulls(begin=n * 4)]
    course = samples.failing(pulls=(*many, *samples.pulls("base64-decoded", 401, 48)), timeline=())
    earlier = [results.of(samples.all_green())] * 3
    runs = {
        "red": samples.one_of_each(),
        "green": samples.all_green(),
        "some": samples.many(60, red_every=10),
        "many": samples.many(500),
        "course": (samples.started(), course, samples.finished()),
        "partial": (*samples.all_green()[:-1], samples.finished(collected=8, deselected=69)),
        "dead": (samples.started(), samples.case(Verdict.DEAD, reason="host edge-2 is gone"), samples.finished()),
        "interrupted": samples.all_green()[:-1],
        "hostile": (samples.started(site=hostile, facts={hostile: hostile}), long, samples.finished()),
    }
    for name, records in runs.items():
        (home / f"{name}.html").write_bytes(page.render(results.of(records), earlier, attachments=home))
    nights = [results.of(samples.one_of_each()), *[results.of(samples.all_green())] * 58, results.of(runs["some"])]
    (home / "trend.html").write_bytes(trend_page.render(trend.Trend(tuple(nights))))
    cells = (kill_matrix.Cell(requirement="DEPLOY-01", verdict="fail", observed=hostile),)
    row = kill_matrix.Row(fault="x", family="api", because=hostile, claims=("DEPLOY-01", "TLS-02"), cells=cells)
    known = kill_matrix.Row(fault="y", change="decoded", road="by-node", because=hostile, claims=("TLS-02",))
    matrix = kill_matrix.Matrix(
        started=samples.at(0), requirements={entry.id: entry.claim for entry in samples.REQUIREMENTS}, rows=(row, known)
    )
    (home / "matrix.html").write_bytes(kill_matrix.render(matrix, [("Latest report", "x")]))
    return home


@pytest.fixture
def open_page(browser: Browser, pages: Path) -> Iterator[OpenPage]:
    """Yield a function that opens a page; whatever the console complains of in between fails the test."""
    contexts, complaints = [], []

    def open_(name: str, *, width: int = 1200, height: int = 900, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)  # type: ignore[arg-type]  # passed on
        contexts.append(context)
        opened = context.new_page()
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None)
        opened.goto((pages / f"{name}.html").as_uri())
        return opened

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
