"""Command lines: what cannot be understood is one line, and exit code 4, whatever the command."""

from __future__ import annotations

import argparse
from typing import NoReturn

_BAD_SETUP = 4


class Parser(argparse.ArgumentParser):
    """A parser that refuses wrong arguments in one line, with the exit code of a bad set-up."""

    def error(self, message: str) -> NoReturn:
        """Exit with the line."""
        self.exit(_BAD_SETUP, f"{self.prog}: {message}; {self.prog} --help lists what there is\n")
