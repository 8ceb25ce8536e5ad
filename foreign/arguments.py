"""Command lines: what cannot be understood is one line, and exit code 4, whatever the command."""

from __future__ import annotations

import argparse
import re
from typing import NoReturn

_BAD_SETUP = 4


def from_one(text: str) -> int:
    """Return the whole number that an argument is. Raises ArgumentTypeError for what is none, or is less than 1."""
    if not (re.fullmatch("[0-9]{1,9}", text) and int(text)):
        raise argparse.ArgumentTypeError(f"found {text!r}; give a whole number from 1")
    return int(text)


class Parser(argparse.ArgumentParser):
    """A parser that refuses wrong arguments in one line, with the exit code of a bad set-up."""

    def error(self, message: str) -> NoReturn:
        """Exit with the line."""
        self.exit(_BAD_SETUP, f"{self.prog}: {message}; {self.prog} --help lists what there is\n")
