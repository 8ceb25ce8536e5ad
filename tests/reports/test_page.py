from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html
from lxml.html import HtmlElement

from reports import page, results, timeline
from reports.records import EventRow, Moment
from reports.verdicts import Verdict
from tests.reports import samples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), min_size=1, max_size=40)


def read(*records: object, earlier: tuple[object, ...] = (), attachments: Path | None = None) -> HtmlElement:
    """Render records and read the page back."""
    before = [results.of(earlier)] if earlier else []  # type: ignore[arg-type]  # records of any kind
    content = page.render(results.of(records), before, attachments=attachments)  # type: ignore[arg-type]  # likewise
    return html.document_fromstring(content.decode())


def text_of(document: HtmlElement, path: str) -> str:
    """Return the text of the first element that the XPath finds, blanks made single."""
    found = document.xpath(path)
    return " ".join(" ".join(found[0].itertext()).split()) if found else ""


def test_the_first_heading_is_the_verdict_in_one_sentence() -> None:
    """Whoever reads nothing else reads whether the product conforms."""
    assert text_of(read(*samples.all_green()), "//h1") == "Conforms: all 8 requirements hold."
    assert read(*samples.one_of_each()).xpath("//h1")[0].text_content() == (
        "Does not conform: the node's runtime presents the password base64-decoded at repave (REPAVE-03); "
        "also 1 error (MASK-01), 1 vacuous (REPAVE-07), 1 dead (TLS-02), 1 fixed (EVENT-01)."
    )


@pytest.mark.parametrize("verdict", list(Verdict))
def test_each_verdict_is_shown_in_words_at_requirement_and_case(verdict: Verdict) -> None:
    """A verdict is never told by colour alone."""
    document = read(samples.started(), samples.case(verdict, reason="because of this"), samples.finished())

    assert text_of(document, "//table[@id='requirements-t']//tbody/tr[1]/td[1]") == verdict.value
    assert text_of(document, "//table[@id='cases-t']//tbody/tr[1]/td[1]") == verdict.value
    assert bool(document.xpath("//article")) is verdict.is_red


def test_a_failure_shows_report_pulls_events_and_the_line_to_reproduce() -> None:
    """The engineer of the morning finds what each pull presented, what the cluster said, and how to see it again."""
    document = read(samples.started(), samples.failing(), samples.finished())
    told = text_of(document, "//article//pre")

    assert "host edge-1 presented base64-decode(password) at repave" in told
    assert "reproduce: ./run conformance -k repave_presents --hypothesis-seed 20261122" in told
    assert "repave node containerd/1.6.20 edge-1" in text_of(document, "//article//table[1]")
    assert "authentication required" in text_of(document, "//article")


def test_the_timeline_says_in_words_what_it_draws() -> None:
    """Every numbered dot of the picture has its line in the list beside it."""
    document = read(samples.started(), samples.failing(), samples.finished())

    assert len(document.xpath("//article//circle[@r=9]")) == len(document.xpath("//article//ol/li")) == 7
    assert "+1.80 s registry repave: node pulled v2, base64-decoded, 401 Unauthorized ← here" in text_of(
        document, "//article//ol"
    )


@given(st.lists(st.floats(0, 100), min_size=2, max_size=30))
def test_dots_of_the_timeline_stay_in_the_picture_and_in_order(seconds: list[float]) -> None:
    """However close moments are, their dots keep their order, do not cover one another, and are not cut."""
    moments = tuple(Moment(time=samples.at(second), lane="api", label=f"x{n}") for n, second in enumerate(seconds))
    drawn = timeline.draw(samples.failing(timeline=moments, pulls=()))

    assert drawn
    places = [dot.place for _, dot in drawn.dots]
    assert len(places) == len(seconds)
    assert all(3.1 <= place <= 96.9 for place in places)
    assert all(right - left >= 3.2 for left, right in pairwise(places))


@pytest.mark.parametrize("examples", [1, 12, 60])
def test_a_long_case_is_drawn_around_its_failure_in_whole_phases(examples: int) -> None:
    """However many deployments and repaves came before, the phase of the failure is there, with pulls folded."""
    seen = [pull for n in range(examples) for pull in (*samples.pulls(begin=n * 4), *samples.pulls(begin=n * 4))]
    case = samples.failing(pulls=(*seen, *samples.pulls("base64-decoded", 401, examples * 4)), timeline=())
    drawn = timeline.draw(case)

    assert drawn
    assert [dot.tone for _, dot in drawn.dots if dot.here] == ["bad"]
    assert drawn.before + drawn.behind + sum(dot.times for _, dot in drawn.dots) == len(case.pulls)
    assert max(dot.times for _, dot in drawn.dots[:1]) == 2
    assert [band.phase for band in drawn.bands][-2:] == ["deploy", "repave"]


@pytest.mark.parametrize(
    ("records", "answer"),
    [
        (samples.all_green(), "Nothing speaks against it on site lab (2 Edge hosts)"),
        ((*samples.all_green()[:-1], samples.finished(collected=8, deselected=9)), "Undecided: only a part was tested"),
        (samples.one_of_each(), "No: on site lab (2 Edge hosts) the product does not do what its guide says"),
        (
            (samples.started(command="./run conformance -- --lab-fault x"), *samples.one_of_each()[1:]),
            "Not asked: the lab was broken on purpose",
        ),
        (samples.all_green()[:-1], "Undecided: the run did not come to its end"),
        (
            samples.one_of_each()[:-1],
            "No: on site lab (2 Edge hosts) the product does not do what its guide says, and only a part was tested",
        ),
        ((*samples.all_green(), samples.case(Verdict.DEAD)), "Undecided: mend the infrastructure, then run again"),
    ],
    ids=["green", "partial", "red", "seeded fault", "interrupted", "interrupted after a failure", "dead"],
)
def test_whether_it_can_ship_is_answered_first(records: tuple[object, ...], answer: str) -> None:
    """A release manager reads the answer in the header, before any case."""
    assert text_of(read(*records), "//dl[@class='answers']/div[1]/dd") == answer


@pytest.mark.parametrize(
    ("earlier", "since"),
    [
        ((), "unknown: no earlier run of this kind to compare with"),
        ((samples.started(run_id="before"), samples.failing()), "since 22 November 2026, 03:00 UTC"),
        ((samples.started(run_id="before"), samples.case(Verdict.PASS)), "new in this run"),
    ],
)
def test_the_header_says_whose_since_when_and_where(earlier: tuple[object, ...], since: str) -> None:
    """Whose fault it is, since which run, and on which hosts stand beside the answer."""
    answers = [samples.started(), samples.failing(), samples.finished(collected=1)]

    assert text_of(read(*answers, earlier=earlier), "//dl[@class='answers']").partition("Whose")[2] == (
        f" fault is it? product: 1 cause, 1 case Since when? {since} On which hosts? edge-1"
    )


def test_a_run_on_a_lab_that_is_broken_on_purpose_accuses_nobody_else() -> None:
    """A picture of the page's top is not taken for a finding about the product."""
    started = samples.started(command="./run conformance -- --lab-fault alphanumeric-base64")
    text = text_of(read(started, samples.failing(), samples.finished(collected=1)), "//header")

    assert "The lab was broken on purpose: alphanumeric-base64." in text
    assert "Whose fault is it? the lab's, broken on purpose: product: 1 cause, 1 case" in text


def test_every_cause_is_named_before_the_first_picture() -> None:
    """Several causes are listed in the header, each with whose it is, what it concerns and where; one cause is not."""
    dead = samples.case(Verdict.DEAD, "TLS-02", reason="host edge-2 is gone", hosts=("edge-2",))
    several = read(samples.started(), samples.failing(), dead, samples.finished(collected=2))

    assert [" ".join(row.text_content().split()) for row in several.xpath("//header//ol[@class='causes']/li")] == [
        "product The node's runtime presents the password base64-decoded at repave · 1 requirement, 1 case, on edge-1",
        "infrastructure Host edge-2 is gone · 1 requirement, 1 case, on edge-2",
    ]
    assert text_of(several, "//dl[@class='answers']/div[2]/dd") == (
        "product: 1 cause, 1 case; also infrastructure: 1 cause"
    )
    assert not read(samples.started(), samples.failing(), samples.finished()).xpath("//ol[@class='causes']")


def test_a_partial_run_says_that_nothing_failed_of_what_ran() -> None:
    """Whoever asks what broke reads that nothing did, and a whole green run needs no such line."""
    partial = text_of(read(*samples.all_green()[:-1]), "//dl[@class='answers']")

    assert partial.endswith("What failed? nothing of what ran")
    assert "What failed?" not in text_of(read(*samples.all_green()), "//dl[@class='answers']")


def test_a_card_says_each_thing_once() -> None:
    """What stands above a card's lines, as expected, observed or the change by name, is not in them again."""
    change = "base64-standard (decoded when accepted)"
    told = samples.failing().story[0]
    lines = (told, f"  repave, node of edge-1: everything seen equals what {change} would give")
    case = samples.failing(
        observed=told.partition("  ")[2], story=(*lines, "  expected: x", "  at a.py:1"), expected="x"
    )
    red = read(samples.started(), case, samples.finished())

    assert [line.split()[0] for line in red.xpath("//article//pre")[0].text_content().splitlines() if line] == [
        "deploy",
        "repave",
        "at",
        "reproduce:",
    ]
    assert f"the password as changed by {change}." in text_of(red, "//section[@class='cause']/p[@class='lead']")
    assert text_of(red, "//article//dl") == f"Expected x Observed {case.observed}"


def test_words_of_this_field_are_explained_where_they_occur() -> None:
    """Repave, dead and intact are told in plain words beside their first use, and only on pages that use them."""
    red = read(samples.started(), samples.failing(), samples.case(Verdict.DEAD), samples.finished())

    assert "repave : the hosts of a running cluster are set up again" in text_of(red, "//header//p[@class='terms']")
    assert "intact : the login that the profile says" in text_of(red, "//section[@id='attention']/p[@class='terms']")
    assert "dead 1 infrastructure: a host, the registry or the API was gone" in text_of(red, "//ul[@class='chips']")
    assert not read(*samples.all_green()).xpath("//p[@class='terms']")


def test_a_run_can_be_compared_with_any_other() -> None:
    """With --compare the page says what is different from that run, how long its cases took, and of which kind."""
    other = results.of((samples.started(run_id="other", level="default"), samples.failing(seconds=9.0)))
    content = page.render(results.of(samples.one_of_each()), [results.of(samples.all_green())], compare=other)
    document = html.document_fromstring(content.decode())

    told = text_of(document, "//section[@id='changes']")
    assert told.startswith("Compared with another run Compared with other , a run of another kind")
    assert "(lab (2 Edge hosts), level default). New 4" in told
    assert text_of(document, "//section[@id='durations']//td[@class='num muted'][text()]") == "9.0 s"


def test_waivers_name_owner_and_end() -> None:
    """The release manager sees what is tolerated, who answers for it, and for how long."""
    row = text_of(read(*samples.one_of_each()), "//section[@id='waivers']//tbody/tr[1]")

    assert row == (
        "PE-3568 CRED-04 alphanumeric passwords are taken for base64 at repave "
        "phase = repave, presented = base64-decoded "
        "edge-team@example.com 2026-12-20 28 days left matched 1 of 1"
    )


def test_what_changed_since_the_run_before_is_listed() -> None:
    """New, still red and mended cases are told apart."""
    document = read(*samples.one_of_each(), earlier=(samples.started(run_id="before"), samples.failing()))
    told = text_of(document, "//section[@id='changes']")

    assert "Compared with before" in told
    assert "New 4" in told
    assert "Still 1 fail REPAVE-03" in told


def test_each_requirement_shows_how_it_fared_before() -> None:
    """Beside a requirement stand its verdicts of the runs before, in words for who cannot see the colours."""
    nights = [
        results.of((samples.started(), samples.case(verdict), samples.finished()))
        for verdict in (Verdict.DEAD, Verdict.FAIL)
    ]
    document = html.document_fromstring(page.render(results.of(samples.all_green()), nights).decode())

    strips = [strip.get("aria-label") for strip in document.iter("span") if strip.get("class") == "strip"]
    assert strips[:2] == ["oldest first: dead, fail, pass", "oldest first: 2 not run, pass"]


def test_a_partial_run_says_so_on_top() -> None:
    """A page of a run that did not end cannot be mistaken for one that did."""
    assert "its journal has no last record" in text_of(read(*samples.all_green()[:-1]), "//header")


def test_facts_and_leak_gate_are_there_for_the_auditor() -> None:
    """Versions, digests and what the leak gate did stand on the page."""
    told = text_of(read(*samples.all_green()), "//section[@id='environment']")

    assert all(f"{name} {value}" in told for name, value in samples.FACTS.items())
    assert "9 files searched for 2 protected secrets in 48 forms; canary found; 0 hits" in told


def test_diagnostics_are_folded_into_the_page_and_cut(tmp_path: Path) -> None:
    """The end of a long host journal is on the page; a file outside the run never is."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "journal.txt").write_text("early\n" + "x" * 50_000 + "\nthe end")
    (tmp_path / "secret.txt").write_text("not for you")
    case = samples.failing(attachments=("journal.txt", "../secret.txt", "missing.txt"))
    content = page.render(results.of((samples.started(), case)), attachments=tmp_path / "run").decode()

    assert "the end" in content
    assert "early" not in content
    assert "not for you" not in content
    assert len(content) < 60_000


@given(text=ANY_TEXT)
def test_hostile_text_stays_text(text: str) -> None:
    """Whatever a vector, a message or a fact says, it adds no element to the page and stays readable."""
    hostile = {
        "vector": text,
        "title": text,
        "observed": text,
        "story": (text,),
        "reproduce": text,
        "vector_class": text,
    }
    plain = dict.fromkeys(hostile, "plain") | {"story": ("plain",)}
    shapes = []
    for fields in (hostile, plain):
        case = samples.failing(**fields, events=(EventRow(time=fields["title"], message=fields["title"]),))  # type: ignore[arg-type]  # text
        document = read(
            samples.started(site=fields["title"], facts={"fact": fields["title"]}), case, samples.finished()
        )
        shapes.append([element.tag for element in document.iter()])

    assert shapes[0] == shapes[1]


def test_what_has_no_shape_is_shown_as_an_escape() -> None:
    """Control characters, lone surrogates and characters that turn the line around stand on the page as escapes."""
    case = samples.failing(vector="a\0\x1b\ud800\u202e\u200b", title="t\x9b")
    content = page.render(results.of((samples.started(site="s\u2066"), case))).decode()

    assert "a\\x00\\x1b\\ud800\\u202e\\u200b" in content
    assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", content)


def test_markup_in_a_password_is_shown_not_run() -> None:
    """A password made of markup is text on the page."""
    evil = "</pre><script>alert(1)</script>'\"><img src=x onerror=alert(1)>"
    content = page.render(results.of((samples.started(), samples.failing(vector=evil, story=(evil,))))).decode()

    assert "<script>alert" not in content
    assert "<img" not in content
    assert content.count("<script>") == 1


def test_the_page_needs_nothing_from_anywhere() -> None:
    """No address on the page is loaded; its only script is the one whose digest the page itself allows."""
    content = page.render(results.of(samples.one_of_each())).decode()

    assert not re.findall(r'(?:src|@import|url)\s*[=(]\s*["\']?(?!data:)\w', content)
    assert "default-src 'none'" in content
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}'", content)


@pytest.mark.parametrize("red_every", [25, 1], ids=["some red", "all red"])
def test_a_page_of_500_cases_stays_under_2_mb(red_every: int) -> None:
    """However a run of 500 cases of 77 requirements went, with 60 nights behind it, its page can be mailed."""
    claims = [replace(samples.REQUIREMENTS[0], id=f"DEPLOY-{number}") for number in range(77)]
    night = results.of((samples.started(requirements=claims), *samples.many(500, red_every)[1:]))

    assert len(page.render(night, [night] * 59)) < 1_700_000  # diagnostics add 300 KB


def test_a_case_of_many_pulls_keeps_its_picture() -> None:
    """A property of 130 examples takes no more room on the page than one that fills picture and tables."""
    long = samples.failing(pulls=samples.pulls("base64-decoded", 401) * 300, timeline=samples.timeline() * 30)

    assert read(samples.started(), long, samples.finished()).xpath("//article//circle[@class='ring']")


def test_every_red_case_of_a_big_run_keeps_its_report() -> None:
    """Where there is no room for details, a failing case still has its lines."""
    content = page.render(results.of(samples.many(500, 1)))

    assert content.count(b'<pre class="told"') == 500
    assert 40 < content.count(b"<svg") < 500


def test_the_same_results_give_the_same_page() -> None:
    """Rendering twice gives the same bytes: a page can be certified."""
    assert page.render(results.of(samples.one_of_each())) == page.render(results.of(samples.one_of_each()))
