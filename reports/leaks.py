"""The leak gate: no artefact of a run leaves with a protected secret in it, in any form.

A hit fails the run and names file and form, never the value; the artefact is withheld: a notice stands in its place.
Of a journal only the lines that give something away are taken out, so that the rest of the run can still be reported.
The gate distrusts itself: every search also looks for a canary that it has just planted in every form.
"""

from __future__ import annotations

import html
import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from reports import canary, runs
from reports.artefacts import windows
from reports.journal import FILE_NAME as JOURNAL
from reports.leak_forms import Needle, Protected, find, needles
from reports.records import LeakGate, LeakHit
from reports.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from reports.leak_forms import Transform

__all__ = ["Gate", "Protected"]

_CAGE = ".leak-canary"
# The most that one byte of a secret takes when escaped: "&#x1f600;" in HTML, again escaped in JSON.
_WIDEST_ESCAPE = 12


class Gate:
    """Searches a run's artefacts for the protected secrets, and withholds what gives one away."""

    def __init__(self, protected: Iterable[Protected], transforms: Mapping[str, Transform] | None = None) -> None:
        """Take the secrets, and as ``transforms`` the catalogue of ways in which software changes one, by name."""
        self._transforms = dict(transforms or {})
        self._secrets = tuple(protected)
        self._needles = tuple(needle for entry in self._secrets for needle in needles(entry, self._transforms))

    def search(self, root: Path) -> LeakGate:
        """Search every file below ``root``, a fresh canary among them."""
        bird = canary.hatch()
        shutil.rmtree(root / _CAGE, ignore_errors=True)
        telltales = needles(bird, self._transforms)
        planted = canary.plant(root / _CAGE, bird, telltales)
        try:
            wanted = (*self._needles, *telltales)
            files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
            found = [finding for path in files for finding in _search_file(path, root, wanted)]
        finally:
            shutil.rmtree(root / _CAGE, ignore_errors=True)
        seen = {finding.file for finding in found if finding.secret == canary.NAME}
        missed = tuple(form for file, form in planted.items() if file not in seen)
        return LeakGate(
            files=len(files) - len(planted),
            secrets=len(self._secrets),
            forms=len(self._needles),
            canary_found=not missed,
            missed=missed,
            hits=self._withhold(root, [finding for finding in found if finding.secret != canary.NAME]),
        )

    def search_again(self, root: Path, files: Iterable[Path], before: LeakGate) -> LeakGate:
        """Search files that were written after the first search; give both findings as one."""
        found = [finding for path in files for finding in _search_file(path, root, self._needles)]
        return replace(before, hits=tuple(dict.fromkeys((*before.hits, *self._withhold(root, found)))))

    def _withhold(self, root: Path, found: Sequence[_Finding]) -> tuple[LeakHit, ...]:
        for finding in found:
            path = root / finding.file
            notice = f"withheld: the leak gate found {finding.secret} in this file ({finding.form})"
            if finding.in_name:
                path.unlink(missing_ok=True)
            elif path.name == JOURNAL and (rest := self._without_leaking_lines(path, notice)):
                runs.write(path, rest)
            elif path.exists():
                runs.write(path, _notice(path, notice))
        return tuple(LeakHit(file=finding.shown, secret=finding.secret, form=finding.form) for finding in found)

    def _without_leaking_lines(self, path: Path, notice: str) -> bytes | None:
        """Return the journal with a stub for each line that gives something away; ``None`` if that is not enough."""
        stub = json.dumps({"record": "withheld", "reason": notice}).encode()
        lines = [stub if self._gives_away(line) else line for line in path.read_bytes().split(b"\n")]
        rest = b"\n".join(lines)
        return None if self._gives_away(rest) else rest

    def _gives_away(self, content: bytes) -> bool:
        return next(find(content, self._needles), None) is not None


@dataclass(frozen=True)
class _Finding:
    file: str
    secret: str
    form: str
    in_name: bool = False

    @property
    def shown(self) -> str:
        return "(a file whose name gives it away)" if self.in_name else one_line(self.file)


def _search_file(path: Path, root: Path, wanted: Sequence[Needle]) -> Iterator[_Finding]:
    """Yield one finding for each secret in the file: the first form in which it stands there."""
    name = path.relative_to(root).as_posix()
    in_name = {needle.secret: form for needle, form in find(name.encode("utf-8", "surrogateescape"), wanted)}
    if in_name:
        yield from (_Finding(name, secret, f"file name, {form}", in_name=True) for secret, form in in_name.items())
        return
    overlap = _WIDEST_ESCAPE * max((len(needle.value) for needle in wanted), default=1)
    found: dict[str, str] = {}
    for window in windows(path, overlap):
        for needle, form in find(window, wanted):
            found.setdefault(needle.secret, form)
    yield from (_Finding(name, secret, form) for secret, form in found.items())


def _notice(path: Path, notice: str) -> bytes:
    """Say in the file's own format what stood there; a reader of JUnit sees an error."""
    text = html.escape(notice)
    if path.suffix == ".xml":
        case = f'<testcase classname="reports" name="leak gate"><error type="leak" message="{text}"/></testcase>'
        suite = f'<testsuite name="leak gate" tests="1" failures="0" errors="1">{case}</testsuite>'
        return f"<testsuites>{suite}</testsuites>\n".encode()
    if path.suffix == ".html":
        return f'<!doctype html><html lang="en"><title>Withheld</title><p>{text}</p></html>\n'.encode()
    return f"{notice}\n".encode()
