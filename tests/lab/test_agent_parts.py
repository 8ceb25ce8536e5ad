"""The parts of the agent by themselves: orders, the channel to Palette, reports, slots."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest

from lab.agent import places, reporter, secret, slots
from lab.agent.channel import Channel, PaletteRefused, PaletteUnreachable
from lab.agent.orders import Inbox, Overtaken, StepTookTooLong, run_step
from lab.agent.reporter import Reporter
from lab.agent.secret import Credential
from lab.agent.slots import Slot
from lab.firmware import command_line
from registry.tls import Authority
from tests.palette.servers import Request, serving
from tests.settling import settled

OLD, NEW, NEWER = (Slot(f"registry.example/provider:{name}", f"sha256:{name}", ("base", name)) for name in "abc")


def order(generation: int, revision: int = 0, **more: object) -> dict[str, object]:
    """Make an order."""
    return {"revision": revision, "reset": 0, "cluster": {"uid": "c", "generation": generation, "image": "i"}, **more}


# --- orders ---------------------------------------------------------------------------------------------------------


def test_only_the_newest_order_counts() -> None:
    """Of several orders that wait, the newest is taken and the others are dropped."""
    inbox = Inbox()
    inbox.put(order(1))
    inbox.put(order(2))

    assert inbox.take(0) == order(2)
    assert inbox.take(0) is None


@pytest.mark.parametrize(
    ("waiting", "overtaken"),
    [
        (order(1, revision=9), False),
        (order(1, faults=["another"]), False),
        (order(2), True),
        (order(1) | {"reset": 1}, True),
        (order(1) | {"cluster": None}, True),
    ],
)
def test_work_is_overtaken_by_an_order_for_something_else(waiting: dict[str, object], overtaken: bool) -> None:  # noqa: FBT001 - a column of the table
    """An order that asks for the same again lets the work go on; for another cluster, generation or reset ends it."""
    inbox = Inbox()
    inbox.put(order(1))
    inbox.take(0)
    inbox.put(waiting)

    assert inbox.is_overtaken() is overtaken


def test_a_step_gives_output_and_status() -> None:
    """A step that ends gives what it wrote, however much, and its exit status."""
    done = run_step([sys.executable, "-c", "print('x' * 300_000); raise SystemExit(3)"], lambda: False, within=20)

    assert (done.returncode, len(done.stdout)) == (3, 300_001)


def test_a_step_that_is_overtaken_ends_with_its_children() -> None:
    """When a newer order arrives, a step ends at once, and so do the processes it started."""
    began = time.monotonic()
    with pytest.raises(Overtaken):
        run_step(["sh", "-c", "sleep 60 & sleep 60"], lambda: True, within=60)

    assert time.monotonic() - began < 10, "the step was waited for"


def test_a_step_has_its_time() -> None:
    """A step that does not end in its time is ended, and the error names program and time."""
    with pytest.raises(StepTookTooLong, match=r"sleep did not finish within 0\.05 s"):
        run_step(["sleep", "60"], lambda: False, within=0.05)


def jobs(folder: Path, work: str, then: str) -> list[str]:
    """Do something with jobs in a process of its own, which has no other thread. Return the lines that it prints."""
    program = f"""
import os, signal, subprocess, sys, time
from pathlib import Path
from lab.agent.jobs import Jobs
from lab.agent.orders import Overtaken, StepTookTooLong
def work(plan): {work}
jobs = Jobs(work, Path({str(folder / "log")!r}), needs=["json.tool"])
plan = Path({str(folder / "plan")!r})
{then}
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    return [*done.stdout.splitlines(), *done.stderr.splitlines()]


def test_a_job_is_a_process_of_its_own_that_imports_nothing_anew(tmp_path: Path) -> None:
    """A job has its plan and a process of its own; one that raises ends with 1, and the log says why."""
    work = "print(plan.name, os.getpgid(0) == os.getpid(), 'json.tool' in sys.modules, flush=True) or 1 / 0"

    assert jobs(tmp_path, work, "print(jobs.run(plan, lambda: False, within=20))") == ["plan True True", "1"]
    assert "ZeroDivisionError" in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    ("arguments", "error"), [("begun, within=60", "Overtaken"), ("lambda: False, within=2", "StepTookTooLong")]
)
def test_a_job_is_ended_with_its_children_and_the_next_one_runs(tmp_path: Path, arguments: str, error: str) -> None:
    """Where it is overtaken or takes too long, all that a job started ends, and the error says which it was."""
    ids = tmp_path / "ids"
    work = f"open({str(ids)!r}, 'a').write(str(subprocess.Popen(['sleep', '60']).pid) + ' ') and time.sleep(60)"
    ids.touch()
    then = f"""
for number in range(2):
    begun = lambda: len(Path({str(ids)!r}).read_text().split()) > number
    try: jobs.run(plan, {arguments})
    except {error} as error: print(type(error).__name__, flush=True)
"""
    began = time.monotonic()

    assert jobs(tmp_path, work, then) == [error, error]
    assert time.monotonic() - began < 20, "a job was waited for"
    assert len(started := ids.read_text().split()) == 2
    assert settled(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 10)


def test_an_agent_that_can_start_no_jobs_ends(tmp_path: Path) -> None:
    """Without the process that starts jobs the agent ends, and is started anew by its unit."""
    then = "os.kill(int(Path('/proc/self/task/%d/children' % os.getpid()).read_text()), signal.SIGKILL)\n"

    (said,) = jobs(tmp_path, "pass", then + "time.sleep(0.5)\njobs.run(plan, lambda: False, within=20)")
    assert said == "the process that starts upgrade jobs is gone"


# --- the channel ----------------------------------------------------------------------------------------------------


@dataclass
class FakePalette:
    """Answers with the given statuses, then with 204; keeps what it was sent."""

    endpoint: str = ""
    authority: str = ""
    statuses: list[int] = field(default_factory=list)
    close: bool = False
    bodies: list[dict[str, object]] = field(default_factory=list)
    text: bytes = b"{}"
    channels: list[Channel] = field(default_factory=list)

    def channel(self) -> Channel:
        """Return a channel to it."""
        self.channels.append(Channel(self.endpoint, "token", self.authority))
        return self.channels[-1]

    def hang_up(self) -> None:
        """End every connection."""
        for channel in self.channels:
            if channel._connection is not None:
                channel._connection.close()


@pytest.fixture
def palette() -> Iterator[FakePalette]:
    """Run an endpoint over HTTPS that answers as it is told."""
    told = FakePalette()

    def act(request: Request) -> None:
        status = told.statuses.pop(0) if told.statuses else HTTPStatus.OK
        if status == HTTPStatus.OK:
            told.bodies.append(request.body)
        request.send(status, told.text)
        request.handler.close_connection = told.close

    authority = Authority()
    with serving(act, certificate=authority.issue("127.0.0.1")) as server:
        told.endpoint, told.authority = f"127.0.0.1:{server.port}", authority.pem
        yield told
        told.hang_up()


def test_a_connection_that_palette_closed_is_made_anew(palette: FakePalette) -> None:
    """That Palette closed an idle connection is no failure: what is sent next arrives, once."""
    palette.close = True
    channel = palette.channel()
    channel.post("/a", {"number": 1})
    channel.post("/a", {"number": 2})

    assert palette.bodies == [{"number": 1}, {"number": 2}]


def test_an_endpoint_that_nobody_serves_is_unreachable() -> None:
    """A refused connection, and an answer that is no JSON, both mean that Palette was not reached."""
    with pytest.raises(PaletteUnreachable, match="POST /a"):
        Channel("127.0.0.1:1", "token", Authority().pem).post("/a", {})


def test_an_answer_that_is_no_json_is_no_answer(palette: FakePalette) -> None:
    """An answer that is no JSON means that Palette was not reached."""
    palette.text = b"<html>"
    with pytest.raises(PaletteUnreachable, match="no JSON"):
        palette.channel().post("/a", {})


def test_a_document_that_palette_never_takes_is_refused(palette: FakePalette) -> None:
    """400 and 422 tell that sending again is no use; 503 does not."""
    palette.statuses = [400, 422, 503]
    channel = palette.channel()

    for kind in (PaletteRefused, PaletteRefused, PaletteUnreachable):
        with pytest.raises(kind) as caught:
            channel.post("/a", {})
        assert type(caught.value) is kind


# --- reports --------------------------------------------------------------------------------------------------------


def test_reports_arrive_in_order_though_palette_was_away(palette: FakePalette, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report is delivered when Palette is back, before the next one; one that it refuses holds nobody up."""
    monkeypatch.setattr(reporter, "AGAIN", 0.001)
    palette.statuses = [503, 503, 200, 400, 200]
    told = Reporter("edge-1", palette.channel())
    for reason in ("First", "Refused", "Last"):
        told.event("Normal", reason, "message")

    reports = [report for body in palette.bodies for report in body["reports"]]  # type: ignore[attr-defined] # JSON
    assert [report["reason"] for report in reports] == ["First", "Last"]


# --- slots ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def slot_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a host that runs ``OLD`` from both slots."""
    monkeypatch.setattr(slots, "SLOTS", tmp_path)
    monkeypatch.setattr(places, "BOOTED_SLOT", tmp_path / "slot")
    for name in ("active.img", "passive.img"):
        slots._replace(name, OLD)
    return tmp_path


@pytest.mark.usefixtures("slot_folder")
def test_the_active_slot_becomes_the_passive_one() -> None:
    """Switching makes the new system active and keeps the one before as passive; a second time nothing changes."""
    slots.switch_to(NEW)
    slots.switch_to(NEW)

    assert (slots.active(), slots.passive()) == (NEW, OLD)


def test_a_host_on_its_passive_slot_keeps_it(slot_folder: Path) -> None:
    """A host that fell back keeps the passive slot it runs from, and replaces the active one that did not boot."""
    slots.switch_to(NEW)
    (slot_folder / "slot").write_text('{"name": "passive"}')
    slots.switch_to(NEWER)

    assert (slots.active(), slots.passive()) == (NEWER, OLD)


def test_the_command_line_tells_the_slot() -> None:
    """The kernel's command line names the slot as a Kairos host's does, and a fallback has upgrade_failure."""
    assert command_line("active").split()[1:] == ["root=LABEL=COS_ACTIVE", "cos-img/filename=/cOS/active.img"]
    assert command_line("passive").split()[1:] == [
        "root=LABEL=COS_PASSIVE", "cos-img/filename=/cOS/passive.img", "upgrade_failure",
    ]  # fmt: skip


# --- the credential -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["Passw0rd", "cGFzc3dvcmQ=", "a: b # 'c' \"d\"", "päss\n", "\udcff", ""])
def test_a_credential_is_carried_unchanged(password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the password is made of, it comes out of the cluster's Secret as it went in, and not in clear."""
    monkeypatch.setattr(places, "SECRET", tmp_path / "secret.yaml")
    credential = Credential("registry.example:5000", "user", password)
    secret.store(credential)

    assert secret.load() == credential
    assert (tmp_path / "secret.yaml").stat().st_mode & 0o777 == 0o600
    assert len(password) < 5 or password not in (tmp_path / "secret.yaml").read_text()


def test_a_cluster_without_credentials_has_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a cluster no longer has credentials, the Secret of before is gone."""
    monkeypatch.setattr(places, "SECRET", tmp_path / "secret.yaml")
    secret.store(Credential("registry.example", "user", "password"))
    secret.store(None)

    assert secret.load() is None
