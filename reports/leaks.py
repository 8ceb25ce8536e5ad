"""The leak gate: no artefact of a run leaves with a protected secret in it, in any form that docs/reports.md lists.

A hit fails the run and names file and form, never the value. The artefact is set aside into ``withheld/RUN``, beside
``runs/``, which only its owner can read; a notice stands in its place. Of a journal only the lines that give something
away are set aside, so that the rest of the run can still be reported. Whoever has looked at it can take it back
(:func:`release`). The gate distrusts itself: every search also looks for a canary in every form.
"""

from __future__ import annotations

import html
import itertools
import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reports import canary, runs
from reports.artefacts import unpacked, windows
from reports.journal import FILE_NAME as JOURNAL
from reports.leak_forms import Needle, Protected, find, needles
from reports.records import LeakGate, LeakHit
from reports.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reports.leak_forms import Transform

__all__ = ["Gate", "Protected", "aside", "release"]

# The most that one byte of a secret takes when escaped: "&#x1f600;" in HTML, again escaped in JSON.
_WIDEST_ESCAPE = 12
_STUB = "withheld"


class Gate:
    """Searches a run's artefacts for the protected secrets, and withholds what gives one away."""

    def __init__(self, protected: Iterable[Protected], transforms: Mapping[str, Transform] | None = None) -> None:
        """Take the secrets, and as ``transforms`` the catalogue of ways in which software changes one, by name."""
        self._secrets = tuple(protected)
        self._needles = tuple(needle for entry in self._secrets for needle in needles(entry, transforms or {}))

    def search(self, root: Path) -> LeakGate:
        """Search every file below ``root``, and a fresh canary in every form."""
        files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        missed = tuple(dict.fromkeys(_missed()))
        empty = LeakGate(
            files=len(files),
            secrets=len(self._secrets),
            forms=len(self._needles),
            canary_found=not missed,
            missed=missed,
        )
        return self.search_again(root, files, empty)

    def search_again(self, root: Path, files: Iterable[Path], before: LeakGate) -> LeakGate:
        """Search files that were written after the first search; return both findings as one."""
        found = [finding for path in files for finding in _search_file(path, root, self._needles)]
        for name in dict.fromkeys(finding.file for finding in found if not finding.hint):
            self._withhold(root, [finding for finding in found if finding.file == name and not finding.hint])
        hits, hints = ([finding.hit for finding in found if finding.hint is hint] for hint in (False, True))
        return replace(
            before,
            hits=tuple(dict.fromkeys((*before.hits, *hits))),
            hints=tuple(dict.fromkeys((*before.hints, *hints))),
        )

    def _withhold(self, root: Path, found: Sequence[_Finding]) -> None:
        path = root / found[0].file
        notice = f"withheld: the leak gate found {found[0].secret} in this file ({found[0].form})"
        if path.name == JOURNAL:
            self._withhold_lines(path, aside(root), notice)
            return
        if path.name not in _RENDERED:
            _keep(_unused(aside(root) / found[0].file), path.read_bytes(), aside(root))
        if found[0].in_name:
            path.unlink(missing_ok=True)
        else:
            runs.write(path, _notice(path, notice))

    def _withhold_lines(self, path: Path, home: Path, notice: str) -> None:
        """Set aside the lines of a journal that give something away; a stub in the place of each tells its number."""
        kept = home / JOURNAL
        number = kept.read_bytes().count(b"\n") if kept.exists() else 0
        lines, leaking = path.read_bytes().split(b"\n"), list[bytes]()
        for place, line in enumerate(lines):
            if any(not needle.hint for needle, _ in find(line, self._needles)):
                stub = {"record": _STUB, "line": number + len(leaking), "reason": notice}
                leaking.append(line + b"\n")
                lines[place] = json.dumps(stub).encode()
        _keep(kept, b"".join(leaking), home)
        runs.write(path, b"\n".join(lines))


# What is made from the journal is made again from it.
_RENDERED = {runs.JUNIT, runs.PAGE, runs.SUMMARY, runs.CERTIFICATE}


def aside(run: Path) -> Path:
    """Return where the withheld artefacts of a run are: outside of ``runs/``, which build servers keep."""
    return run.parent.parent / "withheld" / run.name


def release(run: Path) -> list[Path]:
    """Put back what was withheld of a run; return the files. Somebody has looked at them and found no secret."""
    home = aside(run)
    released: list[Path] = []
    for kept in sorted(path for path in home.rglob("*") if path.is_file()):
        place = run / kept.relative_to(home)
        runs.write(place, _with_lines(place, kept.read_bytes()) if place.name == JOURNAL else kept.read_bytes())
        kept.unlink()
        released.append(place)
    return released


def _with_lines(journal: Path, kept: bytes) -> bytes:
    lines, originals = journal.read_bytes().split(b"\n"), kept.split(b"\n")
    stub = json.dumps({"record": _STUB})[:-1].encode()
    return b"\n".join(originals[json.loads(line)["line"]] if line.startswith(stub) else line for line in lines)


def _keep(place: Path, content: bytes, home: Path) -> None:
    """Add to a file below ``home`` that only its owner can read; what stands there stays."""
    home.parent.mkdir(exist_ok=True, mode=0o700)
    place.parent.mkdir(exist_ok=True, parents=True)
    with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as file:
        file.write(content)


def _unused(place: Path) -> Path:
    numbered = (place.with_name(f"{place.name}.{number}") for number in itertools.count(2))
    return next(path for path in (place, *itertools.islice(numbered, 999)) if not path.exists())


def _missed() -> Iterator[str]:
    """Yield the forms in which the search does not find a canary."""
    planted = canary.make()
    searched = needles(planted, {})
    for form, content in canary.forms(planted.secret.reveal()):
        if not any(next(find(window, searched), None) for window in (content, *unpacked(content))):
            yield form


@dataclass(frozen=True)
class _Finding:
    file: str
    secret: str
    form: str
    hint: bool = False
    in_name: bool = False

    @property
    def hit(self) -> LeakHit:
        file = "(a file whose name gives it away)" if self.in_name else one_line(self.file)
        return LeakHit(file=file, secret=self.secret, form=self.form)


def _search_file(path: Path, root: Path, wanted: Sequence[Needle]) -> Iterator[_Finding]:
    """Yield one finding for each secret in the file: the first form in which it stands there, a proof before a hint."""
    name = path.relative_to(root).as_posix()
    in_name = {needle.secret: form for needle, form in find(os.fsencode(name), wanted) if not needle.hint}
    if in_name:
        yield from (_Finding(name, secret, f"file name, {form}", in_name=True) for secret, form in in_name.items())
        return
    overlap = _WIDEST_ESCAPE * max((len(needle.value) for needle in wanted), default=1)
    found: dict[str, _Finding] = {}
    for window in _lines(path) if path.name == JOURNAL else windows(path, overlap):
        for needle, form in find(window, wanted):
            if needle.secret not in found or (found[needle.secret].hint and not needle.hint):
                found[needle.secret] = _Finding(name, needle.secret, form, needle.hint)
    yield from found.values()


def _lines(journal: Path) -> Iterator[bytes]:
    """Yield the records of a journal one by one: no secret goes from one record to the next."""
    yield from journal.read_bytes().split(b"\n")


def _notice(path: Path, notice: str) -> bytes:
    """Return the notice in the file's own format; a reader of JUnit sees an error."""
    text = html.escape(notice)
    if path.suffix == ".xml":
        case = f'<testcase classname="reports" name="leak gate"><error type="leak" message="{text}"/></testcase>'
        suite = f'<testsuite name="leak gate" tests="1" failures="0" errors="1">{case}</testsuite>'
        return f"<testsuites>{suite}</testsuites>\n".encode()
    if path.suffix == ".html":
        return f'<!doctype html><html lang="en"><title>Withheld</title><p>{text}</p></html>\n'.encode()
    return f"{notice}\n".encode()
