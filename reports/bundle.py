"""The certificate of a run: a tar file of its directory, what it claims, and a detached signature over the claims.

``certificate.json`` has the claims and the SHA-256 digest of every file; ``certificate.sig`` is the Ed25519 signature
of its bytes, which openssl verifies, too. Of one run there is exactly one archive: sorted names, no times, no owners.
An archive that would not be written so again is refused, so no byte of it can be changed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature

from bounded import file_content
from reports import certificate, journal, keys, results, runs, wording

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from reports.results import Results

LARGEST = 256 << 20  # bytes of a bundle that is verified
CLAIMS, SIGNATURE = "certificate.json", "certificate.sig"


class RefusedError(Exception):
    """A bundle that must not be trusted; the message names the first thing that does not match."""


@dataclass(frozen=True)
class Verified:
    """A bundle whose every byte is signed for: what its journal says, and who signed."""

    claims: Mapping[str, Any]
    sentence: str
    gaps: tuple[str, ...]
    key: str
    files: tuple[str, ...]

    @property
    def is_clean_pass(self) -> bool:
        """Whether the run was complete and nothing in it is red."""
        return self.claims["complete"] is True and self.claims["result"] in {"PASSED", "WARNED"}


# --- making


def write(run: Path, signer: Ed25519PrivateKey) -> Path:
    """Write the bundle of a finished run, all that stands in its directory, into that directory.

    Raises ValueError if the run is not finished or has no reports, if its leak gate withheld something or did not run,
    if it was a certification and left a requirement uncovered, or if a file's name does not fit into an archive.
    """
    if not runs.is_finished(run):
        raise ValueError(f"{run}: not certified, it is not finished or its reports are not rendered")
    outcome = results.load(run)
    if not certificate.is_leak_free(outcome):
        raise ValueError(f"{run}: not certified, its leak gate did not run or did not pass")
    if outcome.uncovered:
        raise ValueError(f"{run}: not certified, not covered: {', '.join(outcome.uncovered)}")
    runs.write(run / runs.CERTIFICATE, pack(_files_of(run), outcome, signer))
    return run / runs.CERTIFICATE


def _files_of(run: Path) -> dict[str, bytes]:
    paths = (path for path in run.rglob("*") if path.is_file() and not path.is_symlink())
    named = {path.relative_to(run).as_posix(): path for path in paths if path.name != runs.CERTIFICATE}
    return {name: path.read_bytes() for name, path in named.items() if not name.startswith(".")}


def pack(files: Mapping[str, bytes], outcome: Results, signer: Ed25519PrivateKey) -> bytes:
    """Return the bundle of these files and of what the run's results claim."""
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    claims = certificate.write({**certificate.claims(outcome), "files": digests})
    return archive({**files, CLAIMS: claims, SIGNATURE: signer.sign(claims)})


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return the one archive of these files. Raises ValueError for a name that leads elsewhere or does not fit."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(files):
            if name.startswith("/") or ".." in name.split("/") or not name.isprintable() or not name:
                raise ValueError(f"{name!r} is no name for a file in an archive")
            entry = tarfile.TarInfo(name)
            entry.size = len(files[name])
            tar.addfile(entry, io.BytesIO(files[name]))
    return packed.getvalue()


# --- verifying


def verify(path: Path, key: Ed25519PublicKey, *, on: dt.date | None = None) -> Verified:
    """Check a bundle; raise RefusedError with the first thing that does not match.

    Waivers are judged by the day of the run; ``on`` judges them by another day.
    """
    try:
        content = file_content(path, LARGEST)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from None
    return verify_bytes(content, key, on=on)


def verify_bytes(content: bytes, key: Ed25519PublicKey, *, on: dt.date | None = None) -> Verified:
    """Check a bundle that is in memory, as :func:`verify` does. Nothing is parsed before its signature holds."""
    files = unpack(content)
    claimed = _signed_claims(files, key)
    digests = claimed.pop("files", None)
    _compare_files(files, digests)
    contents = journal.parse(files[journal.FILE_NAME])
    outcome = results.of(contents.records, contents.damage)
    if trouble := certificate.contradiction(claimed, outcome) or certificate.waiver_trouble(outcome, on):
        raise RefusedError(f"{CLAIMS}: {trouble}")
    if files[CLAIMS] != certificate.write({**certificate.claims(outcome), "files": digests}):
        raise RefusedError(f"{CLAIMS}: it is not written as the harness writes it, and others may read it otherwise")
    for name in (runs.JUNIT, runs.PAGE):
        if outcome.started.run_id.encode() not in files[name]:
            raise RefusedError(f"{name} is of another run than {outcome.started.run_id}")
    return Verified(claimed, wording.sentence(outcome), outcome.gaps, keys.fingerprint(key), tuple(files))


def unpack(content: bytes) -> dict[str, bytes]:
    """Return the files of an archive that :func:`archive` wrote. Raises RefusedError for any other bytes."""
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for entry in tar:
                if entry.type != tarfile.REGTYPE or entry.size > len(content):
                    raise RefusedError(f"the archive has been changed: {entry.name} is no plain file")
                member = tar.extractfile(entry)
                files[entry.name] = member.read() if member else b""
        same = archive(files) == content
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:
        raise RefusedError(f"the archive has been changed: {error}") from None
    if not same:
        raise RefusedError("the archive has been changed: it would not be written so")
    return files


def _signed_claims(files: Mapping[str, bytes], key: Ed25519PublicKey) -> dict[str, Any]:
    for name in (CLAIMS, SIGNATURE):
        if name not in files:
            raise RefusedError(f"{name} is missing: the bundle is not signed")
    try:
        key.verify(files[SIGNATURE], files[CLAIMS])
    except InvalidSignature:
        raise RefusedError(
            f"{SIGNATURE}: {CLAIMS} has been changed, or was not signed by {keys.fingerprint(key)}"
        ) from None
    try:
        claimed = json.loads(files[CLAIMS])
    except (ValueError, RecursionError):
        claimed = None
    if not isinstance(claimed, dict):
        raise RefusedError(f"{CLAIMS}: not a JSON document")
    return claimed


def _compare_files(files: Mapping[str, bytes], digests: object) -> None:
    if not isinstance(digests, dict):
        raise RefusedError(f"{CLAIMS}: names no files")
    for name, digest in digests.items():
        if name not in files:
            raise RefusedError(f"{name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != digest:
            raise RefusedError(f"{name} has been changed")
    for name in files:
        if name not in digests and name not in {CLAIMS, SIGNATURE}:
            raise RefusedError(f"{name} is not part of what was signed")
    for name in (journal.FILE_NAME, runs.JUNIT, runs.PAGE):
        if name not in files:
            raise RefusedError(f"{name} is missing: no bundle is complete without it")
