from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from reports import finish, keys
from reports.__main__ import main
from reports.leaks import Gate
from reports.verdicts import Verdict
from tests.reports import samples
from tests.reports.conftest import MakeRun


@pytest.fixture
def certified(make_run: MakeRun, tmp_path: Path) -> Path:
    """Return a bundle, signed with ``tmp_path/key``."""
    keys.generate(tmp_path / "key")
    run = make_run(samples.all_green()[:-1])
    ended = finish.finish(run, samples.finished(), Gate([]), signer=keys.signer(tmp_path / "key"))
    assert ended.certificate
    return ended.certificate


def test_an_old_run_is_rendered_again_from_its_journal(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    """All reports of a run can be made again from its journal, whether or not it ended."""
    run = make_run(samples.one_of_each()[:-1])

    assert main(["report", str(run)]) == 0
    assert {"junit.xml", "report.html", "summary.md"} <= {path.name for path in run.iterdir()}
    assert "partial: the run did not end" in capsys.readouterr().out


def test_a_run_is_compared_with_another_by_name(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    """The terminal and the page say what is different from the run that was named."""
    one, other = make_run(samples.one_of_each()), make_run((samples.started(run_id="old"), samples.failing()))

    assert main(["report", str(one), "--compare", str(other)]) == 0
    assert "compared with old\n  new: REPAVE-07 suites/" in capsys.readouterr().out
    assert "Compared with another run" in (one / "report.html").read_text()


def test_reading_a_run_can_leave_it_untouched(make_run: MakeRun) -> None:
    """With --read-only the summary is printed and nothing is written."""
    run = make_run(samples.all_green())

    assert main(["report", "--read-only", str(run)]) == 0
    assert [path.name for path in run.iterdir()] == ["journal.ndjson"]


def test_a_good_bundle_verifies_and_says_what_it_certifies(
    certified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verify exits 0 and tells run, site, level, result and signer."""
    assert main(["verify", str(certified), "--key", str(tmp_path / "key.pub"), "--require-pass"]) == 0

    told = capsys.readouterr().out
    assert "level nightly" in told
    assert "PASSED: Conforms: all 8 requirements hold." in told


def test_a_bad_bundle_is_refused_with_the_first_thing_that_does_not_match(
    certified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verify exits 1 and names what is wrong."""
    content = bytearray(certified.read_bytes())
    content[700] ^= 1
    certified.write_bytes(content)

    assert main(["verify", str(certified), "--key", str(tmp_path / "key.pub")]) == 1
    assert capsys.readouterr().out.startswith("REFUSED  ")


def test_a_bundle_that_is_not_there_is_no_forgery(
    certified: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped path exits 4, not 1, and the line says what is wanted."""
    assert certified.exists()
    assert main(["verify", str(tmp_path / "nope.tar"), "--key", str(tmp_path / "key.pub")]) == 4
    assert capsys.readouterr().err.endswith("nope.tar: there is no such file; give the path of a certificate.tar\n")


@pytest.mark.parametrize("arguments", [["verify", "x.tar"], ["report"], ["trend", "--bogus"], ["nonsense"]])
def test_wrong_arguments_exit_4(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments that are none are refused as a run's are, in the words of ``./run``."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 4
    told = capsys.readouterr().err
    assert told.startswith("./run")
    assert len(told.splitlines()) == 1


def test_a_red_run_does_not_satisfy_who_requires_a_pass(
    make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An authentic certificate of a failing run verifies, but not with --require-pass."""
    keys.generate(tmp_path / "key")
    run = make_run((*samples.all_green()[:-1], samples.failing(), samples.finished(collected=9)))
    certify = ["certify", str(run), "--key", str(tmp_path / "key")]
    verify = ["verify", str(run / "certificate.tar"), "--key", str(tmp_path / "key.pub")]

    assert main(certify) == 4  # nothing has been rendered yet
    assert main(["report", str(run)]) == 0
    assert main(certify) == 0
    assert main(verify) == 0
    assert "REFUSED" not in capsys.readouterr().out
    assert main([*verify, "--require-pass"]) == 1
    assert capsys.readouterr().out.endswith("REFUSED  --require-pass: the run is partial, or something in it is red\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "nonsense"],
        ["verify", "missing.tar", "--key", "missing.pub"],
        ["certify", "latest", "--key", "missing"],
    ],
)
def test_what_cannot_be_carried_out_exits_4_with_one_line(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing run, bundle or key is told in a line on standard error, without a traceback."""
    assert main(["--home", str(tmp_path), *arguments]) == 4

    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "Traceback" not in told


def test_the_trend_shows_every_requirement_over_the_runs(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each requirement, one letter for each run that ended, the latest on the right."""
    runs = [make_run(samples.all_green()), make_run(samples.one_of_each()), make_run(samples.all_green()[:-1])]
    runs.append(make_run((samples.started(), samples.case(Verdict.DEAD, "REPAVE-03"), samples.finished())))
    for place, run in enumerate(runs):
        run.rename(run.with_name(f"2026112{place}"))

    assert main(["--home", str(runs[0].parent.parent), "trend"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 runs of lab (2 Edge hosts), level nightly"
    assert lines[1] == "   1  20261122-030000-5eed  seed 20261122  8 of 8 cases passed  1 min 32 s"
    assert lines[3].endswith("  partial")
    assert "          123" in lines
    assert "DEPLOY-01 .." in lines
    assert "REPAVE-03 .FD since 2" in lines
    assert lines[-1] == f"page: {runs[0].parent.parent / 'trend.html'}"


def test_the_commands_run_as_a_module() -> None:
    """``python -m reports`` lists its commands."""
    told = subprocess.run(
        [sys.executable, "-m", "reports", "--help"], capture_output=True, text=True, check=True
    ).stdout

    assert all(command in told for command in ("report", "verify", "certify", "keygen", "trend"))
