from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from registry.witness import ON_PURPOSE
from reports import causes, page, pulls, results, summary, timeline, wording
from reports.records import EventRow, Moment, PullRecord
from reports.verdicts import Verdict
from tests.reports import samples

DECODED = samples.pulls("base64-decoded", 401)
ANONYMOUS = replace(DECODED[1], presented="anonymous")


def three_causes() -> results.Results:
    """Return a run with one cause of two cases, one of one case, and an accident of infrastructure."""
    return results.of(
        (
            samples.started(),
            samples.failing(case="suites/a/test_a.py::one"),
            samples.failing(case="suites/a/test_a.py::two", requirements=("CRED-04",), pulls=DECODED),
            samples.case(Verdict.FAIL, "MASK-01", case="suites/b.py::three", observed="the password came back"),
            samples.case(Verdict.DEAD, "TLS-02", case="suites/b.py::four", reason="host edge-2 is gone"),
            samples.case(Verdict.DEAD, "NODE-01", case="suites/b.py::five", reason="host edge-1 is gone"),
            samples.finished(collected=5),
        )
    )


def test_red_cases_are_grouped_by_what_the_witness_saw() -> None:
    """One root cause is told once, the one that concerns most first, accidents of infrastructure apart."""
    assert [(cause.whose, cause.words, cause.reach) for cause in causes.of(three_causes())] == [
        ("product", "the node's runtime presents the password base64-decoded at repave", "2 requirements, 2 cases"),
        ("product", "the password came back", "1 requirement, 1 case"),
        ("infrastructure", "host … is gone", "2 requirements, 2 cases"),
    ]


@pytest.mark.parametrize(
    ("verdict", "seen", "told"),
    [
        (Verdict.FAIL, {"observed": "assert 6 == 999", "title": "It holds."}, "does not hold: It holds."),
        (Verdict.DEAD, {"reason": "it didn't answer, and wasn't there"}, "it didn't answer, and wasn't there"),
    ],
)
def test_a_cause_is_a_sentence(verdict: Verdict, seen: dict[str, str], told: str) -> None:
    """It is not the comparison that pytest printed, and what stands between two apostrophes is no quotation."""
    assert causes.words(samples.case(verdict, **seen)) == told


def test_the_sentence_on_top_says_in_words_what_failed() -> None:
    """A release manager reads the cause, not only the ids of requirements."""
    assert wording.sentence(three_causes()) == (
        "Does not conform: the node's runtime presents the password base64-decoded at repave (REPAVE-03, CRED-04), "
        "and 1 other cause; also 2 dead (TLS-02, NODE-01)."
    )


def test_a_cause_says_since_which_run_it_is_there() -> None:
    """The first of the runs in a row in which it was red is named; a new cause names none."""
    nights = [
        results.of((samples.started(run_id="one"), samples.all_green()[1], samples.finished())),
        results.of((samples.started(run_id="two"), samples.failing(), samples.finished())),
        results.of((samples.started(run_id="three"), samples.failing(), samples.finished())),
    ]
    elsewhere = results.of((samples.started(run_id="four"), samples.failing(case="suites/other.py::x")))
    tonight = results.of((samples.started(), samples.failing(), samples.finished()))
    for earlier, first in ((nights, nights[1]), (nights[:1], None), ([*nights, elsewhere], nights[1]), ((), None)):
        assert causes.of(tonight, earlier)[0].first is first
    assert [causes.of(tonight, earlier)[0].reach for earlier in (nights, nights[:1], ())] == [
        "1 requirement, 1 case, since 22 November 2026, 03:00 UTC",
        "1 requirement, 1 case, new in this run",
        "1 requirement, 1 case",
    ]


def test_the_anonymous_beginning_of_a_login_is_usual_and_its_lack_is_not() -> None:
    """A 401 that a login follows is how every login begins; a client that never logs in is what went wrong."""
    assert pulls.tones([ANONYMOUS, DECODED[1]]) == ["usual", "bad"]
    assert pulls.tones([DECODED[0], ANONYMOUS]) == ["good", "bad"]
    assert pulls.decisive([ANONYMOUS, ANONYMOUS]) == 1


def test_a_login_that_is_refused_on_purpose_is_no_cause() -> None:
    """Where a case has a login refused, what is told of its failure is its own reason, and the refusal is usual."""
    refused = replace(DECODED[1], presented=ON_PURPOSE)
    case = samples.failing(case="suites/a/test_a.py::one", pulls=(refused,), observed="an event tells the password")
    found = causes.of(results.of((samples.started(), case, samples.finished())))

    assert pulls.tones([ANONYMOUS, refused]) == ["usual", "usual"]
    assert [cause.words for cause in found] == ["an event tells the password"]


@pytest.mark.parametrize("before", [2, 30, 200])
def test_the_decisive_moment_is_never_cut_off(before: int) -> None:
    """However many pulls came before, picture and report show the one that failed, and mark it."""
    many = [
        replace(DECODED[0], time=samples.at(number), user_agent=f"skopeo/{number}", phase="repave")
        for number in range(before)
    ]
    late = [replace(ANONYMOUS, time=samples.at(before + 5 + number)) for number in range(80)]
    last = replace(DECODED[1], time=samples.at(before + 1))
    case = samples.failing(pulls=(*many, last, *late))
    drawn = timeline.draw(case)

    assert drawn
    assert [dot.label for _, dot in drawn.dots if dot.here] == [
        "repave: node pulled v2, base64-decoded, 401 Unauthorized"
    ]
    assert len(drawn.dots) <= 40
    shown = sum(dot.times for _, dot in drawn.dots if dot.label.startswith(("deploy:", "repave:")))
    assert drawn.before + shown + drawn.behind >= len(case.pulls)
    assert [line for line in wording.report_of(case) if line.endswith("<- here") and "base64-decoded" in line]
    assert len(wording.report_of(case)) < 20


def test_pulls_stand_before_events_and_place_and_digests_are_cut() -> None:
    """What each pull presented comes first, then what the events say, then where the case stands in the code."""
    story = ("REPAVE-03  it broke", f"  event sha256:{'c973d26b' * 8}", "  at suites/a.py:7")
    told = wording.report_of(samples.failing(story=story))

    assert [line.split()[0] for line in told[1:4]] == ["deploy", "repave", "event"]
    assert told[3] == "  event sha256:c973d26bc973"
    assert wording.report_of(samples.failing(story=(story[0], story[2])))[-2] == "  at suites/a.py:7"


WAITED = "waited for cluster conf-1-7 to be repaved: not so within 60 s; states seen: Running (0.0-60.0 s)"
UNTRUSTED = 'Failed to pull image "10.0.0.1:5/p:v2": Head "https://10.0.0.1:5/v2/p": x509: unknown authority'
LOGGED = 'time="2026-11-29T06:30:03Z" level=fatal msg="reading manifest v2: unauthorized"'


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"observed": WAITED, "events": (EventRow(time="", reason="FailedPullImage", message=UNTRUSTED),)},
            "the repave does not end, FailedPullImage: x509: unknown authority",
        ),
        (
            {"observed": WAITED, "events": (EventRow(time="", reason="FailedPullImage", message=LOGGED),)},
            "the repave does not end, FailedPullImage: reading manifest v2: unauthorized",
        ),
        ({"observed": WAITED}, "waited 60 s in vain for cluster conf-1-7 to be repaved"),
        (
            {"observed": WAITED.replace("60 s;", "60 s (210 s on an overloaded machine);")},
            "waited 60 s in vain for cluster conf-1-7 to be repaved",
        ),
        (
            {"observed": "the password is in a journal", "pulls": samples.pulls("intact", 404)},
            "the password is in a journal",
        ),
        (
            {"observed": "a second registry was asked", "pulls": (replace(DECODED[1], repository="10.0.0.1:5001/p"),)},
            "a second registry was asked",
        ),
    ],
    ids=[
        "an event explains a wait",
        "an event as skopeo logs it",
        "nothing explains a wait",
        "nothing explains a wait on an overloaded machine",
        "a tag that is missing on purpose",
        "what another registry was shown",
    ],
)
def test_a_cause_is_what_was_seen_where_that_explains_it(changes: dict[str, Any], told: str) -> None:
    """The event of a refused pull says why a wait was in vain; what a case has done on purpose accuses nobody."""
    case = samples.failing(**{"pulls": (), "events": (), **changes})

    assert wording.sentence(results.of((samples.started(), case, samples.finished(collected=1)))) == (
        f"Does not conform: {told} (REPAVE-03)."
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x" * 150 + " of 'abc' is not there", "x" * 150 + " of 'abcdefghijk' is not there"),
        ("Edge host nuc-a does not answer", "Edge host rack7.example does not answer"),
    ],
    ids=["long", "hosts"],
)
def test_one_cause_has_one_name(one: str, other: str) -> None:
    """What differs from case to case is left out before a text is cut, and hosts have any name."""
    hosts = ("nuc-a", "rack7.example")
    red = [samples.case(Verdict.DEAD, case=f"suites/{text}", reason=text, hosts=hosts) for text in (one, other)]

    assert causes.words(red[0]) == causes.words(red[1])


@pytest.mark.parametrize(
    ("presented", "told"),
    [
        ("the login of c-1", "presents the login of c-1"),
        ("trimmed or line end lost, user name upper-cased", "presents the password trimmed, user name upper-cased"),
        ("user name upper-cased or title-cased", "presents user name upper-cased"),
    ],
)
def test_what_is_presented_is_told_as_it_is(presented: str, told: str) -> None:
    """Another cluster's login is no password; of alternatives the first is named, of two values both."""
    case = samples.failing(pulls=samples.pulls(presented, 401))

    assert told in causes.words(case)


def test_only_the_words_in_which_cases_of_a_cause_differ_are_left_out() -> None:
    """The sentence on top says what was gone, with the address that its cases share."""
    cases = [
        samples.case(Verdict.DEAD, name, case=name, reason=f"host edge-{number} (10.7.0.1:22) is gone")
        for number, name in enumerate(("TLS-02", "NODE-01"))
    ]

    assert wording.sentence(results.of((samples.started(), *cases, samples.finished(collected=2)))) == (
        "No verdict, infrastructure was gone: host … (10.7.0.1:22) is gone (TLS-02, NODE-01)."
    )


def test_a_phase_that_did_not_happen_is_no_accident_of_infrastructure() -> None:
    """Palette may have called done what was not, so it is not set apart as somebody's broken host."""
    found = causes.of(results.of((samples.started(), samples.case(Verdict.VACUOUS, reason="edge-1 has not rebooted"))))

    assert [(cause.whose, cause.words) for cause in found] == [("product or site", "edge-1 has not rebooted")]


def test_the_name_of_a_change_is_explained_beside_its_cause() -> None:
    """What exactly happens to the password is said on the page, not only what the witness calls it."""
    seen = (DECODED[0], replace(DECODED[1], presented="mojibake or base64-decoded or trimmed", meaning="utf-8 (twice)"))
    content = page.render(results.of((samples.started(), samples.failing(pulls=seen)))).decode()

    assert "is the password as changed by utf-8 (twice)" in content
    assert "mojibake (or 2 others)  401 Unauthorized" in content


def test_phases_are_bands_behind_the_moments() -> None:
    """The picture shows where deployment ends and repave begins; they fill it without a gap."""
    drawn = timeline.draw(samples.failing(pulls=DECODED, timeline=(Moment(time=samples.at(9), lane="api", label="x"),)))

    assert drawn
    assert [band.phase for band in drawn.bands] == ["deploy", "repave"]
    assert drawn.bands[0].place == 0
    assert drawn.bands[0].width == pytest.approx(drawn.bands[1].place)
    assert drawn.bands[1].place + drawn.bands[1].width == pytest.approx(100)


def test_a_pull_without_a_time_or_a_phase_is_no_obstacle() -> None:
    """Old and damaged records are drawn as far as they go."""
    assert timeline.draw(samples.failing(pulls=(PullRecord(time="", phase="", puller=""),), timeline=())) is None


@pytest.mark.parametrize(
    ("records", "tone", "title"),
    [
        (samples.all_green(), "good", "ok"),
        ((*samples.all_green()[:-1], samples.finished(collected=8, deselected=69)), "partial", "PARTIAL, ok"),
        (samples.one_of_each(), "bad", "fail"),
        (samples.all_green()[:-1], "gone", "PARTIAL, interrupted"),
        ((samples.started(), samples.case(Verdict.DEAD), samples.finished(collected=1)), "gone", "PARTIAL, dead"),
    ],
    ids=["green", "partial", "red", "killed", "dead"],
)
def test_a_run_that_proves_less_looks_so_at_a_glance(records: tuple[object, ...], tone: str, title: str) -> None:
    """Colour and title of a partial, dead or interrupted run are not those of a whole one."""
    content = page.render(results.of(records)).decode()  # type: ignore[arg-type]  # records of any kind

    assert f'<header class="top {tone}">' in content
    assert f"<title>{title} · " in content


def test_cases_that_did_not_run_take_their_part_of_the_bar() -> None:
    """Eight passing cases of eighty fill a tenth of the bar, and the number left out stands beside it."""
    partial = results.of((*samples.all_green()[:-1], samples.finished(collected=8, deselected=72)))
    content = page.render(partial).decode()

    assert '<i class="v-pass" style="width:10.00%"></i><i class="missing" style="width:90.00%">' in content
    assert '<span class="pill v-not-run">not run</span> <b>72</b>' in content


def test_a_killed_run_is_not_all_green() -> None:
    """How much a run that did not end has left out is unknown, and looks so."""
    content = page.render(results.of(samples.all_green()[:-1])).decode()

    assert '<i class="v-pass" style="width:50.00%"></i><i class="missing" style="width:50.00%">' in content
    assert '<span class="pill v-not-run">not run</span> <b>unknown</b>' in content


def test_the_header_names_what_was_chosen_and_broken_on_purpose() -> None:
    """Level, versions, -k and a seeded fault stand on top, so that such a page is not taken for a night's."""
    command = "./run conformance -- --lab-fault alphanumeric-base64 -k 'repave or PROFILE' --lab-fault=other"
    content = page.render(results.of((samples.started(command=command), *samples.all_green()[1:]))).decode()

    assert "<dt>Seeded fault</dt><dd>alphanumeric-base64, other</dd>" in content
    assert "<dt>Only</dt><dd>repave or PROFILE</dd>" in content
    assert "<dt>Palette</dt><dd>4.9.12</dd>" in content


def test_the_terminal_shows_what_ran_the_gravest_last_and_each_cause_once() -> None:
    """Requirements without a case are counted, not listed; the report of a cause is that of its best example."""
    lines = summary.render(three_causes()).splitlines()
    table = lines[: lines.index("")]

    assert [line.split()[0] for line in table] == ["dead", "dead", "fail", "fail", "fail", "not"]
    assert table[-1] == "not run: 3 other requirements"
    assert sum("presented base64-decode(password)" in line for line in lines) == 1
    assert "  also CRED-04 two" in lines
