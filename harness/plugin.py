"""The wiring between pytest and a run: options, collection, recording, the summary at the end."""

from __future__ import annotations

import signal
import traceback
from typing import TYPE_CHECKING

import pytest

from harness import worker
from harness.interrupts import end_as_by_ctrl_c, end_session, ends_anyway
from harness.levels import depth_of
from harness.options import Options, add_options, checked
from harness.progress import speaker
from harness.requirements_table import table
from harness.run import Run, cases_of, is_case
from harness.sites.lab_site import BadSetupError, engine
from harness.worker import Wire
from reports import wording
from reports.text import visible
from reports.verdicts import ExitCode, Verdict

if TYPE_CHECKING:
    from collections.abc import Generator

    import docker

ENGINE = pytest.StashKey["docker.DockerClient"]()
RUN = pytest.StashKey[Run]()
OPTIONS = pytest.StashKey[Options]()
SUMMARY = pytest.StashKey[tuple[ExitCode, str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare our options."""
    add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Check the options, before anything is started."""
    config.addinivalue_line("markers", "requirement(*ids, phase, hosts, needs, witness, records): what a case proves")
    try:
        config.stash[OPTIONS] = checked(config)
    except pytest.UsageError as error:
        raise pytest.UsageError(*map(visible, error.args)) from error
    config.addinivalue_line("markers", "nightly: a case for nightly runs, too long for the default one")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Make ``-k`` find a case by its requirements; drop nightly cases and, without ``--guide``, the guide's own."""
    for item in cases_of(items):
        marker = item.get_closest_marker("requirement")
        item.extra_keyword_matches.update(marker.args if marker else ())
    if config.stash[OPTIONS].guide is None:
        items[:] = [item for item in items if "guide" not in getattr(item, "fixturenames", ())]
    if depth_of(config.stash[OPTIONS].level) != "nightly":
        items[:] = [item for item in items if item.get_closest_marker("nightly") is None]


def _engine(config: pytest.Config) -> docker.DockerClient:
    """Return the Docker engine, provided if need be; a machine that cannot have one ends the session."""
    try:
        return engine(config.stash[OPTIONS], speaker(config))
    except BadSetupError as error:
        raise pytest.UsageError(visible(f"bad set-up: {error}")) from error


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Begin a run when cases have been collected to be run. An interrupted collection begins none."""
    result = yield
    _begin_run(session)
    return result


def _begin_run(session: pytest.Session) -> None:
    cases = list(cases_of(session.items))
    session.config.stash[_CASES] = cases
    broken = session.testsfailed and not session.config.option.continue_on_collection_errors
    if not cases or broken or session.config.option.collectonly or session.config.option.plan:
        return
    if (wire := Wire.of(session.config)) is not None:
        end_as_by_ctrl_c(signal.SIGTERM)
        session.config.stash[RUN] = Run.beside(session.config.stash[OPTIONS], wire, **worker.place_of(session.config))
    else:
        end_as_by_ctrl_c(signal.SIGTERM, signal.SIGHUP)
        session.config.stash[ENGINE] = _engine(session.config)
        run = session.config.stash[RUN] = Run.begin(session.config.stash[OPTIONS])
        run.collected = len(cases) + len(run.cases)


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Count what the command line left out: a run without everything must not look complete."""
    for item in cases_of(items):
        item.config.stash[_DESELECTED] = item.config.stash.get(_DESELECTED, 0) + 1


_DESELECTED = pytest.StashKey[int]()
_CASES = pytest.StashKey[list[pytest.Item]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep the record of a case around everything that belongs to it."""
    run = item.config.stash.get(RUN, None)
    if run is None or not is_case(item):
        return (yield)
    run.begin_case(item.nodeid)
    result = yield
    try:
        run.end_case(item)
    except OSError as error:
        end_session(f"the run ends here, for nothing more can be recorded: {_unwritten(run, error)}", ExitCode.ERROR)
    return result


def _unwritten(run: Run, error: OSError) -> str:
    return f"{run.folder}: {error.strerror or error}; make room, then --resume {run.id}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take the exception that ends a case; what is not covered or known shows as skipped, with its reason."""
    report = yield
    run = item.config.stash.get(RUN, None)
    if run is None or not is_case(item):
        return report
    report.sections = [(name, visible(text)) for name, text in report.sections]
    if call.excinfo is not None:
        run.failed(call.excinfo.value, call.when)
    if call.when == "call":
        run.look_around()
    if call.excinfo is None and not (call.when == "call" and (run.evidence.gone or run.evidence.undocumented)):
        return report
    case = run.as_it_stands(item)
    if case.verdict in {Verdict.NOT_COVERED, Verdict.KNOWN}:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, visible(f"{case.verdict.value}: {case.reason}"))
    elif case.verdict.is_red:
        report.outcome, report.longrepr = "failed", visible("\n".join(wording.report_of(case)))
    return report


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, object, object]:
    """Write the reports once every fixture is taken down; the run's exit code is pytest's from here on."""
    try:
        return (yield)
    finally:
        run = session.config.stash.get(RUN, None)
        if run is not None:
            if not run.worker:
                ends_anyway()
            if session.config.option.tbstyle == "auto":
                session.config.option.tbstyle = "no"  # each failure is reported once, in the summary
            _finish(session, run, exitstatus)
        elif session.testsfailed and exitstatus == pytest.ExitCode.INTERRUPTED:  # a file of cases cannot be read
            session.exitstatus = int(ExitCode.ERROR)


def _finish(session: pytest.Session, run: Run, exitstatus: int) -> None:
    if (wire := Wire.of(session.config)) is not None:
        wire.end(run.left_behind)
        return
    run.deselected = session.config.stash.get(_DESELECTED, 0)
    refused = exitstatus == ExitCode.SETUP
    if refused and not run.cases:
        run.withdraw()
        return
    interrupted = refused or exitstatus in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR)
    try:
        code, _text = session.config.stash[SUMMARY] = run.finish(interrupted=interrupted)
    except OSError as error:  # a full disk
        said = f"the reports could not be written: {_unwritten(run, error)}"
        session.config.stash[SUMMARY] = (ExitCode.ERROR, visible(said))
        session.exitstatus = int(ExitCode.ERROR)
        return
    except Exception:  # noqa: BLE001 - whatever it is, it is not the product
        session.config.stash[SUMMARY] = (ExitCode.ERROR, f"the reports could not be written\n{traceback.format_exc()}")
        session.exitstatus = int(ExitCode.ERROR)
        return
    session.exitstatus = exitstatus if refused else int(code)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """End with a summary that a person can read."""
    if config.getoption("--requirements"):
        cases: list[pytest.Item] = config.stash[_CASES]
        for line in table(cases):
            terminalreporter.write_line(line)
    found = config.stash.get(SUMMARY, None)
    if found is not None:
        terminalreporter.write_line("")
        terminalreporter.write_line(found[1])
        if config.option.reportchars == "fE":  # pytest's own list of failures would say once more what stands above
            terminalreporter.reportchars = ""
