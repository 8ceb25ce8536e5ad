"""The infrastructure matrix: an outage is told as one, whatever kind of case it meets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

import docker
import pytest
from docker.errors import DockerException

from detection.__main__ import main
from detection.infrastructure import Trial, cell, chosen
from detection.outages import BEGUN, KINDS, OUTAGES, Outage, OutageStage, begin, cell_of, freeze
from harness.evidence import Evidence
from reports.infrastructure import Infrastructure, OutageCell, render, to_json
from reports.records import CaseFinished
from reports.verdicts import Verdict

GOOD = OutageCell(outage="registry killed", kind="repave", verdict="dead", begun=True)
MATRIX = Infrastructure(started="2026-11-28T18:00:00Z", cells=(GOOD,))
#: Cells that end within seconds: a refusal that is no longer the registry's, and a Palette that resets.
QUICK = {"registry killed/refused deployment, told", "Palette resets/Palette's refusal", "none/Palette's refusal"}


@pytest.mark.parametrize("verdict", ["pass", "fail", "known", "fixed", "vacuous", "error", "not covered", "not run"])
def test_only_dead_is_right_while_something_is_gone(verdict: str) -> None:
    """Every other verdict is one about the product, or about nothing."""
    (problem,) = replace(MATRIX, cells=(replace(GOOD, verdict=verdict),)).problems

    assert problem == f"outage: repave is told as {verdict} with outage 'registry killed'"
    assert MATRIX.problems == ()


def test_an_outage_that_did_not_begin_proves_nothing() -> None:
    """A case that ended before anything was gone is a problem of the matrix."""
    (problem,) = replace(MATRIX, cells=(replace(GOOD, begun=False),)).problems

    assert problem == "outage: repave ended before 'registry killed' began, so nothing was tried"
    assert replace(MATRIX, cells=()).problems == ("no outage was tried",)


class Unfreezable:
    """A container that its engine cannot pause so many times."""

    def __init__(self, times: int) -> None:
        self.times, self.paused = times, False

    def pause(self) -> None:
        """Pause it, or fail as an engine does."""
        self.times -= 1
        if self.times >= 0:
            raise DockerException("unable to freeze")
        self.paused = True


def test_a_container_that_cannot_be_paused_at_once_is_paused_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine fails to freeze a system that starts programs at that moment; in the end it says so."""
    monkeypatch.setattr("detection.outages.FREEZING", 0.5)
    freeze(container := Unfreezable(1))
    assert container.paused
    with pytest.raises(DockerException, match="unable to freeze"):
        freeze(Unfreezable(999))


def test_an_outage_that_fails_to_begin_is_not_said_to_have_begun(tmp_path: Path) -> None:
    """What the engine could not take away is still there, so its cell must prove nothing."""
    evidence, stage = Evidence(tmp_path), cast("OutageStage", None)

    @contextmanager
    def fails(_stage: OutageStage) -> Iterator[None]:
        raise DockerException("unable to freeze")
        yield

    for happens in (fails, lambda _stage: ExitStack()):
        with suppress(DockerException), ExitStack() as happening:
            begin(Outage(f"{happens.__name__}", frozenset(), happens), stage, evidence, happening)
    assert evidence.notes == [f"{BEGUN}<lambda>"]


def test_a_case_may_bear_an_outage_that_passes() -> None:
    """A host that reboots comes back by itself; a registry that is killed does not."""
    passed = CaseFinished(case="x", verdict=Verdict.PASS, notes=(f"{BEGUN}x",))

    assert cell("host rebooting/repave", passed).is_right
    assert not cell("registry killed/repave", passed).is_right
    assert not cell("none/repave", replace(passed, verdict=Verdict.DEAD)).is_right


def test_every_cell_is_found_by_the_name_of_its_case() -> None:
    """Names of outages, kinds and cases are told apart, with and without parameters of the case's own."""
    for kind in KINDS:
        name, _, parameters = kind.case.removesuffix("]").partition("[")
        for outage in OUTAGES:
            shown = f"suites/x.py::{name}[{outage.name}{'-' if parameters else ''}{parameters}]"
            assert cell_of(shown) == f"{outage.name}/{kind.name}"
    assert cell_of("suites/x.py::test_other[none]") == ""
    assert {outage.name for outage, _kind in chosen(["Palette 5xx"])} == {"none", "Palette 5xx"}


def test_the_page_shows_what_was_said() -> None:
    """Cells and problems stand on the page, and nothing in them is markup."""
    wrong = replace(GOOD, verdict="fail", observed="<b>\x1b[2J")
    shown = render(replace(MATRIX, cells=(GOOD, wrong))).decode()

    assert "1 of 2 cells right" in shown
    assert "&lt;b&gt;\\x1b[2J" in shown
    assert b'"outage": "registry killed"' in to_json(MATRIX)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--outage", "flood", "there is no such outage; there are: none, registry"),
        ("--to", "/proc/x", "No such file or directory; name a directory of yours"),
        ("--labs", "0", "found '0'; give a whole number from 1"),
        ("--random", "-1", "found '-1'; give a whole number from 1"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    option: str, value: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told before any lab is started, and says what would be right."""
    monkeypatch.setattr("detection.__main__.connect", None)
    with pytest.raises(SystemExit, match=r"^4$"):
        sys.exit(main([option, value]))
    told = capsys.readouterr().err

    assert told.count("\n") == 1
    assert option in told
    assert said in told


def test_missing_kubernetes_programs_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line names the variable and what its directory lacks."""
    monkeypatch.setenv("LAB_KUBERNETES", str(tmp_path))
    assert main(["--lab-kubernetes", "--fault", "strict-base64"]) == 4
    assert f"detection: LAB_KUBERNETES={tmp_path} has no etcd, kube-apiserver" in capsys.readouterr().err


def test_outages_of_a_real_lab_are_told_as_dead(engine: docker.DockerClient, tmp_path: Path) -> None:
    """The registry goes once its refusal was told; Palette resets each connection; without an outage all is well."""
    _ = engine  # without one there is no lab
    names = sorted({cell.partition("/")[0] for cell in QUICK})
    wanted = [each for each in chosen(names) if f"{each[0].name}/{each[1].name}" in QUICK]
    matrix = Trial(wanted, tmp_path, lambda _cell: None, labs=1).make()

    assert [f"{cell.outage}/{cell.kind}" for cell in matrix.cells if cell.is_right] == [
        f"{outage.name}/{kind.name}" for outage, kind in wanted
    ], matrix.problems
