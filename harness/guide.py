"""The vendor's guide as a list of sentences, each with a hash by which a requirement holds on to it."""

from __future__ import annotations

import hashlib
import re

_FENCE = re.compile(r"^\s*```.*?^\s*```\s*$", re.DOTALL | re.MULTILINE)
_END = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`])")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def sentences(text: str) -> list[str]:
    """Split a Markdown page into sentences: prose only, links as their text, white space folded."""
    body = _FENCE.sub("\n\n", text.partition("\n---\n")[2] or text)
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-\d]+\.?\s)", body):
        words = " ".join(_LINK.sub(r"\1", paragraph).split())
        words = re.sub(r"^([-#*]+|\d+\.)\s+", "", words).replace("**", "").replace("_new_", "new")
        if words and not words.startswith(":::"):
            found += _END.split(words)
    return found


def snippets(text: str) -> list[str]:
    """Return the YAML blocks of a page exactly as they are printed, less their common indent."""
    found = []
    for match in re.finditer(r"^([ ]*)```yaml[^\n]*\n(.*?)^\s*```\s*$", text, re.DOTALL | re.MULTILINE):
        indent = len(match[1])
        found.append("\n".join(line[indent:] if line[:indent].isspace() else line for line in match[2].splitlines()))
    return found


def fingerprint(sentence: str) -> str:
    """Return the sixteen hexadecimal digits that stand for a sentence."""
    return hashlib.sha256(" ".join(sentence.split()).encode()).hexdigest()[:16]
