from __future__ import annotations

from itertools import pairwise

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.page.conftest import OpenPage

PAGES = ["red", "green", "some", "partial", "dead", "interrupted", "hostile", "trend", "matrix"]
SIZES = {"phone": 360, "tablet": 768, "desk": 1200}
# What is wider than the window, other than what scrolls inside itself.
TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter((element) => {
  if (element.closest("pre, svg, .scroll, .unseen, .skip, details:not([open])")) return false;
  const box = element.getBoundingClientRect();
  return box.width && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((element) => element.outerHTML.slice(0, 120))"""


def rows(page: Page, table: str) -> list[list[str]]:
    """Return the visible rows of a table, cell by cell, as they stand."""
    found: list[list[str]] = page.evaluate(
        "(id) => [...document.querySelectorAll(`#${id} tbody tr`)].filter((row) => !row.hidden)"
        ".map((row) => [...row.cells].map((cell) => cell.innerText.trim()))",
        table,
    )
    return found


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", ["phone", "desk"])
def test_the_page_passes_axe(open_page: OpenPage, name: str, scheme: str, size: str) -> None:
    """Contrast, names, order and roles are right, in light and dark, on a phone and on a desk, folded and unfolded."""
    page = open_page(name, width=SIZES[size], color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")
    found = Axe().run(page)

    assert found.response["passes"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in found.response["violations"]] == []


@pytest.mark.parametrize("name", [*PAGES, "many"])
@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES.keys())
def test_nothing_is_wider_than_the_window(open_page: OpenPage, name: str, width: int) -> None:
    """No element leaves the window to the side, on any screen, folded or unfolded."""
    page = open_page(name, width=width)
    for _ in ("folded", "unfolded"):
        assert page.evaluate(TOO_WIDE) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.evaluate("document.querySelectorAll('details').forEach((fold) => (fold.open = true))")


@pytest.mark.parametrize("width", SIZES.values(), ids=SIZES.keys())
def test_no_word_of_a_picture_is_cut_or_covers_another(open_page: OpenPage, width: int) -> None:
    """In the course of a case that fails at its end the names of phases stand apart; "here" is whole, at its mark."""
    page = open_page("course", width=width)
    edges, boxes, together = page.evaluate(
        """() => { const picture = document.querySelector("svg.timeline"), at = (part) => part.getBoundingClientRect();
        const seen = [...picture.querySelectorAll(".here, .axis")].map(at).filter((box) => box.width);
        const rows = seen.map((box) => [box.left, box.right, Math.round(box.top)]);
        const here = at(picture.querySelector(".here")), ring = at(picture.querySelector(".ring"));
        return [[at(picture).left, at(picture).right], rows, here.left < ring.right && ring.left < here.right]; }"""
    )

    assert together
    assert all(edges[0] <= left and right <= edges[1] for left, right, _ in boxes)
    for row in {top for _, _, top in boxes}:
        line = sorted(box for box in boxes if box[2] == row)
        assert all(one[1] <= other[0] for one, other in pairwise(line))


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(open_page: OpenPage) -> None:
    """Requirements sort by verdict in the order of gravity, and back; the heading says which way."""
    page = open_page("red")
    heading = page.locator("#requirements-t th").first

    heading.get_by_role("button").click()
    up = [row[0] for row in rows(page, "requirements-t")]
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").click()
    down = [row[0] for row in rows(page, "requirements-t")]

    assert heading.get_attribute("aria-sort") == "descending"
    assert up == ["pass", "not covered", "known", "fixed", "dead", "vacuous", "error", "fail"]
    assert down == up[::-1]


def test_numbers_sort_as_numbers(open_page: OpenPage) -> None:
    """PW-0009 comes before PW-0010, and 9 before 10."""
    page = open_page("many")
    page.locator("#cases-t").get_by_role("button", name="Vector").click()
    names = [row[4].split("\n")[0] for row in rows(page, "cases-t")]

    assert names == [f"PW-{number:04d}" for number in range(500)]


def test_filters_narrow_what_is_shown_and_say_how_much(open_page: OpenPage) -> None:
    """Words and a verdict together choose the cases; the count follows; an emptied filter shows all again."""
    page = open_page("many")
    tools = page.locator(".tools[data-for=cases-t]")

    tools.get_by_label("Show").select_option("fail")
    assert {row[0] for row in rows(page, "cases-t")} == {"fail"}
    assert tools.locator("output").inner_text() == "20 of 500 cases"
    tools.get_by_label("Find").fill("pw-0049 REPAVE")
    assert [row[4].split("\n")[0] for row in rows(page, "cases-t")] == ["PW-0049"]
    tools.get_by_label("Find").fill("")
    tools.get_by_label("Show").select_option("")
    assert len(rows(page, "cases-t")) == 500
    assert tools.locator("output").inner_text() == "500 cases"


def test_everything_can_be_reached_by_keyboard(open_page: OpenPage) -> None:
    """Tab reaches the skip link first, then every link, field, heading and fold; Enter sorts, Space unfolds."""
    page = open_page("red")
    reached: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate(
                "document.activeElement.tagName + ':' + document.activeElement.textContent.trim().slice(0, 40)"
            )
        )
        if reached[-1].startswith("BODY"):
            break
        if reached[-1] == "BUTTON:Verdict":
            page.keyboard.press("Enter")
        if reached[-1].startswith("SUMMARY:What each pull"):
            page.keyboard.press("Space")

    assert reached[0] == "A:Skip to the report"
    kinds = {entry.split(":")[0] for entry in reached}
    assert {"A", "BUTTON", "SUMMARY", "INPUT", "SELECT", "PRE"} <= kinds
    assert page.locator("#requirements-t th[aria-sort]").count() == 1
    assert page.locator("details[open]").count() == 1


def test_the_page_reads_without_a_script(open_page: OpenPage) -> None:
    """With scripts off every requirement, case and report is there; only sorting and filtering are not offered."""
    page = open_page("red", java_script_enabled=False)

    assert page.locator("#requirements-t tbody tr").count() == 8
    assert page.locator("article").count() == 5
    assert page.locator("article pre").first.is_visible()
    assert not page.locator(".tools").first.is_visible()
    assert page.locator("th button").count() == 0


def test_the_line_to_reproduce_can_be_copied(open_page: OpenPage) -> None:
    """One button puts the line to reproduce a failure on the clipboard."""
    page = open_page("red", permissions=["clipboard-read", "clipboard-write"])
    page.locator("button.copy").first.click()
    page.get_by_text("Copied").wait_for()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "./run conformance -k repave_presents --hypothesis-seed 20261122"


def test_a_link_leads_from_the_case_to_its_report(open_page: OpenPage) -> None:
    """A red verdict in the list of cases is a link to what happened."""
    page = open_page("red")
    page.locator("#cases-t a").first.click()

    assert page.locator(":target").get_by_role("heading").first.inner_text().startswith("fail")


def test_printing_unfolds_everything(open_page: OpenPage) -> None:
    """On paper what is folded is printed open; tools, single pulls, events and files take pages and are left out."""
    page = open_page("red")
    pdf = page.pdf(format="A4")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")

    assert pdf.startswith(b"%PDF")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("article .moments").first.is_visible()
    for left_out in (".tools", ".bulky", ".wide"):
        assert not page.locator(left_out).first.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0


def test_a_case_of_many_requirements_keeps_room_for_its_sentence(open_page: OpenPage) -> None:
    """Eleven requirements of a case are broken between them, on paper too; its sentence is no column of letters."""
    page = open_page("red", width=794)
    page.emulate_media(media="print")
    page.locator("#cases-t td.id").first.evaluate("(cell) => (cell.textContent = 'REPAVE-03 '.repeat(11))")

    assert page.locator("#cases-t tbody th").first.evaluate("(cell) => cell.offsetWidth") > 150


def test_500_cases_open_within_a_second(open_page: OpenPage) -> None:
    """The page of 500 cases takes less than a second of processor time to be ready."""
    page = open_page("many")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # processor time, whatever else the machine does
    page.reload()
    measured = {entry["name"]: entry["value"] for entry in session.send("Performance.getMetrics")["metrics"]}

    assert 0 < measured["TaskDuration"] < 1
