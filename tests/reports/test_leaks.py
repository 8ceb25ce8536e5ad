from __future__ import annotations

import base64
import gzip
import html
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from harness.run import LEAK_FORMS
from protected import Secret
from reports import canary, finish, leak_forms, leaks, results, wording
from reports.artefacts import CHUNK
from reports.leak_forms import Protected
from reports.leaks import Gate
from reports.verdicts import ExitCode
from tests.reports import samples
from tests.reports.conftest import MakeRun

KEY = 'k3y/+"&<é-9aTr0ub4dor'
SECRET = Protected("api key", Secret(KEY))
RAW = KEY.encode()


def undone(raw: bytes) -> bytes | None:
    """Stand in for a transform of the catalogue."""
    return b"rot:" + bytes((byte + 13) % 256 for byte in raw)


def archive(make: Callable[[io.BytesIO], None]) -> bytes:
    """Return the bytes of an archive."""
    packed = io.BytesIO()
    make(packed)
    return packed.getvalue()


def as_tar(packed: io.BytesIO) -> None:
    """Put the secret into a compressed tar."""
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        entry = tarfile.TarInfo("diagnostics/env")
        entry.size = len(RAW)
        tar.addfile(entry, io.BytesIO(RAW))


def as_zip(packed: io.BytesIO) -> None:
    """Put the secret into a compressed zip."""
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("env", RAW)


FORMS = {
    "raw": RAW,
    "base64": base64.b64encode(RAW),
    "base64 of a pair": base64.b64encode(b"robot:" + RAW),
    "base64 of a longer pair": base64.b64encode(b"robots:" + RAW + b"\n"),
    "URL-safe base64": base64.urlsafe_b64encode(b"u:" + RAW),
    "base64 over several lines": b"\n    ".join([base64.b64encode(RAW)[:9], base64.b64encode(RAW)[9:]]),
    "percent-encoded": quote(KEY).encode(),
    "wholly percent-encoded": "".join(f"%{byte:02x}" for byte in RAW).encode(),
    "JSON": json.dumps({"Authorization": KEY}).encode(),
    "JSON in JSON": json.dumps(json.dumps(KEY, ensure_ascii=False), ensure_ascii=False).encode(),
    "XML": html.escape(KEY).encode(),
    "HTML character references": "".join(f"&#{ord(character)};" for character in KEY).encode(),
    "JSON in HTML": html.escape(json.dumps(KEY)).encode(),
    "Python repr of bytes": repr(RAW).encode(),
    "hex": RAW.hex().encode(),
    "upper-case hex": RAW.hex().upper().encode(),
    "reversed": KEY[::-1].encode(),
    "UTF-16": KEY.encode("utf-16-le"),
    "Latin-1": KEY.encode("latin-1"),
    "a transform": undone(RAW) or b"",
    "gzip": gzip.compress(RAW),
    "tar": archive(as_tar),
    "zip": archive(as_zip),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_found_in_every_form(tmp_path: Path, form: str) -> None:
    """A protected secret is found however it is written, and the artefact is withheld."""
    path = tmp_path / "host.txt"
    path.write_bytes(FORMS[form] if form in {"gzip", "tar", "zip"} else b"before " + FORMS[form] + b" after")

    found = Gate([SECRET], {"rot13": undone}).search(tmp_path)

    assert [(hit.file, hit.secret) for hit in found.hits] == [("host.txt", "api key")]
    assert path.read_bytes().startswith(b"withheld: the leak gate found api key in this file")


@pytest.mark.parametrize("form", sorted(dict(canary.forms(KEY))))
def test_a_secret_is_found_in_every_form_that_the_documentation_lists(tmp_path: Path, form: str) -> None:
    """Each form of docs/reports.md is found: of a Kubernetes Secret, in an archive within an archive, …."""
    for number, content in enumerate(content for name, content in canary.forms(KEY) if name == form):
        (tmp_path / str(number)).write_bytes(content)

    assert len(Gate([SECRET]).search(tmp_path).hits) == len(list(tmp_path.iterdir()))


# An ordinary word at the beginning, characters beyond ASCII, all that some encoding treats in its own way.
HARMLESS = [
    "registry-Pull-2026!",
    "conformance2026!",
    "pässwörd-2026-X",
    'p4s$W0rd&"<é>+/Ü x',
    "palette-edge-conformance1",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_a_run_without_a_leak_is_not_withheld_whatever_the_secret(make_run: MakeRun, text: str) -> None:
    """Passwords that begin with an ordinary word or go beyond ASCII cost no evidence: nothing had leaked."""
    run = make_run(samples.one_of_each()[:-1])
    ended = finish.finish(run, samples.finished(), Gate([Protected("password", Secret(text))], LEAK_FORMS))

    assert ended.results.exit_code is not ExitCode.LEAK
    assert ended.results.leak_gate
    assert ended.results.leak_gate.canary_found


def test_a_lossy_form_is_a_hint_that_withholds_nothing(tmp_path: Path) -> None:
    """The first sixteen characters of a longer password may be ordinary words: they are told, and nothing is moved."""
    (tmp_path / "log").write_text("palette-edge-confabulation")
    cut = {"first-16": lambda raw: raw[:16]}
    found = Gate([Protected("password", Secret("palette-edge-conformance-2026!"))], cut).search(tmp_path)

    assert found.hits == ()
    assert [(hint.file, hint.form) for hint in found.hints] == [("log", "transform first-16")]
    assert (tmp_path / "log").read_text() == "palette-edge-confabulation"


def test_what_is_withheld_is_set_aside_for_its_owner_and_can_be_released(make_run: MakeRun) -> None:
    """Withheld evidence lies outside of runs/, readable by its owner only; a release brings back every byte."""
    case = samples.failing(observed=f"header Authorization: {KEY}")
    run = make_run((*samples.all_green()[:-1], case))
    (run / "attachments").mkdir()
    (run / "attachments" / "env").write_bytes(RAW)
    journal = (run / "journal.ndjson").read_bytes()
    finish.finish(run, samples.finished(collected=9), Gate([SECRET]))
    home = leaks.aside(run)

    assert home == run.parents[1] / "withheld" / run.name
    assert {oct(path.stat().st_mode & 0o777) for path in home.rglob("*") if path.is_file()} == {"0o600"}
    assert oct(home.parent.stat().st_mode & 0o777) == "0o700"
    assert (run / "attachments" / "env").read_bytes().startswith(b"withheld:")

    finish.release(run)

    assert (run / "attachments" / "env").read_bytes() == RAW
    assert (run / "journal.ndjson").read_bytes().startswith(journal)
    assert not [path for path in home.rglob("*") if path.is_file()]
    assert results.load(run).exit_code is ExitCode.FAIL


def test_what_was_set_aside_is_never_overwritten(tmp_path: Path) -> None:
    """A second artefact of the same name is set aside beside the first."""
    run = tmp_path / "reports" / "runs" / "one"
    run.mkdir(parents=True)
    for content in (b"first " + RAW, b"second " + RAW):
        (run / "log").write_bytes(content)
        Gate([SECRET]).search(run)

    assert sorted(path.read_bytes() for path in leaks.aside(run).iterdir()) == [b"first " + RAW, b"second " + RAW]


@pytest.mark.parametrize("before", [CHUNK - len(RAW) + 1, CHUNK - 1, CHUNK - len(RAW) // 2, 2 * CHUNK - 3])
def test_a_secret_across_a_chunk_border_is_found(tmp_path: Path, before: int) -> None:
    """A secret that begins in one chunk and ends in the next is found, also when it is escaped there."""
    for form in ("raw", "HTML character references"):
        (tmp_path / form).write_bytes(b"." * before + FORMS[form] + b"." * 99)

    assert len(Gate([SECRET]).search(tmp_path).hits) == 2


def test_a_hit_never_shows_the_value(tmp_path: Path) -> None:
    """What is reported of a leak holds no form of the secret."""
    (tmp_path / KEY.replace("/", "_")).write_text("innocent")
    (tmp_path / "log.txt").write_text(KEY)
    told = repr(Gate([Protected("api key", Secret(KEY.replace("/", "_"))), SECRET]).search(tmp_path)).encode()

    assert not list(leak_forms.find(told, leak_forms.needles(SECRET, {})))
    assert b"a file whose name gives it away" in told
    assert [path.name for path in tmp_path.iterdir()] == ["log.txt"]


def test_clean_artefacts_stay_as_they_are(tmp_path: Path) -> None:
    """Without a hit no file is touched, and the canary is gone."""
    (tmp_path / "report.html").write_text("<p>nothing &amp; more</p>")
    found = Gate([SECRET], {"rot13": undone}).search(tmp_path)

    assert found.canary_found
    assert found.files == 1
    assert found.hits == ()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"report.html": "<p>nothing &amp; more</p>"}


def test_a_gate_that_cannot_see_a_form_misses_its_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a part of the search is broken, the canary is reported missing, in that form."""
    real = leak_forms._views
    monkeypatch.setattr(leak_forms, "_views", lambda content: [view for view in real(content) if "HTML" not in view[0]])
    found = Gate([SECRET]).search(tmp_path)

    assert not found.canary_found
    assert {"HTML or XML", "character references"} <= set(found.missed)


def test_a_run_whose_gate_missed_its_canary_is_an_error(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is no success if its leak gate does not work."""
    monkeypatch.setattr(leaks, "find", lambda _content, _wanted: iter(()))
    ended = finish.finish(make_run(samples.all_green()[:-1]), samples.finished(), Gate([SECRET]))

    assert ended.results.exit_code is ExitCode.ERROR


def test_a_leak_in_the_journal_fails_the_run_and_keeps_the_rest(make_run: MakeRun) -> None:
    """A record that holds a secret is taken out; the other cases are reported, the run exits as a leak."""
    case = samples.failing(observed=f"header Authorization: {KEY}")
    run = make_run((*samples.all_green()[:-1], case))
    ended = finish.finish(run, samples.finished(collected=9), Gate([SECRET]))

    assert ended.results.exit_code is ExitCode.LEAK
    assert len(ended.results.cases) == 8
    gate = ended.results.leak_gate
    assert gate
    assert {hit.file for hit in gate.hits} >= {"journal.ndjson", "junit.xml", "report.html"}
    assert "Not to be passed on" in wording.sentence(ended.results)
    for path in run.rglob("*"):
        assert not list(leak_forms.find(path.read_bytes(), leak_forms.needles(SECRET, {}))), path


def test_what_is_rendered_after_the_search_is_searched_too(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that only the last rendering brings in fails the run as well."""
    run = make_run(samples.all_green()[:-1])
    real = finish.render

    def render_and_leak(run: Path, _history: Path | None = None) -> list[Path]:
        written = real(run)
        (run / "report.html").write_text(f"<p>{html.escape(KEY)}</p>", encoding="utf-8")
        return written

    monkeypatch.setattr(finish, "render", render_and_leak)
    ended = finish.finish(run, samples.finished(), Gate([SECRET]))

    assert ended.results.exit_code is ExitCode.LEAK
    assert "Withheld" in (run / "report.html").read_text(encoding="utf-8")


def test_a_leak_in_the_first_record_withholds_what_is_made_of_it(make_run: MakeRun) -> None:
    """A secret on the command line costs the run's first record, not the verdict about its cases."""
    run = make_run((samples.started(command=f"tox --api-key {KEY}"), samples.failing()))
    ended = finish.finish(run, samples.finished(), Gate([SECRET]))

    assert ended.results.exit_code is ExitCode.LEAK
    assert ended.results.started.run_id == "unknown"
    assert len(ended.results.cases) == 1


def test_a_withheld_junit_file_is_an_error_to_its_readers(tmp_path: Path) -> None:
    """A consumer of JUnit that gets a withheld file sees one error, named leak."""
    (tmp_path / "junit.xml").write_text(f"<a>{html.escape(KEY)}</a>", encoding="utf-8")
    Gate([SECRET]).search(tmp_path)

    error = etree.parse(tmp_path / "junit.xml").find(".//error")
    assert error is not None
    assert error.get("type") == "leak"


def test_a_key_of_several_lines_is_found_by_one_of_them(tmp_path: Path) -> None:
    """A single line of a private key gives it away; its banner, which all keys share, does not."""
    banner, own = "-----BEGIN OPENSSH PRIVATE KEY-----", "QyNTUxOQAAACDH2mV0r8Q0m4m1q3h5n0s1Y2Zp3u9d7cV8b6x5w4v3u2t1s"
    key = Protected("ssh key", Secret("\n".join([banner, own, own[::-1], "-----END OPENSSH PRIVATE KEY-----"])))
    (tmp_path / "banner").write_text(banner)
    (tmp_path / "line").write_text(f"debug: {own}")

    assert [hit.file for hit in Gate([key]).search(tmp_path).hits] == ["line"]


def test_a_constant_mask_is_not_taken_for_the_secret(tmp_path: Path) -> None:
    """A transform that makes the same of every secret gives nothing away."""
    (tmp_path / "log").write_text("password: ********** [redacted]")

    masks: dict[str, Callable[[bytes], bytes | None]] = {
        "redacted": lambda _raw: b"[redacted]",
        "stars": lambda raw: b"*" * len(raw),
    }
    assert Gate([Protected("password", Secret("0123456789"))], masks).search(tmp_path).hits == ()


def test_a_secret_too_short_to_find_is_refused() -> None:
    """A secret of three characters stands in every text; protecting it is refused with its name, not its value."""
    with pytest.raises(ValueError, match="'pin' has 3 characters") as refusal:
        Gate([Protected("pin", Secret("abc"))])

    assert "abc" not in str(refusal.value).replace("fewer", "")


def of_a_later_version(content: bytes) -> bytes:
    """Return a zip file that asks for a reader of a later version."""
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("a", content)
        packed = buffer.getvalue()
    place = packed.rindex(b"PK\x01\x02") + 6  # "version needed" in the directory at its end
    return packed[:place] + b"\xff" + packed[place + 1 :]


def test_damaged_archives_are_read_as_they_are(tmp_path: Path) -> None:
    """An archive that cannot be unpacked ends nothing, and is still searched byte by byte."""
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 999)[:-9] + RAW)
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04" + b"\0" * 40)
    (tmp_path / "c.tar").write_bytes(b"\0" * 257 + b"ustar" + b"\xff" * 600)
    (tmp_path / "d.zip").write_bytes(of_a_later_version(b"x"))

    assert [hit.file for hit in Gate([SECRET]).search(tmp_path).hits] == ["a.gz"]


@given(text=st.text(st.characters(codec=None, exclude_categories=()), min_size=8, max_size=30))
def test_any_secret_is_found_raw_in_json_and_in_base64(text: str) -> None:
    """Whatever a secret is made of, its plainest forms are found."""
    wanted = leak_forms.needles(Protected("any", Secret(text)), {})
    raw = text.encode("utf-8", "surrogatepass")

    for content in (raw, base64.b64encode(b"user:" + raw), raw.hex().encode()):
        assert next(leak_forms.find(b"(" + content + b")", wanted), None), content


@given(text=st.text(min_size=8, max_size=30))
def test_any_secret_is_found_escaped(text: str) -> None:
    """Whatever a secret is made of, it is found in JSON, HTML and percent-encoding."""
    wanted = leak_forms.needles(Protected("any", Secret(text)), {})

    for content in (json.dumps(text), html.escape(text), quote(text), html.escape(json.dumps(text))):
        assert next(leak_forms.find(content.encode(), wanted), None), content
