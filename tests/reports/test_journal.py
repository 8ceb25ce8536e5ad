from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports import finish, journal, results, summary, trend
from reports.journal import Journal
from reports.records import CaseFinished, RunStarted, UnreadableRecordError, from_json, to_json
from reports.verdicts import Verdict
from tests.reports import samples

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=30)


@pytest.mark.parametrize("record", samples.one_of_each(), ids=lambda record: type(record).__name__)
def test_a_record_returns_as_it_was_written(record: CaseFinished) -> None:
    """Every record of a run is read back equal to what was written."""
    assert from_json(to_json(record)) == record


@given(vector=ANY_TEXT, line=ANY_TEXT)
def test_hostile_text_returns_as_it_was_written(vector: str, line: str) -> None:
    """Control characters, line ends and lone surrogates survive the journal, on one line of ASCII."""
    record = samples.failing(vector=vector, story=(line,))
    written = to_json(record)

    assert written.isascii()
    assert "\n" not in written
    assert from_json(written) == record


@pytest.mark.parametrize(
    ("rest", "verdict"),
    [('"schema":1,"verdict":"pass"', Verdict.PASS), ('"schema":9,"verdict":"sublime","moon":"full"', Verdict.ERROR)],
)
def test_a_record_of_another_harness_is_read(rest: str, verdict: Verdict) -> None:
    """A missing field has its default, an unknown one is left out; an unknown verdict is an error, never a pass."""
    assert from_json(f'{{"record":"case","case":"a",{rest}}}') == CaseFinished(case="a", verdict=verdict)


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "null", '{"record":"cake"}', '{"record":"case"}', '{"record":"case","case":1,"verdict":"pass"}'],
)
def test_what_is_no_record_is_refused(line: str) -> None:
    """A line that is not a record is refused with the reason, not guessed at."""
    with pytest.raises(UnreadableRecordError):
        from_json(line)


def test_a_journal_that_ends_at_any_byte_gives_all_records_before_it(tmp_path: Path) -> None:
    """Wherever a journal ends, every record whose line was written whole is rendered, and no other."""
    path = tmp_path / "journal.ndjson"
    records = (samples.started(requirements=(), facts={}), samples.failing(pulls=()), samples.finished())
    with Journal(path) as writer:
        for record in records:
            writer.write(record)
    content = path.read_bytes()

    for end in range(len(content) + 1):
        whole = content[: end + 1].count(b"\n")  # a line is whole already before its line feed
        contents = journal.parse(content[:end])
        assert contents.records == records[:whole]
        assert len(contents.damage) <= 1


def test_writing_goes_on_after_a_torn_line(tmp_path: Path) -> None:
    """A journal whose last line is torn is continued on a new line; only the torn record is lost."""
    path = tmp_path / "journal.ndjson"
    path.write_bytes((to_json(samples.started()) + "\n" + to_json(samples.failing())[:50]).encode())

    with Journal(path) as writer:
        writer.write(samples.finished())

    contents = journal.read(path)
    assert contents.records == (samples.started(), samples.finished())
    assert [damage.line for damage in contents.damage] == [2]


@given(st.binary(max_size=200))
def test_rubbish_in_a_journal_is_named_and_skipped(rubbish: bytes) -> None:
    """Whatever bytes stand between two records, both are read."""
    first, last = to_json(samples.started()).encode(), to_json(samples.finished()).encode()
    records = journal.parse(b"\n".join([first, rubbish, last])).records

    assert records[0] == samples.started()
    assert records[-1] == samples.finished()


def test_what_was_written_survives_sigkill(tmp_path: Path) -> None:
    """A process that is killed in the middle of its run leaves every record that it had written."""
    path = tmp_path / "journal.ndjson"
    program = (
        "import sys; from pathlib import Path; from reports.journal import Journal; from tests.reports import samples\n"
        "writer = Journal(Path(sys.argv[1])); writer.write(samples.started())\n"
        "for number in range(10**6): writer.write(samples.failing(case=f'case {number}')); print(number, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for told in process.stdout:
            if int(told) >= 20:
                break
        os.kill(process.pid, signal.SIGKILL)

    contents = journal.read(path)
    outcome = results.of(contents.records, contents.damage)
    assert isinstance(contents.records[0], RunStarted)
    assert len(outcome.cases) >= 21
    assert outcome.interrupted


def test_a_record_is_on_the_disk_when_write_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record is flushed to the disk, whole, before the next case begins: a power cut costs nothing before it."""
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _file: synced.append((tmp_path / "journal.ndjson").read_bytes()))
    with Journal(tmp_path / "journal.ndjson") as writer:
        writer.write(samples.started())
        writer.write(samples.finished())

    assert [journal.parse(content).records for content in synced] == [
        (samples.started(),),
        (samples.started(), samples.finished()),
    ]


def test_every_record_says_its_kind_and_schema() -> None:
    """Each line can be told apart and dated without knowing the harness that wrote it."""
    heads = [json.loads(to_json(record)) for record in samples.one_of_each()]

    assert {head["record"] for head in heads} == {"run-started", "case", "run-finished"}
    assert {head["schema"] for head in heads} == {1}


@pytest.mark.parametrize(
    "damage",
    [
        '"seconds":3e345',
        '"seconds":NaN',
        '"seconds":-Infinity',
        '"seconds":1' + "0" * 400,
        '"examples":1' + "0" * 300,
        '"pulls":' + "[" * 3000,
        '"seconds":1' + "0" * 5000,
    ],
    ids=lambda damage: damage[:16],
)
def test_a_damaged_number_or_nesting_costs_its_line_only(tmp_path: Path, damage: str) -> None:
    """One damaged byte in a journal ends neither the rendering of its run nor any later run that looks at it."""
    line = to_json(samples.failing()).replace('"seconds":3.2', damage)
    run = tmp_path / "reports" / "runs" / "20261122-000000-0000"
    run.mkdir(parents=True)
    whole = (to_json(samples.started()), line, to_json(samples.finished()))
    (run / "journal.ndjson").write_text("\n".join(whole), encoding="ascii")

    outcome = results.load(run)
    assert len(outcome.damage) == 1
    assert outcome.cases == ()
    finish.render(run)
    assert "1 line of the journal could not be read" in summary.render(outcome)
    assert trend.before(run.with_name("20261123-000000-0000"), outcome)
