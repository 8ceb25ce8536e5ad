"""``python -m tests.site.long_runs.lessee SITE RUN HOST``: a process that leases a host when it is told to.

It reads a word a line: ``take`` answers with the hosts it got, ``back`` gives them back; the end of input ends it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness.sites.leases import Leases
from harness.sites.site import connect
from harness.sites.site_file import read_site_file
from palette import RetryPolicy


def main(site: str, run: str, host: str) -> None:
    """Do as told."""
    with connect(read_site_file(Path(site)), RetryPolicy(first_pause=0.02, longest_pause=0.1)) as palette:
        project = palette.in_project("Default")
        leases = Leases(project, run, lambda _message: None)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for word in sys.stdin:
            if word.strip() == "take":
                sys.stdout.write(f"{' '.join(leases.take([host]))}\n")
            else:
                leases.give_back()
                leases = Leases(project, run, lambda _message: None)
                sys.stdout.write("given back\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
