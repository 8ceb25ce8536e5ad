"""Levels, plan, budget, resuming, progress and Ctrl-C: how runs that take long are wired into pytest."""

from __future__ import annotations

import signal
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from harness.costs import Cost, Costs, in_groups, known_costs
from harness.interrupts import CtrlC
from harness.levels import CERTIFICATION, SMOKE, smoke
from harness.planning import Schedule, left_out_line, plan, seconds_of, units, within
from harness.plugin import OPTIONS, RUN
from harness.progress import VIEW, Progress, open_view, rough, speaker
from harness.run import cases_of, is_case, is_for_cases
from harness.scheduler import most_workers
from harness.worker import Wire, given

if TYPE_CHECKING:
    from collections.abc import Generator

    from harness.options import Options

COSTS = pytest.StashKey[dict[str, Cost]]()
PROGRESS = pytest.StashKey[Progress]()
_FORESEEN = pytest.StashKey[Callable[[int], float]]()
_LEFT_OUT = pytest.StashKey[str]()


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options that are ours, once all others are checked; a worker's are the controller's."""
    if given(config):
        return
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
    if given(config):  # the controller has chosen
        return
    cases = list(cases_of(items))
    options, resumed = config.stash[OPTIONS], config.stash[OPTIONS].resume
    wanted = [item for item in cases if resumed is None or item.nodeid not in resumed.done]
    items[:] = [item for item in items if not is_case(item) or item in wanted]
    items[:] = [*(item for item in items if not is_case(item)), *chain(*in_groups(cases_of(items)))]
    if not _needs_costs(config):
        return
    costs = _costs(options)
    if options.level == SMOKE:
        _keep(config, items, smoke(wanted, lambda item: costs.alone(item).seconds))
    if config.option.budget is not None:
        chosen = within(seconds_of(config.option.budget), cases_of(items), lambda item: costs.alone(item).seconds)
        config.stash[_LEFT_OUT] = left_out_line(chosen)
        _keep(config, items, [*chain(*in_groups(chosen.chosen))])
    config.stash[COSTS] = costs.together(cases_of(items))


def _needs_costs(config: pytest.Config) -> bool:
    return not config.option.collectonly or config.option.budget is not None or config.stash[OPTIONS].level == SMOKE


def _keep(config: pytest.Config, items: list[pytest.Item], chosen: list[pytest.Item]) -> None:
    """Leave the chosen cases, in their order, and count the others as left out."""
    left_out = [item for item in cases_of(items) if item not in chosen]
    items[:] = [*(item for item in items if not is_case(item)), *chosen]
    config.hook.pytest_deselected(items=left_out)


def _costs(options: Options) -> Costs:
    real = options.site is not None
    name = options.site.name if options.site else "lab"
    return known_costs(name, options.home, real=real, past=options.history)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> object:
    """Print the plan instead of running, if that is what was asked for."""
    config = session.config
    options, told, tell = config.stash[OPTIONS], config.stash.get(_LEFT_OUT, ""), speaker(config)
    if not config.option.plan:
        if told:
            tell(told)
        return None
    cases, costs = list(cases_of(session.items)), config.stash[COSTS]
    workers = most_workers(options.site) if options.site else 1
    for line in plan(cases, costs, _hosts(options), level=options.level, left_out=told, workers=workers):
        tell(line)
    return True


def _hosts(options: Options) -> list[str]:
    if options.site is None:
        return [f"edge-{number} of a lab" for number in range(1, options.lab_hosts + 1)]
    return [*options.site.edge_hosts, *(f"those with {sought.by} {sought.value}" for sought in options.site.sought)]


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Write what is done first, for on a slow machine collecting takes a while; then follow the run that begins."""
    config = session.config
    if config.option.collectonly or config.option.plan or given(config):
        return (yield)
    if is_for_cases(config):
        open_view(config).say("collecting the cases")
    result = yield
    _follow(session)
    return result


def _follow(session: pytest.Session) -> None:
    """Make the first Ctrl-C end a run cleanly and the second one at once, and follow its progress."""
    config, cases = session.config, list(cases_of(session.items))
    if not cases:
        return
    signal.signal(signal.SIGINT, CtrlC(speaker(config), lambda: _how_to_clean(config)))
    progress = config.stash[PROGRESS] = Progress({item.nodeid: config.stash[COSTS][item.nodeid] for item in cases})
    costs, items = config.stash[COSTS], list(cases)
    config.stash[_FORESEEN] = lambda workers: Schedule.of(units(items, costs), workers, workers).end
    if len(cases) == len(session.items) and VIEW in config.stash:
        _leave_the_terminal_to_the_view(config)
        config.stash[VIEW].follow(progress)


def _leave_the_terminal_to_the_view(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter._show_progress_info = False  # noqa: SLF001 - its option is read before it is known what is run
        config.option.verbose = config.option.verbose if config.option.verbose > 1 else -1  # no line for each file


def _how_to_clean(config: pytest.Config) -> str:
    run, site = config.stash.get(RUN, None), config.option.site
    return f"; './run clean --site {site} --run {run.id}' removes what is left" if run and site else ""


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(config: pytest.Config) -> Generator[None, tuple[str, str, str], tuple[str, str, str]]:
    """Show no letter for a case: it has a line of its own."""
    category, letter, word = yield
    view = config.stash.get(VIEW, None)
    return (category, letter, word) if view is None or view.progress is None else (category, "", "")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write what is done when the cases are over, and nothing once reports are shown."""
    if (view := session.config.stash.get(VIEW, None)) is not None and view.progress is not None:
        view.progress.doing = "clearing up"


@pytest.hookimpl(tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Leave the terminal to what pytest and the run have to say at the end; compare a long run with its plan."""
    if (view := config.stash.get(VIEW, None)) is not None:
        view.stop()
    if (progress := config.stash.get(PROGRESS, None)) is not None and len(progress.done) >= len(progress.expected):
        foreseen = config.stash[_FORESEEN](progress.workers)
        terminalreporter.write_line(f"foreseen: {rough(foreseen)}; it took {rough(progress.now() - progress.began)}")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Report each case's beginning and end to the progress."""
    config = item.config
    told = Wire.of(config) or config.stash.get(PROGRESS, None)
    if not is_case(item) or told is None:
        return (yield)
    told.begin(item.nodeid)
    result = yield
    if VIEW in config.stash:
        config.stash[VIEW].ended(config.stash[RUN].cases[-1])
    return result
