"""The vendor's guide: its YAML, and the hash by which a requirement holds on to a sentence."""

from __future__ import annotations

import hashlib
import re


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
