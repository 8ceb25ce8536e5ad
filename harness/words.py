"""The words of ``./run``, with nothing but the standard library: read before anything is installed."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True)
class Word:
    """One word: how it is called, what it does, and what it needs."""

    usage: str
    does: str
    engine: bool = False  # a Docker engine
    developer: bool = False  # what own tests and lint are made with


WORDS = {
    "conformance": Word("", "deploy and repave Edge clusters, on the lab or with --site FILE", engine=True),
    "nightly": Word("", "the same with more examples and every vector; the seed follows the date", engine=True),
    "doctor": Word("--site FILE", "look at a real site, change nothing, and say what stands in a run's way"),
    "site-init": Word("[FILE] [--from URL]", "write a commented site file to fill in, or one that Palette fills in"),
    "clean": Word("--site FILE --run RUN", "remove what a dead run left in Palette, and nothing else"),
    "lab": Word("up|status|down|kubernetes", "the lab by hand", engine=True),
    "report": Word("RUN|latest", "render the reports of an earlier run again"),
    "trend": Word("", "compare the latest runs"),
    "keygen": Word("FILE", "make the keys for certificates"),
    "certify": Word("RUN --key FILE", "sign the certificate of a run"),
    "verify": Word("BUNDLE --key PUB", "check a certificate offline"),
    "requirements": Word("", "the guide's statements and the cases that prove them"),
    "detection": Word("", "every seeded fault against the suites: the kill matrix", engine=True),
    "bench": Word("[SUBJECT]", "how fast, how much memory: ratios, never a verdict", engine=True, developer=True),
    "tests": Word("[--quick]", "own tests: about ten minutes; --quick: a part of two minutes", developer=True),
    "lint": Word("", "ruff, mypy --strict, import-linter", developer=True),
    "page": Word("", "the report page in a real headless Chromium", developer=True),
    "endurance": Word("", "own tests, over an hour: far site, kills, hostile answers", engine=True, developer=True),
    "vectors": Word("check|add|renumber", "check, add and number the vectors"),
    "update-lock": Word("", "renew the lock files to the newest versions, and run own tests with them", developer=True),
    "help": Word("", "these lines"),
}  # fmt: skip
_ARGUMENTS = """\
Arguments of conformance and nightly: -k NAME or REQUIREMENT, --site FILE, --level smoke|default|nightly|certification,
-n WORKERS, --plan, --budget 45m, --resume RUN, --lab-fault NAME, --lab-hosts N, --keep-lab, --no-provision,
--hypothesis-seed N, --guide FILE, --key FILE; the others are pytest's. '--' before them may be left out.
"""


def usage() -> str:
    """Return what ``./run help`` prints."""
    lines = [f"  {f'{name} {word.usage}'.strip():<29} {word.does}" for name, word in WORDS.items()]
    return "\n".join(["usage: ./run WORD [ARGUMENTS]", "", *lines, "", _ARGUMENTS])


def refusal(word: str) -> str:
    """Return why this is no word, with the nearest one; empty when it is one."""
    if word in WORDS:
        return ""
    near = get_close_matches(word, WORDS, n=1)
    return f"unknown word {word!r}; {f'did you mean {near[0]!r}?' if near else './run help lists them'}"
