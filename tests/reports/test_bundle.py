from __future__ import annotations

import datetime as dt
import io
import random
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from reports import bundle, certificate, finish, keys, results, runs
from reports.leaks import Gate
from reports.records import LeakHit, Record, to_json
from reports.verdicts import ExitCode, Verdict
from tests.reports import samples
from tests.reports.conftest import MakeRun

SIGNER = Ed25519PrivateKey.generate()
KEY = SIGNER.public_key()
GREEN = samples.all_green()
DAMAGED = 4_000


def made(
    records: tuple[Record, ...] = GREEN, signer: Ed25519PrivateKey = SIGNER, claimed: dict[str, object] | None = None
) -> bytes:
    """Return a bundle of these records; ``claimed`` are false claims that its signer makes."""
    outcome = results.of(records)
    files = {
        "journal.ndjson": b"".join(to_json(record).encode() + b"\n" for record in records),
        "junit.xml": f"<testsuites>{outcome.started.run_id}</testsuites>".encode(),
        "report.html": f"<!doctype html>{outcome.started.run_id}".encode(),
        "attachments/edge-1/journal.txt": bytes(range(256)) * 4,
    }
    with pytest.MonkeyPatch.context() as patch:
        false = {**certificate.claims(outcome), **(claimed or {})}
        patch.setattr(certificate, "claims", lambda _outcome: false)
        return bundle.pack(files, outcome, signer)


def refused(content: bytes, told: str) -> None:
    """Check that a bundle is refused, and for what."""
    with pytest.raises(bundle.RefusedError, match=told):
        bundle.verify_bytes(content, KEY)


def changed(content: bytes, change: Callable[[dict[str, bytes]], object]) -> bytes:
    """Return the bundle with its files changed, packed as if nothing had happened."""
    files = bundle.unpack(content)
    change(files)
    return bundle.archive(files)


def test_an_honest_bundle_verifies() -> None:
    """A bundle verifies with the key that signed it, and tells what it certifies; two of one run are the same."""
    found = bundle.verify_bytes(made(), KEY)

    assert found.is_clean_pass
    assert found.claims["requirements"]["REPAVE-03"]["verdict"] == "pass"
    assert found.claims["facts"]["palette.version"] == "4.9.12"
    assert found.claims["leak_gate"]["canary_found"] is True
    assert made() == made()


def test_a_red_run_verifies_and_is_no_pass() -> None:
    """An honest bundle of a failing run verifies as what it is."""
    found = bundle.verify_bytes(made(samples.one_of_each()), KEY)

    assert (found.claims["result"], found.is_clean_pass) == ("FAILED", False)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        (b' "result": ', b' "result": "FAILED",\n "result": '),
        (b"true", b"1"),
        (b'"pass"', b'"pa\\u0073s"'),
        (b"{", b" {"),
    ],
    ids=["twice", "a number for true", "escaped", "a blank"],
)
def test_claims_that_others_may_read_otherwise_are_refused(written: bytes, instead: bytes) -> None:
    """A document that says a thing twice, or as another type, is no certificate, whoever signed it."""
    files = bundle.unpack(made())
    files[bundle.CLAIMS] = files[bundle.CLAIMS].replace(written, instead, 1)
    files[bundle.SIGNATURE] = SIGNER.sign(files[bundle.CLAIMS])

    refused(bundle.archive(files), "not written as the harness writes it")


@pytest.mark.parametrize("number", range(100))
def test_a_hundred_honest_bundles_all_verify(number: int) -> None:
    """Whatever a run's cases ended as, its honest bundle verifies."""
    luck = random.Random(number)  # noqa: S311  for variety
    verdicts = luck.choices(list(Verdict), k=luck.randrange(1, 40))
    cases = [
        samples.case(verdict, case=f"case {place} \ud800\0é", seed=str(number))
        for place, verdict in enumerate(verdicts)
    ]
    ended = samples.finished(collected=len(cases), interrupted=luck.random() < 0.2)

    assert bundle.verify_bytes(made((samples.started(run_id=str(number)), *cases, ended)), KEY)


def test_no_randomly_damaged_bundle_verifies() -> None:
    """Any change to any byte, anywhere in the archive, is refused as such; nothing crashes and nothing passes."""
    whole, luck = made(), random.Random(20261122)  # noqa: S311  for variety
    for _ in range(DAMAGED):
        damaged = _damage(whole, luck)
        if damaged != whole:
            with pytest.raises(bundle.RefusedError):
                bundle.verify_bytes(damaged, KEY)


def _damage(whole: bytes, luck: random.Random) -> bytes:
    place = luck.randrange(len(whole))
    size = luck.choice([1, 1, 1, 2, 16, 512, 513, 4096])
    before, after, rest = whole[:place], whole[place:], whole[place + size :]
    block, other = sorted((place - place % 512, luck.randrange(0, len(whole), 512)))
    kinds = {
        "a bit": before + bytes([whole[place] ^ 1 << luck.randrange(8)]) + whole[place + 1 :],
        "other bytes": before + luck.randbytes(len(whole) - len(before) - len(rest)) + rest,
        "cut": before,
        "continued": whole + luck.choice([b"\0" * size, luck.randbytes(size), whole]),
        "taken out": before + rest,
        "put in": before + luck.randbytes(size) + after,
        "a block twice": whole[: block + 512] + whole[block:],
        "blocks exchanged": b"".join(
            (whole[:block], whole[other : other + 512], whole[block + 512 : other], whole[block : block + 512])
        )
        + whole[other + 512 :],
    }
    return luck.choice(list(kinds.values()))


def test_every_single_byte_counts() -> None:
    """There is no byte in a bundle that can be changed unnoticed."""
    whole = made(samples.all_green(1))
    for place in range(0, len(whole), 7):
        with pytest.raises(bundle.RefusedError):
            bundle.verify_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], KEY)


@pytest.mark.parametrize("change", [{"mtime": 1}, {"uname": "eve"}, {"mode": 0o4755}, {"type": tarfile.SYMTYPE}])
def test_the_same_files_in_another_archive_are_refused(change: dict[str, object]) -> None:
    """A well-formed archive with other times, owners, rights or kinds of entries is not the one that was made."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in bundle.unpack(made()).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for field, value in change.items() if name == "junit.xml" else ():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(content))

    refused(packed.getvalue(), "the archive has been changed")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda files: files.update({"junit.xml": b"<all-good/>"}), "^junit.xml has been changed"),
        (lambda files: files.pop("report.html"), "^report.html is missing"),
        (lambda files: files.update({"z.txt": b""}), "^z.txt is not part of what was signed"),
        (lambda files: files.pop(bundle.SIGNATURE), "not signed"),
    ],
    ids=["changed", "missing", "extra", "unsigned"],
)
def test_files_that_are_not_those_that_were_signed_are_named(
    change: Callable[[dict[str, bytes]], object], told: str
) -> None:
    """A file that was changed, is missing or was added is named, and an unsigned bundle is no bundle."""
    refused(changed(made(), change), told)


def test_another_key_is_refused() -> None:
    """A bundle that somebody else signed is refused, naming the key that was expected."""
    refused(made(signer=Ed25519PrivateKey.generate()), f"was not signed by {keys.fingerprint(KEY)}")


def test_nothing_is_parsed_before_its_signature_holds() -> None:
    """A document that would overwhelm a parser is refused by its signature; a signed one is told in a line."""
    deep = b"[" * 100_000

    refused(changed(made(), lambda files: files.update({bundle.CLAIMS: deep})), "certificate.sig: ")
    signed = {bundle.CLAIMS: deep, bundle.SIGNATURE: SIGNER.sign(deep)}
    refused(changed(made(), lambda files: files.update(signed)), "certificate.json: not a JSON document")


@pytest.mark.parametrize("name", ["junit.xml", "report.html"])
def test_reports_of_another_run_are_refused(name: str) -> None:
    """A signer cannot put the page or the JUnit file of another run beside a journal."""
    files = {**bundle.unpack(made()), name: b"of another run"}
    for part in (bundle.CLAIMS, bundle.SIGNATURE):
        files.pop(part)

    refused(bundle.pack(files, results.of(GREEN), SIGNER), f"{name} is of another run than 20261122-030000-5eed")


def test_a_signed_journal_with_a_leak_is_refused() -> None:
    """What the leak gate withheld cannot be certified by signing it all the same."""
    leaked = replace(samples.GATE, hits=(LeakHit(file="a", secret="api key", form="raw"),))

    refused(made((*GREEN[:-1], samples.finished(leak_gate=leaked))), "its leak gate did not run or did not pass")
    refused(made(GREEN[:-1], claimed={"complete": True}), "a partial run is presented as complete")
    refused(made(GREEN[:-1]), "its leak gate did not run or did not pass")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"expires": "2026-11-21"}, "waiver PE-3568 expired on 2026-11-21"),
        ({"expires": "2027-12-20"}, "longer than 90 days"),
        ({"opened": "9999-12-01", "expires": "9999-12-31"}, "was opened on 9999-12-01, after 2026-11-22"),
    ],
    ids=["expired", "overlong", "opened after the run"],
)
def test_a_waiver_that_was_not_in_force_certifies_nothing(change: dict[str, Any], told: str) -> None:
    """A run that met a known issue beyond what its waiver could cover is not certified."""
    refused(made((samples.started(waivers=(replace(samples.WAIVER, **change),)), *GREEN[1:])), told)


def test_waivers_can_be_judged_by_another_day() -> None:
    """A waiver in force on the day of the run may have ended on the day of reading."""
    content = made((samples.started(waivers=(samples.WAIVER,)), *GREEN[1:]))

    assert bundle.verify_bytes(content, KEY)
    with pytest.raises(bundle.RefusedError, match="expired on 2026-12-20"):
        bundle.verify_bytes(content, KEY, on=dt.date(2027, 11, 22))


@pytest.mark.parametrize(
    "records",
    [
        (*GREEN[:-1], samples.finished(deselected=1)),
        (*GREEN[:-1], samples.finished(interrupted=True)),
        (GREEN[0], *GREEN[2:]),
    ],
    ids=["deselected", "interrupted", "a case left out"],
)
def test_a_partial_run_presented_as_complete_is_refused(records: tuple[Record, ...]) -> None:
    """Whoever signs that a partial run was complete is not believed; who says that it was partial, is."""
    refused(made(records, claimed={"complete": True}), "a partial run is presented as complete")

    honest = bundle.verify_bytes(made(records), KEY)
    assert honest.claims["complete"] is False
    assert not honest.is_clean_pass


@pytest.mark.parametrize(
    "claim",
    [
        {"result": "PASSED"},
        {"exit_code": 0},
        {"cases": {}},
        {"waivers": []},
        {"requirements": {}},
        {"facts": {"palette.version": "5.0"}},
        {"level": "certification"},
        {"leak_gate": None},
        {"site": "production"},
        {"started": "2026-11-23T03:00:00.000Z"},
        {"ended": "2026-11-23T03:00:00.000Z"},
        {"command": "./run conformance -- --lf"},
        {"features": ["everything"]},
        {"schema": "another"},
        {"sentence": "Conforms: all 73 requirements hold."},
        {"case_seeds": []},
    ],
    ids=lambda claim: next(iter(claim)),
)
def test_claims_that_the_journal_does_not_bear_out_are_refused(claim: dict[str, object]) -> None:
    """A signed certificate that says anything else than its own journal is refused."""
    refused(made(samples.one_of_each(), claimed=claim), "certificate.json: ")


def test_a_flattering_verdict_of_a_requirement_is_refused() -> None:
    """A requirement that failed cannot be certified as passed."""
    flattered = certificate.claims(results.of(samples.one_of_each()))["requirements"]
    flattered["REPAVE-03"]["verdict"] = "pass"

    refused(
        made(samples.one_of_each(), claimed={"requirements": flattered}),
        "requirement REPAVE-03 is not as the journal tells it",
    )


def test_openssl_verifies_the_signature(tmp_path: Path) -> None:
    """The signature is checked without this project, as docs/reports.md says."""
    for name, content in bundle.unpack(made()).items():
        if name.startswith("certificate."):
            (tmp_path / name).write_bytes(content)
    pem = KEY.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "release-key.pub").write_bytes(pem)
    command = "pkeyutl -verify -pubin -inkey release-key.pub -rawin -in certificate.json -sigfile certificate.sig"
    told = subprocess.run(
        ["openssl", *command.split()], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout

    assert "Verified Successfully" in told
    assert command in (Path(__file__).parents[2] / "docs" / "reports.md").read_text("utf-8")


def test_any_tar_reads_the_archive() -> None:
    """The bundle is a tar file like any other."""
    with tarfile.open(fileobj=io.BytesIO(made())) as tar:
        names = tar.getnames()

    assert names == sorted(names)
    assert {"certificate.sig", "certificate.json", "journal.ndjson", "junit.xml", "report.html"} <= set(names)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "a\nb", "n" * 300])
def test_a_name_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    """No file of an archive can be unpacked to another place."""
    with pytest.raises(ValueError, match=r".*"):
        bundle.archive({name: b""})


def test_a_certified_run_has_its_bundle(make_run: MakeRun, tmp_path: Path) -> None:
    """A run that ends with a signer leaves a bundle of everything in its directory, extras included."""
    keys.generate(tmp_path / "key")
    run = make_run(GREEN[:-1])
    (run / "attachments").mkdir()
    (run / "attachments" / "host.txt").write_text("fine")
    signer = keys.signer(tmp_path / "key")

    ended = finish.finish(run, samples.finished(), Gate([]), signer=signer, extra={"kill-matrix.json": b"{}"})
    assert ended.certificate
    found = bundle.verify(ended.certificate, keys.public_key(tmp_path / "key.pub"))
    assert {"attachments/host.txt", "kill-matrix.json", "summary.md"} <= set(found.files)


def test_a_run_whose_leak_gate_did_not_pass_is_not_certified(make_run: MakeRun) -> None:
    """Without a leak gate that passed there is no certificate."""
    run = make_run((*GREEN[:-1], samples.finished(leak_gate=None)))
    finish.render(run)

    with pytest.raises(ValueError, match="its leak gate did not run"):
        bundle.write(run, SIGNER)


def test_a_certification_that_left_something_open_is_not_certified(make_run: MakeRun) -> None:
    """A certification with a requirement that is not covered leaves no certificate, at its end or later."""
    open_case = samples.case(Verdict.NOT_COVERED, samples.REQUIREMENTS[0].id, case="suites/open.py::test_open")
    run = make_run((samples.started(level="certification"), *samples.all_green()[1:-1], open_case))

    ended = finish.finish(run, samples.finished(collected=9), Gate([]), signer=SIGNER)
    assert ended.results.exit_code is ExitCode.UNCOVERED
    assert ended.certificate is None
    with pytest.raises(ValueError, match=f"not certified, not covered: {samples.REQUIREMENTS[0].id}"):
        bundle.write(run, SIGNER)
    assert not (run / runs.CERTIFICATE).exists()
