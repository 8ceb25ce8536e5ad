"""Reports of runs that are over: ``python -m reports report RUN``, ``verify``, ``certify``, ``keygen``, ``trend``."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from foreign.arguments import Parser, from_one
from reports import bundle, finish, keys, results, runs, summary, trend, trend_page
from reports import history as past
from reports.text import one_line, plural, visible
from reports.verdicts import ExitCode

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; give its exit code: 0 done, 1 refused, 4 the command itself cannot be carried out."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except BrokenPipeError:  # the reader (head, less) has seen enough; say nothing more, also at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except (runs.NoSuchRunError, keys.KeyUnusableError, ValueError, OSError) as error:
        sys.stderr.write(f"{visible(str(error))}\n")
        return ExitCode.SETUP
    return code


def _report(options: argparse.Namespace) -> int:
    run = runs.find(options.name, options.home)
    other = results.load(runs.find(options.compare, options.home)) if options.compare else None
    if options.release:
        sys.stdout.writelines(f"released: {visible(str(path))}\n" for path in finish.release(run))
    if not options.read_only:
        finish.render(run, compare=other)
    width = shutil.get_terminal_size((100, 24)).columns
    outcome = results.load(run)
    earlier = trend.before(run, outcome)
    colour = summary.wants_colour(sys.stdout)
    text = summary.render(outcome, width=width, colour=colour, where=run, earlier=earlier)
    sys.stdout.write(text)
    if other:
        sys.stdout.write(summary.compared(other, outcome))
    return 0


def _verify(options: argparse.Namespace) -> int:
    if not options.bundle.is_file():
        raise FileNotFoundError(f"{options.bundle}: there is no such file; give the path of a certificate.tar")
    try:
        found = bundle.verify(options.bundle, keys.public_key(options.key), on=options.on)
    except bundle.RefusedError as error:
        sys.stdout.write(f"REFUSED  {visible(str(error))}\n")
        return ExitCode.FAIL
    claims = found.claims
    sys.stdout.write(
        f"verified  {plural(len(found.files), 'file')}, signed by key {found.key}\n"
        + one_line(f"run       {claims['run']} at {claims['site']}, level {claims['level']}, {claims['started']}")
        + f"\nresult    {claims['result']}{'' if claims['complete'] else ', PARTIAL'}: {one_line(found.sentence)}\n"
    )
    refused = options.require_pass and not found.is_clean_pass
    sys.stdout.writelines(f"partial   {one_line(gap)}\n" for gap in found.gaps)
    for waiver in claims["waivers"]:
        told = f"waiver    {waiver['id']} of {waiver['owner']}, until {waiver['expires']}"
        sys.stdout.write(f"{one_line(told)}\n")
    if refused:
        sys.stdout.write("REFUSED  --require-pass: the run is partial, or something in it is red\n")
    return ExitCode.FAIL if refused else ExitCode.OK


def _keygen(options: argparse.Namespace) -> int:
    public = keys.generate(options.file)
    sys.stdout.write(f"{options.file}: the private key; keep it to yourself\n{public}: the public key; hand it out\n")
    return 0


def _trend(options: argparse.Namespace) -> int:
    like = results.load(runs.find(options.name, options.home)) if options.name else None
    kept = past.file_at(options.history) if options.history else None
    history = trend.load(options.home, last=options.last, like=like, history=kept)
    sys.stdout.write(trend.render(history))
    if history.runs:
        written = options.home / runs.TREND
        links = runs.links(options.home, options.home, "Latest report", "Kill matrix", "Infrastructure matrix")
        runs.write(written, trend_page.render(history, _there(options.home), base="runs/", links=links))
        sys.stdout.write(f"page: {written}\n")
    return 0


def _there(home: Path) -> set[str]:
    return {run.name for run in runs.every(home)}


def _certify(options: argparse.Namespace) -> int:
    run = runs.find(options.name, options.home)
    made = bundle.write(run, keys.signer(options.key))
    sys.stdout.write(f"{made}\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="./run", description="Reports of conformance runs that are over.")
    parser.add_argument("--home", type=Path, default=runs.HOME, help="where runs/ and latest are (default: reports)")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    report = commands.add_parser("report", help="render the reports of a run again, and print its summary")
    report.add_argument("name", metavar="RUN", help="a run's id, the beginning of it, its directory, or 'latest'")
    report.add_argument("--compare", metavar="OTHER", help="compare with this run, not with the last of the same kind")
    report.add_argument("--read-only", action="store_true", help="print the summary, write nothing")
    report.add_argument(
        "--release", action="store_true", help="put back what the leak gate withheld; you have seen that it is harmless"
    )
    report.set_defaults(run=_report)

    verify = commands.add_parser("verify", help="check a certificate; needs no network")
    verify.add_argument("bundle", metavar="BUNDLE", type=Path)
    verify.add_argument("--key", metavar="PUB", type=Path, required=True, help="the signer's public key (PEM)")
    verify.add_argument(
        "--on", metavar="DATE", type=dt.date.fromisoformat, help="judge waivers by this day, not the run's"
    )
    verify.add_argument("--require-pass", action="store_true", help="exit 1 also if the run was partial or is red")
    verify.set_defaults(run=_verify)

    certify = commands.add_parser("certify", help="write and sign the certificate of a run that is over")
    certify.add_argument("name", metavar="RUN")
    certify.add_argument("--key", metavar="FILE", type=Path, required=True, help="your private key (PEM)")
    certify.set_defaults(run=_certify)

    keygen = commands.add_parser("keygen", help="make a key pair that signs certificates")
    keygen.add_argument("file", metavar="FILE", type=Path, help="the private key; FILE.pub becomes the public one")
    keygen.set_defaults(run=_keygen)

    history = commands.add_parser("trend", help="the last runs of one kind, as text and as reports/trend.html")
    history.add_argument("name", metavar="RUN", nargs="?", help="a run of the kind to compare (default: the latest)")
    history.add_argument("--history", type=Path, metavar="DIR|FILE", help="where runs were kept with --history")
    history.add_argument("--last", type=from_one, default=60, metavar="N", help="how many runs (default: 60)")
    history.set_defaults(run=_trend)
    return parser


if __name__ == "__main__":
    sys.exit(main())
