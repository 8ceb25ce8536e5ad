"""``python -m lab up|down|status``: the miniature site by hand."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, get_args

from engine import ownership
from engine.debian import BuildFailed, ProgramMissing
from engine.machine import shortages
from engine.reach import EngineUnavailable, connect
from engine.trouble import TROUBLE
from foreign import visible
from foreign.arguments import Parser, from_one
from lab import control, images
from lab.faults import UnknownFault, specify
from lab.hosts import HostMode
from lab.kinds import DEFAULT, KINDS
from lab.kubernetes import programs
from lab.palette.settings import Masks
from lab.serving import serve
from lab.settings import LabSettings, labs_folder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

BAD_SETUP = 4


def main(given: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code, 4 when it cannot be done."""
    words = list(sys.argv[1:] if given is None else given)
    try:
        if words[:1] == ["serve"]:  # the process of a lab that a run or './run lab up' started
            _serve(LabSettings.read(Path(words[1])))
            return 0
        arguments = _parser().parse_args(words)
        return int(arguments.command(arguments) or 0)
    except (EngineUnavailable, ProgramMissing, BuildFailed, UnknownFault, control.LabFailed, *TROUBLE) as error:
        sys.stderr.write(visible(f"lab: {error}\n"))
        return BAD_SETUP


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="./run lab", description="The miniature site on this machine.")
    commands = parser.add_subparsers(required=True, metavar="up|down|status|kubernetes")
    up = commands.add_parser("up", help="start a lab and leave it running")
    up.add_argument("--hosts", type=from_one, default=2, help="number of Edge hosts (default 2)")
    up.add_argument("--lab-fault", action="append", default=[], help="NAME or FILE.py:NAME, may be repeated")
    up.add_argument("--takes", metavar="DEPLOY,REPAVE", type=_takes, default=(0.0, 0.0), help="seconds that each waits")
    up.add_argument("--strict", metavar="SEED", type=int, help="Palette as on a bad day, repeatable by this number")
    up.add_argument("--masks", choices=get_args(Masks), default="refuse", help="what a mask that is sent back means")
    up.add_argument("--kind", choices=KINDS, default=DEFAULT, help="the Kubernetes distribution (default k3s)")
    up.add_argument("--current-openssh", action="store_true", help="an OpenSSH that punishes logins that fail")
    up.add_argument("--mode", choices=get_args(HostMode), default="appliance", help="how the agent came onto the hosts")
    up.add_argument("--no-provision", action="store_true", help="never install or start a Docker engine")
    up.set_defaults(command=_up)
    commands.add_parser("down", help="take this checkout's labs down").set_defaults(command=_down)
    kubernetes = commands.add_parser("kubernetes", help="find the programs of a Kubernetes, or build them once")
    kubernetes.set_defaults(command=_kubernetes)
    commands.add_parser("status", help="list this checkout's labs that were left running").set_defaults(command=_status)
    return parser


def _takes(text: str) -> tuple[float, float]:
    try:
        deploy, repave = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no pair of seconds; write it as 10,12") from None
    return deploy, repave


def _say(message: str) -> None:
    sys.stdout.write(visible(f"{message}\n"))
    sys.stdout.flush()


def _up(arguments: argparse.Namespace) -> None:
    faults = tuple(dict(specify(name)) for name in arguments.lab_fault)
    ownership.sweep(connect(_say, provision=not arguments.no_provision), _say)
    folder = labs_folder() / f"lab-{secrets.token_hex(3)}"
    settings = LabSettings(
        folder, arguments.hosts, faults, arguments.strict, masks=arguments.masks, kind=arguments.kind,
        takes=arguments.takes, mode=arguments.mode, current_openssh=arguments.current_openssh,
    )  # fmt: skip
    lab = control.start(settings, _say)
    lab.keep()
    ordinary = settings == LabSettings(folder, arguments.hosts)
    _say(f"the lab runs; use it with --site {lab.site_file}{', or just run: a run takes it' if ordinary else ''}")


def _kubernetes(_arguments: argparse.Namespace) -> None:
    folder = programs.provide(_say)
    for name, version in programs.versions(folder).items():
        _say(f"{folder / name}: {version or 'does not say its version'}")


def _down(_arguments: argparse.Namespace) -> None:
    labs = control.kept()
    for lab in labs:
        lab.stop()
    _say(f"{_labs(len(labs))} of this checkout taken down{_of_others()}")


def _status(_arguments: argparse.Namespace) -> None:
    labs = control.kept()
    if not labs:
        _say(f"no lab of this checkout is running; './run lab up' starts one{_of_others()}")
    for lab in labs:
        _say(_described(lab))
    if labs and (others := _of_others()):
        _say(others.removeprefix("; "))


def _described(lab: control.RunningLab) -> str:
    status = lab.ask("status")
    health = f"seeded faults: {', '.join(status['faults'])}" if status["faults"] else "healthy"
    used = f"used by {status['used_by']}" if status["used_by"] else "free"
    old = "" if lab.origin == control.origin() else "; started from another version of the code, so no run takes it"
    return f"{lab.name}: {status['hosts']} Edge hosts, {status['url']}, {health}, {used}; --site {lab.site_file}{old}"


def _of_others() -> str:
    others = control.kept_elsewhere()
    return f"; {_labs(others)} of other checkouts left alone" if others else ""


def _labs(count: int) -> str:
    return f"{count} lab{'' if count == 1 else 's'}"


def _serve(settings: LabSettings) -> None:
    """Run a lab here, for as long as its starter lives."""
    ownership.sign(settings.keeper)
    signal.signal(signal.SIGTERM, _end)  # until the lab itself listens to signals: a build then clears up and ends
    if short := shortages(settings.hosts):
        raise control.LabFailed(" | ".join(short))
    client = connect(_say, provision=False)
    built = images.build(client, _say, settings.kind, current_openssh=settings.current_openssh)
    asyncio.run(serve(settings, client, built, _say))
    if _starter_is_gone():
        settings.discard()


def _end(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _starter_is_gone() -> bool:
    """Return whether nobody is left who would clear the lab's folder: the starter's end of our input is closed."""
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable) and not os.read(0, 1)


if __name__ == "__main__":
    sys.exit(main())
