"""Levels, plan, budget, resuming, progress and Ctrl-C: how runs that take long are wired into pytest."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from harness.costs import Cost, known_costs
from harness.drawing import examples_of
from harness.interrupts import interrupt
from harness.levels import CERTIFICATION, SMOKE, depth_of, smoke
from harness.planning import plan, seconds_of, told_left_out, within
from harness.plugin import OPTIONS, RUN
from harness.progress import Progress, Say
from harness.run import cases_of, is_case

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from harness.options import Options

COSTS = pytest.StashKey[dict[str, Cost]]()
PROGRESS = pytest.StashKey[Progress]()
_LEFT_OUT = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options that are ours, once all others are checked."""
    if config.option.budget is not None:
        try:
            seconds_of(config.option.budget)
        except ValueError as error:
            raise pytest.UsageError(f"--budget: {error}") from error
    narrowed = [name for name in ("budget", "keyword", "hypothesis_seed") if getattr(config.option, name, None)]
    if config.option.level == CERTIFICATION and narrowed:
        options = ", ".join({"keyword": "-k"}.get(name, f"--{name.replace('_', '-')}") for name in narrowed)
        raise pytest.UsageError(f"--level certification needs every case and its own seed; leave out {options}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is done already, what the level does not ask for, and what the budget has no time for."""
    cases = list(cases_of(items))
    options, resumed = config.stash[OPTIONS], config.stash[OPTIONS].resume
    wanted = [item for item in cases if resumed is None or item.nodeid not in resumed.done]
    items[:] = [item for item in items if not is_case(item) or item in wanted]
    if not _needs_costs(config):
        return
    costs = config.stash[COSTS] = _costs(options, cases)
    if options.level == SMOKE:
        _keep(config, items, smoke(wanted, lambda item: costs[item.nodeid].seconds))
    if config.option.budget is not None:
        chosen = within(seconds_of(config.option.budget), cases_of(items), lambda item: costs[item.nodeid].seconds)
        config.stash[_LEFT_OUT] = told_left_out(chosen)
        _keep(config, items, chosen.chosen)


def _needs_costs(config: pytest.Config) -> bool:
    return not config.option.collectonly or config.option.budget is not None or config.stash[OPTIONS].level == SMOKE


def _keep(config: pytest.Config, items: list[pytest.Item], chosen: list[pytest.Item]) -> None:
    """Leave the chosen cases, in their order, and count the others as left out."""
    left_out = [item for item in cases_of(items) if item not in chosen]
    items[:] = [*(item for item in items if not is_case(item)), *chosen]
    config.hook.pytest_deselected(items=left_out)


def _costs(options: Options, cases: list[pytest.Item]) -> dict[str, Cost]:
    real = options.site is not None
    name = options.site.name if options.site else "lab"
    costs = known_costs(name, examples_of(options.site, depth_of(options.level)), options.home, real=real)
    return {item.nodeid: costs.of(item) for item in cases}


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Print the plan instead of running, if that is what was asked for."""
    config = session.config
    options, told, tell = config.stash[OPTIONS], config.stash.get(_LEFT_OUT, ""), speaker(config)
    if not config.option.plan:
        if told:
            tell(told)
        return None
    costs = config.stash[COSTS]
    for line in plan(cases_of(session.items), costs, _hosts(options), level=options.level, left_out=told):
        tell(line)
    return True


def _hosts(options: Options) -> list[str]:
    if options.site is None:
        return [f"edge-{number} of a lab" for number in range(1, options.lab_hosts + 1)]
    return [*options.site.edge_hosts, *(f"those with {sought.by} {sought.value}" for sought in options.site.sought)]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Let the first Ctrl-C end a run cleanly and the second one at once, and follow its progress."""
    cases = list(cases_of(session.items))
    if not cases or session.config.option.collectonly or session.config.option.plan:
        return
    signal.signal(signal.SIGINT, _Interrupts(session.config))
    costs = session.config.stash[COSTS]
    progress = Progress({item.nodeid: costs[item.nodeid].seconds for item in cases}, speaker(session.config))
    session.config.stash[PROGRESS] = progress


def pytest_unconfigure(config: pytest.Config) -> None:
    """Be silent once the session is over."""
    if (progress := config.stash.get(PROGRESS, None)) is not None:
        progress.stop()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tell the progress of each case's beginning and end."""
    progress = item.config.stash.get(PROGRESS, None)
    if progress is None or not is_case(item):
        return (yield)
    progress.begin(item.nodeid)
    result = yield
    progress.end(item.nodeid)
    return result


class _Interrupts:
    """What Ctrl-C does: the first time everything is cleared and reported, the second time the process ends."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._pressed = 0
        self._speaking = False

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        self._pressed += 1
        if self._speaking:  # pressed twice within a moment: what follows the first looks at it
            return
        if self._pressed == 1:
            for other in (signal.SIGTERM, signal.SIGHUP):  # a terminal that is closed now stops nothing
                signal.signal(other, signal.SIG_IGN)
            self._say("Ctrl-C: ending cleanly, with reports; once more stops at once")
        if self._pressed > 1:
            self._stop()
        interrupt(frame)

    def _stop(self) -> None:
        run = self._config.stash.get(RUN, None)
        site = self._config.option.site
        hint = f"; './run clean --site {site} --run {run.id}' removes what is left" if run and site else ""
        self._say(f"stopped at once{hint}")
        os._exit(2)

    def _say(self, what: str) -> None:
        """Speak, if the terminal is there and is not being written to at this very moment."""
        self._speaking = True
        with suppress(OSError, RuntimeError):
            speaker(self._config)(what)
        self._speaking = False


def speaker(config: pytest.Config) -> Say:
    """Return a way to say something on the terminal at any moment, also while a case's output is captured."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")

    def speak(message: str) -> None:
        if reporter is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(message)
            reporter.flush()  # a pipe or a file is followed as well as a terminal

    return speak
