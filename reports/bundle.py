"""The certificate: a deterministic archive of a run with an in-toto attestation in a signed DSSE envelope.

The attestation (predicate ``test-result``) names every file of the archive with its SHA-256 digest; the envelope
(``attestation.dsse.json``) is signed by the user's key. ``verify`` needs the archive and the public key, no network,
and names the first thing that does not match. The envelope is DSSE as others read it: https://github.com/secure-systems-lab/dsse
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error as SecureSystemsError
from securesystemslib.signer import Signature

from reports import archive, certificate, journal, results, runs
from reports.text import one_line
from reports.verdicts import Verdict

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from securesystemslib.signer import Key, Signer

    from reports.results import Results

ENVELOPE = "attestation.dsse.json"
CLAIMS = "certificate.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
# The one signature stands there twice, under the key's id and under none: of the DSSE tools some take a signature only
# under the id that they know the key by, others only if its id is theirs or missing, and they compute ids differently.
_ANY = ""
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"


class RefusedError(Exception):
    """A bundle that must not be trusted; the message names the first thing that does not match."""


@dataclass(frozen=True)
class Verified:
    """A bundle whose every byte is signed for: what it claims, and who signed."""

    claims: Mapping[str, Any]
    key_id: str
    files: tuple[str, ...]

    @property
    def is_clean_pass(self) -> bool:
        """Whether the run was complete and nothing in it is red."""
        return self.claims["complete"] is True and self.claims["result"] in {"PASSED", "WARNED"}


# --- making


def write(run: Path, signer: Signer) -> Path:
    """Write the bundle of a finished run, all that stands in its directory, into that directory.

    Raises ValueError if the run is not finished or has no reports, if its leak gate withheld something or did not run,
    if it was a certification and left a requirement uncovered, or if a file's name does not fit into an archive.
    """
    if not runs.is_finished(run):
        raise ValueError(f"{run}: not certified, it is not finished or its reports are not rendered")
    outcome = results.load(run)
    if outcome.leak_gate is None or outcome.leak_gate.hits or not outcome.leak_gate.canary_found:
        raise ValueError(f"{run}: not certified, its leak gate did not run or did not pass")
    if outcome.uncovered:
        raise ValueError(f"{run}: not certified, not covered: {', '.join(outcome.uncovered)}")
    bundle = run / runs.CERTIFICATE
    runs.write(bundle, pack(_files_of(run), outcome, signer))
    return bundle


def _files_of(run: Path) -> dict[str, bytes]:
    paths = (
        path for path in run.rglob("*") if path.is_file() and not path.is_symlink() and path.name != runs.CERTIFICATE
    )
    named = {path.relative_to(run).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".")}


def pack(files: Mapping[str, bytes], outcome: Results, signer: Signer) -> bytes:
    """Return the bundle of these files and of what the run's results claim."""
    named = {**files, CLAIMS: certificate.write(certificate.claims(outcome))}
    envelope = Envelope(_statement(named, outcome), PAYLOAD_TYPE, {})
    signature = envelope.sign(signer)
    envelope.signatures[_ANY] = Signature(_ANY, signature.signature)
    return archive.pack({**named, ENVELOPE: certificate.write(envelope.to_dict())})


def _statement(files: Mapping[str, bytes], outcome: Results) -> bytes:
    subjects = [_descriptor(name, files[name]).pb for name in sorted(files)]
    predicate = {
        "result": certificate.result(outcome),
        "configuration": [json_format.MessageToDict(_descriptor(CLAIMS, files[CLAIMS]).pb)],
        "passedTests": _cases(outcome, Verdict.PASS),
        "warnedTests": _cases(outcome, Verdict.KNOWN, Verdict.NOT_COVERED),
        "failedTests": _cases(outcome, *(verdict for verdict in Verdict if verdict.is_red)),
    }
    statement = Statement(subjects, PREDICATE_TYPE, predicate)
    statement.validate()
    return certificate.write(json_format.MessageToDict(statement.pb))


def _cases(outcome: Results, *verdicts: Verdict) -> list[str]:
    # visible: protobuf takes no lone surrogate
    return sorted(one_line(case.case) for case in outcome.cases if case.verdict in verdicts)


def _descriptor(name: str, content: bytes) -> ResourceDescriptor:
    return ResourceDescriptor(name=name, digest={"sha256": hashlib.sha256(content).hexdigest()})


# --- verifying


def verify(path: Path, key: Key, *, on: dt.date | None = None) -> Verified:
    """Check a bundle; raise RefusedError with the first thing that does not match.

    Waivers are judged by the day of the run; ``on`` judges them by another day.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from None
    return verify_bytes(content, key, on=on)


def verify_bytes(content: bytes, key: Key, *, on: dt.date | None = None) -> Verified:
    """Check a bundle that is in memory, as :func:`verify` does."""
    try:
        files = archive.unpack(content)
    except archive.NotCanonicalError as error:
        raise RefusedError(f"the archive has been changed: {error}") from None
    statement = _signed_statement(files, key)
    _compare_files(files, statement)
    claimed = _json(files[CLAIMS], CLAIMS)
    _compare_claims(files, claimed, statement.predicate, on)
    return Verified(claimed, key.keyid, tuple(files))


@dataclass(frozen=True)
class _Signed:
    digests: dict[str, str]
    predicate: dict[str, Any]


def _signed_statement(files: Mapping[str, bytes], key: Key) -> _Signed:
    if ENVELOPE not in files:
        raise RefusedError(f"{ENVELOPE} is missing: the bundle is not signed")
    envelope = _envelope(files[ENVELOPE])
    if [*envelope.signatures] != [key.keyid, _ANY]:
        signers = ", ".join(name for name in envelope.signatures if name) or "none"
        raise RefusedError(f"{ENVELOPE}: signed by key {signers}, not by {key.keyid}")
    if envelope.signatures[_ANY].signature != envelope.signatures[key.keyid].signature:
        raise RefusedError(f"{ENVELOPE}: its signatures are not of one key")
    try:
        envelope.verify([key], 1)
    except (SecureSystemsError, ValueError):
        raise RefusedError(f"{ENVELOPE}: the signature does not fit what is signed") from None
    if envelope.payload_type != PAYLOAD_TYPE:
        raise RefusedError(f"{ENVELOPE}: holds {envelope.payload_type!r}, expected {PAYLOAD_TYPE!r}")
    return _read_statement(envelope.payload)


def _envelope(content: bytes) -> Envelope:
    data = _json(content, ENVELOPE)
    try:
        envelope = Envelope.from_dict(data)
        rewritten = certificate.write(envelope.to_dict())
    except (SecureSystemsError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise RefusedError(f"{ENVELOPE}: not a DSSE envelope ({error})") from None
    if rewritten != content:
        raise RefusedError(f"{ENVELOPE}: has been changed")
    return envelope


def _read_statement(payload: bytes) -> _Signed:
    statement = Statement([], "", {})
    try:
        json_format.Parse(payload, statement.pb)
        statement.validate()
    except (json_format.ParseError, ValueError) as error:
        raise RefusedError(f"{ENVELOPE}: not an in-toto statement ({error})") from None
    if statement.pb.predicate_type != PREDICATE_TYPE:
        raise RefusedError(f"{ENVELOPE}: states {statement.pb.predicate_type!r}, expected {PREDICATE_TYPE!r}")
    digests = {subject.name: subject.digest["sha256"] for subject in statement.pb.subject}
    return _Signed(digests, json_format.MessageToDict(statement.pb.predicate))


def _compare_files(files: Mapping[str, bytes], statement: _Signed) -> None:
    for name, digest in statement.digests.items():
        if name not in files:
            raise RefusedError(f"{name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise RefusedError(f"{name} has been changed")
    for name in files:
        if name not in statement.digests and name != ENVELOPE:
            raise RefusedError(f"{name} is not part of what was signed")
    for name in (CLAIMS, journal.FILE_NAME, runs.JUNIT, runs.PAGE):
        if name not in files:
            raise RefusedError(f"{name} is missing: no bundle is complete without it")


def _compare_claims(
    files: Mapping[str, bytes], claimed: Mapping[str, Any], predicate: Mapping[str, Any], on: dt.date | None
) -> None:
    contents = journal.parse(files[journal.FILE_NAME])
    outcome = results.of(contents.records, contents.damage)
    trouble = certificate.contradiction(claimed, outcome)
    if trouble:
        raise RefusedError(f"{CLAIMS}: {trouble}")
    if predicate.get("result") != claimed["result"]:
        raise RefusedError(f"{ENVELOPE}: attests {predicate.get('result')!r}, {CLAIMS} says {claimed['result']!r}")
    if expired := certificate.waiver_trouble(outcome, on):
        raise RefusedError(expired)


def _json(content: bytes, name: str) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise RefusedError(f"{name}: not a JSON document")
    return data
