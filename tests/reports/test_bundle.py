from __future__ import annotations

import base64
import datetime as dt
import io
import json
import random
import tarfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner, SSlibKey

from reports import archive, bundle, certificate, finish, keys, results, runs
from reports.leaks import Gate
from reports.records import to_json
from reports.verdicts import ExitCode, Verdict
from tests.reports import samples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from reports.records import Record
    from tests.reports.conftest import MakeRun

SIGNER = CryptoSigner.generate_ed25519()
KEY = SIGNER.public_key
GREEN = samples.all_green()
DAMAGED = 10_000


def made(
    records: tuple[Record, ...] = GREEN, signer: CryptoSigner = SIGNER, claimed: dict[str, object] | None = None
) -> bytes:
    """Return a bundle of these records; ``claimed`` are false claims that its signer makes."""
    outcome = results.of(records)
    files = {
        "journal.ndjson": b"".join(to_json(record).encode() + b"\n" for record in records),
        "junit.xml": b"<testsuites/>",
        "report.html": b"<!doctype html>",
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
    files = archive.unpack(content)
    change(files)
    return archive.pack(files)


@pytest.mark.parametrize("make", [CryptoSigner.generate_ed25519, CryptoSigner.generate_ecdsa])
def test_an_honest_bundle_verifies(make: Callable[[], CryptoSigner]) -> None:
    """A bundle verifies with the key that signed it, and tells what it certifies."""
    signer = make()
    found = bundle.verify_bytes(made(signer=signer), signer.public_key)

    assert found.is_clean_pass
    assert found.claims["requirements"]["REPAVE-03"]["verdict"] == "pass"
    assert found.claims["facts"]["palette.version"] == "4.9.12"
    assert found.claims["leak_gate"]["canary_found"] is True


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
        for name, content in archive.unpack(made()).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for field, value in change.items() if name == "junit.xml" else ():
                setattr(entry, field, value)
            tar.addfile(entry, io.BytesIO(content))

    refused(packed.getvalue(), "junit.xml: its header has been changed")


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda content: content.replace(b"\n", b" "),
        lambda content: content.replace(b'"payloadType"', b'"extra": 1,\n "payloadType"'),
        lambda content: content + b"\n",
        lambda content: json.dumps(json.loads(content)).encode(),
    ],
    ids=["blanks", "one more key", "one more line", "written otherwise"],
)
def test_an_envelope_that_says_the_same_in_other_bytes_is_refused(rewrite: Callable[[bytes], bytes]) -> None:
    """The envelope is not itself signed for, so there is only one way in which it may be written."""
    content = changed(made(), lambda files: files.update({bundle.ENVELOPE: rewrite(files[bundle.ENVELOPE])}))

    refused(content, "attestation.dsse.json: has been changed")


def test_a_changed_file_is_named() -> None:
    """A file whose content is not what was signed is named."""
    refused(changed(made(), lambda files: files.update({"junit.xml": b"<all-good/>"})), "^junit.xml has been changed")


def test_a_missing_file_is_named() -> None:
    """A file that was signed for and is not there is named."""
    refused(changed(made(), lambda files: files.pop("report.html")), "^report.html is missing")


def test_an_extra_file_is_named() -> None:
    """A file that nobody signed for is named."""
    refused(changed(made(), lambda files: files.update({"z.txt": b""})), "^z.txt is not part of what was signed")


def test_a_bundle_without_a_signature_is_refused() -> None:
    """An unsigned bundle is no bundle."""
    refused(changed(made(), lambda files: files.pop(bundle.ENVELOPE)), "not signed")


def test_another_key_is_refused() -> None:
    """A bundle that somebody else signed is refused, naming both keys."""
    refused(made(signer=CryptoSigner.generate_ed25519()), f"signed by key .* not by {KEY.keyid}")


def test_a_signature_under_a_borrowed_key_id_is_refused() -> None:
    """Naming the right key does not make a signature."""
    stranger = CryptoSigner.generate_ed25519(keyid=KEY.keyid)

    refused(made(signer=stranger), "signature does not fit")


def test_an_expired_waiver_is_refused() -> None:
    """A run that met a known issue after its waiver had ended is not certified; the day can be chosen."""
    late = replace(samples.WAIVER, expires="2026-11-21")
    content = made((samples.started(waivers=(samples.WAIVER,)), *GREEN[1:]))

    refused(made((samples.started(waivers=(late,)), *GREEN[1:])), "waiver PE-3568 expired on 2026-11-21")
    assert bundle.verify_bytes(content, KEY)
    with pytest.raises(bundle.RefusedError, match="expired on 2026-12-20"):
        bundle.verify_bytes(content, KEY, on=dt.date(2027, 11, 22))


def test_an_overlong_waiver_is_refused() -> None:
    """A waiver that was given for more than 90 days certifies nothing."""
    long = replace(samples.WAIVER, expires="2027-12-20")

    refused(made((samples.started(waivers=(long,)), *GREEN[1:])), "longer than 90 days")


@pytest.mark.parametrize(
    "records",
    [
        GREEN[:-1],
        (*GREEN[:-1], samples.finished(deselected=1)),
        (*GREEN[:-1], samples.finished(interrupted=True)),
        (GREEN[0], *GREEN[2:]),
    ],
    ids=["not finished", "deselected", "interrupted", "a case left out"],
)
def test_a_partial_run_presented_as_complete_is_refused(records: tuple[Record, ...]) -> None:
    """Whoever signs that a partial run was complete is not believed; who says that it was partial, is."""
    refused(made(records, claimed={"complete": True, "gaps": []}), "a partial run is presented as complete")

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
    ],
    ids=lambda claim: next(iter(claim)),
)
def test_claims_that_the_journal_does_not_bear_out_are_refused(claim: dict[str, object]) -> None:
    """A signed certificate that says anything else than its own journal is refused."""
    refused(made(samples.one_of_each(), claimed=claim), "certificate.json: |attests")


def test_a_flattering_verdict_of_a_requirement_is_refused() -> None:
    """A requirement that failed cannot be certified as passed."""
    flattered = certificate.claims(results.of(samples.one_of_each()))["requirements"]
    flattered["REPAVE-03"]["verdict"] = "pass"

    refused(
        made(samples.one_of_each(), claimed={"requirements": flattered}),
        "requirement REPAVE-03 is not as the journal tells it",
    )


def test_a_red_run_verifies_and_is_no_pass() -> None:
    """An honest bundle of a failing run verifies as what it is."""
    found = bundle.verify_bytes(made(samples.one_of_each()), KEY)

    assert found.claims["result"] == "FAILED"
    assert not found.is_clean_pass


def test_the_same_run_gives_the_same_bundle() -> None:
    """Two bundles of one run are the same to the byte."""
    assert made() == made()


def test_the_envelope_is_dsse_as_the_specification_has_it() -> None:
    """Another implementation needs the DSSE text only: base64 payload, its type, a signature over the two."""
    envelope = json.loads(archive.unpack(made())[bundle.ENVELOPE])
    payload = base64.b64decode(envelope["payload"], validate=True)
    kind = envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    public = serialization.load_pem_public_key(KEY.keyval["public"].encode()) if "PEM" in KEY.keyval["public"] else None
    public = public or ed25519.Ed25519PublicKey.from_public_bytes(bytes.fromhex(KEY.keyval["public"]))

    assert isinstance(public, ed25519.Ed25519PublicKey)
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"], validate=True), signed)
    statement = json.loads(payload)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
    assert statement["predicate"]["result"] == "PASSED"


def test_securesystemslib_verifies_the_envelope_by_itself() -> None:
    """The library that in-toto's Python tools use takes the envelope with nothing but the public key."""
    envelope = Envelope.from_dict(json.loads(archive.unpack(made())[bundle.ENVELOPE]))

    assert envelope.verify([SSlibKey.from_crypto(SIGNER._private_key.public_key())], 1)


def test_a_tool_that_knows_no_key_ids_finds_a_signature_without_one() -> None:
    """Tools in Go skip a signature whose key id they would have computed otherwise; one without an id they try."""
    signatures = json.loads(archive.unpack(made())[bundle.ENVELOPE])["signatures"]

    assert [entry["keyid"] for entry in signatures] == [KEY.keyid, ""]
    assert len({entry["sig"] for entry in signatures}) == 1


def test_an_ecdsa_envelope_is_dsse_too() -> None:
    """With ECDSA the signature is over the same bytes, with SHA-256."""
    signer = CryptoSigner.generate_ecdsa()
    envelope = json.loads(archive.unpack(made(signer=signer))[bundle.ENVELOPE])
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    public = serialization.load_pem_public_key(signer.public_key.keyval["public"].encode())

    assert isinstance(public, ec.EllipticCurvePublicKey)
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    public.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, ec.ECDSA(hashes.SHA256()))


def test_any_tar_reads_the_archive() -> None:
    """The bundle is a tar file like any other."""
    with tarfile.open(fileobj=io.BytesIO(made())) as tar:
        names = tar.getnames()

    assert names == sorted(names)
    assert {"attestation.dsse.json", "certificate.json", "journal.ndjson", "junit.xml", "report.html"} <= set(names)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../b", "", "a\nb", "n" * 300])
def test_a_name_that_leads_out_of_the_archive_is_refused(name: str) -> None:
    """No file of an archive can be unpacked to another place."""
    with pytest.raises(ValueError, match=r".*"):
        archive.pack({name: b""})


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
